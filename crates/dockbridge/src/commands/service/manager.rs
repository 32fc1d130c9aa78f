//! systemd's manager of the user's services, by `systemctl --user`. Knows no units of dockbridge's.

use std::path::Path;
use std::process::{Output, Stdio};

use api::Code;
use tokio::process::Command;

use crate::failure::{Failure, Outcome};

/// A unit, as the manager sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unit {
    /// Such as `active` or `failed`.
    pub state: String,
    /// Such as `running` or `listening`.
    pub detail: String,
    /// Whether it begins with a login.
    pub is_enabled: bool,
    /// The main process.
    pub process: Option<u32>,
    /// The line that the process last reported.
    pub status: Option<String>,
    /// Starts after a failure, since the last start that a user or a client caused.
    pub restarts: u32,
}

impl Unit {
    pub fn is_active(&self) -> bool {
        matches!(self.state.as_str(), "active" | "activating" | "reloading")
    }
}

/// Whether the manager answers. The error says what to do.
pub async fn is_reachable() -> Outcome {
    let output = systemctl(&["show", "--property=Version"]).await?;
    if output.status.success() {
        return Ok(());
    }
    let failure = silent(&first_line(&output.stderr));
    Err(match Path::new("/run/systemd/system").exists() {
        true => failure.hint(unreachable_hint()),
        false => failure.hint(
            "systemd does not run this system: `dockbridge start --detach` runs the daemon \
             without a service",
        ),
    })
}

fn silent(said: &str) -> Failure {
    let message = format!("no systemd user manager answers: {said}");
    Failure::bare(Code::ServiceManagerSilent, message)
}

fn unreachable_hint() -> String {
    let user = rustix::process::getuid().as_raw();
    format!(
        "log in as this user itself, by console, desktop or ssh, not by `su` or `sudo`; for a user \
         without logins run `loginctl enable-linger {user}` as root, and set \
         XDG_RUNTIME_DIR=/run/user/{user}"
    )
}

/// Runs `systemctl --user`, which has to succeed.
pub async fn run(arguments: &[&str]) -> Outcome {
    let output = systemctl(arguments).await?;
    if output.status.success() {
        return Ok(());
    }
    let command = arguments.join(" ");
    let said = first_line(&output.stderr);
    Err(Failure::bare(Code::ServiceFailed, format!("`systemctl --user {command}` failed: {said}"))
        .hint("`systemctl --user status` and `journalctl --user` show more"))
}

/// Looks at a unit; one that the manager does not know is inactive.
pub async fn show(unit: &str) -> Outcome<Unit> {
    let properties = "--property=ActiveState,SubState,UnitFileState,MainPID,StatusText,NRestarts";
    let output = systemctl(&["show", unit, properties]).await?;
    if !output.status.success() {
        let said = first_line(&output.stderr);
        return Err(silent(&said).hint(unreachable_hint()));
    }
    Ok(parsed(&String::from_utf8_lossy(&output.stdout)))
}

fn parsed(text: &str) -> Unit {
    let of = |name: &str| {
        let mut values = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        values.next().unwrap_or_default().to_owned()
    };
    Unit {
        state: of("ActiveState"),
        detail: of("SubState"),
        is_enabled: of("UnitFileState") == "enabled",
        process: of("MainPID").parse().ok().filter(|process| *process != 0),
        status: Some(of("StatusText")).filter(|status| !status.is_empty()),
        restarts: of("NRestarts").parse().unwrap_or(0),
    }
}

/// Whether the user's services run without a login; `None` if the system does not say.
pub async fn lingers() -> Option<bool> {
    let user = rustix::process::getuid().as_raw().to_string();
    let mut loginctl = Command::new("loginctl");
    loginctl.args(["show-user", &user, "--property=Linger", "--value"]);
    let output = loginctl.stdin(Stdio::null()).output().await.ok()?;
    match first_line(&output.stdout).as_str() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

async fn systemctl(arguments: &[&str]) -> Outcome<Output> {
    let mut systemctl = Command::new("systemctl");
    systemctl.args(["--user", "--no-pager"]).args(arguments).stdin(Stdio::null());
    systemctl.output().await.map_err(|error| {
        Failure::bare(Code::ProgramMissing, format!("cannot run systemctl: {error}"))
            .hint("a service needs systemd: `dockbridge start --detach` runs the daemon without")
    })
}

fn first_line(output: &[u8]) -> String {
    String::from_utf8_lossy(output).lines().next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_by_name() {
        let text = "MainPID=4711\nNRestarts=2\nStatusText=up: a=b\nActiveState=active\n\
                    SubState=running\nUnitFileState=static\n";
        let unit = parsed(text);
        assert_eq!((unit.process, unit.restarts), (Some(4711), 2));
        assert_eq!(unit.status.as_deref(), Some("up: a=b"));
        assert!(unit.is_active() && !unit.is_enabled);
        let unknown = parsed("MainPID=0\nStatusText=\nActiveState=inactive\nSubState=dead\n");
        assert_eq!((unknown.process, unknown.status.clone()), (None, None));
        assert!(!unknown.is_active());
    }
}
