//! Self-destruct: ends the machine when its lease is over. It deletes its own server, or powers
//! off.

use std::time::Duration;

use agent_proto::EndOfLease;
use thiserror::Error;

use crate::commands::{CommandError, Commands};
use crate::failures::Failures;

/// Attempts to delete; the pause between them doubles.
const ATTEMPTS: u32 = 5;
/// How long one attempt may take.
const REQUEST: Duration = Duration::from_secs(30);
/// How long a power-off command may take.
const POWER_OFF: Duration = Duration::from_secs(30);

/// How long to wait for the cloud.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// The first pause after a failed attempt to delete.
    pub retry: Duration,
    /// How long a machine may live after its deletion was accepted.
    pub deletion: Duration,
}

impl Default for Timing {
    /// Pauses of 1, 2, 4 and 8 s: a server that another action locks is free again after seconds. A
    /// deleted server was seen to live for a few seconds more.
    fn default() -> Self {
        Self { retry: Duration::from_secs(1), deletion: Duration::from_secs(60) }
    }
}

/// An attempt to end the machine that failed.
#[derive(Debug, Error)]
pub enum AttemptError {
    #[error("the machine could not delete itself")]
    NotDeleted(#[source] CommandError),
    #[error(transparent)]
    NotPoweredOff(CommandError),
}

/// Ends the machine. Returns an error only if even the power-off failed.
pub async fn end(
    commands: &Commands,
    how: &EndOfLease,
    timing: Timing,
) -> Result<(), Failures<AttemptError>> {
    let mut failures = Vec::new();
    if let EndOfLease::Delete { endpoint, server, token } = how {
        match delete(commands, endpoint, *server, token, timing.retry).await {
            Ok(()) => tokio::time::sleep(timing.deletion).await,
            Err(error) => failures.push(AttemptError::NotDeleted(error)),
        }
    }
    let programs: [(&str, &[&str]); 2] = [("systemctl", &["poweroff"]), ("poweroff", &[])];
    for (program, arguments) in programs {
        match commands.run(program, arguments, b"", POWER_OFF).await {
            Ok(ended) if ended.success() => return Ok(()),
            Ok(ended) => {
                failures.push(AttemptError::NotPoweredOff(CommandError::Failed(ended.output)));
            }
            Err(error) => failures.push(AttemptError::NotPoweredOff(error.into())),
        }
    }
    Err(Failures(failures))
}

async fn delete(
    commands: &Commands,
    endpoint: &str,
    server: u64,
    token: &str,
    retry: Duration,
) -> Result<(), CommandError> {
    let config = curl_config(endpoint, server, token);
    let mut failure = CommandError::Failed(String::new());
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(retry * (1 << (attempt - 1))).await;
        }
        match commands.run("curl", &["--config", "-"], config.as_bytes(), REQUEST).await {
            Ok(ended) if ended.success() => return Ok(()),
            Ok(ended) => failure = CommandError::Failed(ended.output.replace(token, "…")),
            Err(error) => failure = error.into(),
        }
    }
    Err(failure)
}

/// The configuration that `curl --config -` reads from standard input: every process of the machine
/// can read arguments (curl(1), "--config").
fn curl_config(endpoint: &str, server: u64, token: &str) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""));
    let url = quoted(&format!("{}/servers/{server}", endpoint.trim_end_matches('/')));
    let header = quoted(&format!("Authorization: Bearer {token}"));
    let limit = REQUEST.as_secs() - 5;
    format!(
        "request = \"DELETE\"\nurl = {url}\nheader = {header}\n\
        fail\nsilent\nshow-error\nmax-time = {limit}\n"
    )
}

#[cfg(test)]
mod tests {
    use agent_proto::with_causes;

    use super::*;
    use crate::test_machine::TestMachine;

    const FAST: Timing =
        Timing { retry: Duration::from_millis(1), deletion: Duration::from_millis(1) };

    fn delete_order() -> EndOfLease {
        EndOfLease::Delete {
            endpoint: "https://api.example/v1/".into(),
            server: 42,
            token: "s3cret\"x".into(),
        }
    }

    fn rig(curl: &str) -> TestMachine {
        let rig = TestMachine::new();
        rig.program("curl", &format!("cat > {}; {curl}", rig.root().join("stdin").display()));
        rig
    }

    #[tokio::test]
    async fn the_token_is_passed_on_standard_input_and_never_as_an_argument() {
        let rig = rig("exit 0");
        end(&rig.machine().commands, &delete_order(), FAST).await.unwrap();
        let expected = ["curl --config -", "systemctl poweroff"];
        assert_eq!(rig.log(), expected, "it powers off if it still lives");
        let config = std::fs::read_to_string(rig.root().join("stdin")).unwrap();
        assert!(config.contains("url = \"https://api.example/v1/servers/42\"\n"), "{config}");
        assert!(config.contains("header = \"Authorization: Bearer s3cret\\\"x\"\n"), "{config}");
    }

    #[tokio::test]
    async fn a_failed_self_destruct_powers_off() {
        let rig = rig("echo boom >&2; exit 22");
        end(&rig.machine().commands, &delete_order(), FAST).await.unwrap();
        let curl = "curl --config -";
        assert_eq!(rig.log(), [curl, curl, curl, curl, curl, "systemctl poweroff"]);
    }

    #[tokio::test]
    async fn a_machine_that_cannot_end_reports_each_attempt() {
        let rig = rig("echo boom >&2; exit 22");
        rig.program("systemctl", "echo no systemd >&2; exit 1");
        rig.program("poweroff", "echo not permitted >&2; exit 1");
        let error = end(&rig.machine().commands, &delete_order(), FAST).await.unwrap_err();
        let expected = "the machine could not delete itself: boom; no systemd; not permitted";
        assert_eq!(with_causes(&error), expected);
    }

    #[tokio::test]
    async fn an_order_to_power_off_only_powers_off() {
        let rig = rig("exit 0");
        end(&rig.machine().commands, &EndOfLease::PowerOff, FAST).await.unwrap();
        assert_eq!(rig.log(), ["systemctl poweroff"]);
    }
}
