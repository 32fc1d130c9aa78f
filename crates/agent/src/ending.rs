//! What happens to the machine when its lease is over: it deletes itself, or powers off.

use std::time::Duration;

use agent_proto::EndOfLease;

use crate::commands::Commands;

/// Attempts to delete; the pause between them doubles.
const ATTEMPTS: u32 = 5;
/// One attempt.
const REQUEST: Duration = Duration::from_secs(30);
/// How long asking for the power-off may take.
const POWER_OFF: Duration = Duration::from_secs(30);

/// How long to wait for others.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The first pause after a failed attempt to delete.
    pub retry: Duration,
    /// How long a machine may live that was told to be deleted.
    pub vanishes: Duration,
}

impl Default for Patience {
    /// Pauses of 1, 2, 4 and 8 s: a server that is locked by another action is free again after
    /// seconds. A deleted one was seen to live for a few seconds more.
    fn default() -> Self {
        Self { retry: Duration::from_secs(1), vanishes: Duration::from_secs(60) }
    }
}

/// Ends the machine. Returns only where even the power-off failed, with what failed.
pub async fn end(commands: &Commands, how: &EndOfLease, patience: Patience) -> Result<(), String> {
    let mut failed = String::new();
    if let EndOfLease::Delete { endpoint, server, token } = how {
        match delete(commands, endpoint, *server, token, patience.retry).await {
            Ok(()) => tokio::time::sleep(patience.vanishes).await,
            Err(message) => failed = format!("{message}; "),
        }
    }
    match commands.run("systemctl", &["poweroff"], b"", POWER_OFF).await {
        Ok(ended) if ended.success() => return Ok(()),
        Ok(ended) => failed.push_str(&ended.said),
        Err(error) => failed.push_str(&error.to_string()),
    }
    match commands.run("poweroff", &[], b"", POWER_OFF).await {
        Ok(ended) if ended.success() => Ok(()),
        Ok(ended) => Err(format!("{failed}; {}", ended.said)),
        Err(error) => Err(format!("{failed}; {error}")),
    }
}

async fn delete(
    commands: &Commands,
    endpoint: &str,
    server: u64,
    token: &str,
    retry: Duration,
) -> Result<(), String> {
    let config = curl_config(endpoint, server, token);
    let mut said = String::new();
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(retry * (1 << (attempt - 1))).await;
        }
        match commands.run("curl", &["--config", "-"], config.as_bytes(), REQUEST).await {
            Ok(ended) if ended.success() => return Ok(()),
            Ok(ended) => said = ended.said.replace(token, "…"),
            Err(error) => said = error.to_string(),
        }
    }
    Err(format!("the machine could not delete itself: {said}"))
}

/// Read from standard input by `curl --config -`: arguments could be read by every process of the
/// machine (curl(1), "--config").
fn curl_config(endpoint: &str, server: u64, token: &str) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""));
    let url = quoted(&format!("{}/servers/{server}", endpoint.trim_end_matches('/')));
    let header = quoted(&format!("Authorization: Bearer {token}"));
    let limit = REQUEST.as_secs() - 5;
    format!(
        "request = \"DELETE\"\nurl = {url}\nheader = \
        {header}\nfail\nsilent\nshow-error\nmax-time = {limit}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stand_ins::StandIns;

    const HASTY: Patience =
        Patience { retry: Duration::from_millis(1), vanishes: Duration::from_millis(1) };

    fn delete_order() -> EndOfLease {
        EndOfLease::Delete {
            endpoint: "https://api.example/v1/".into(),
            server: 42,
            token: "s3cret\"x".into(),
        }
    }

    fn rig(curl: &str) -> StandIns {
        let rig = StandIns::new();
        rig.program("curl", &format!("cat > {}; {curl}", rig.root().join("stdin").display()));
        rig
    }

    #[tokio::test]
    async fn the_token_goes_in_by_standard_input_and_never_as_an_argument() {
        let rig = rig("exit 0");
        end(&rig.machine().commands, &delete_order(), HASTY).await.unwrap();
        assert_eq!(
            rig.log(),
            [
                "curl --config -",
                "systemctl \
            poweroff"
            ],
            "powers off when it still lives"
        );
        let config = std::fs::read_to_string(rig.root().join("stdin")).unwrap();
        assert!(config.contains("url = \"https://api.example/v1/servers/42\"\n"), "{config}");
        assert!(config.contains("header = \"Authorization: Bearer s3cret\\\"x\"\n"), "{config}");
    }

    #[tokio::test]
    async fn a_machine_that_cannot_delete_itself_powers_off() {
        let rig = rig("echo boom >&2; exit 22");
        end(&rig.machine().commands, &delete_order(), HASTY).await.unwrap();
        let curl = "curl --config -";
        assert_eq!(rig.log(), [curl, curl, curl, curl, curl, "systemctl poweroff"]);
    }

    #[tokio::test]
    async fn power_off_asks_nobody_else() {
        let rig = rig("exit 0");
        end(&rig.machine().commands, &EndOfLease::PowerOff, HASTY).await.unwrap();
        assert_eq!(rig.log(), ["systemctl poweroff"]);
    }
}
