//! What the user can do about each error and warning. Hints name commands and settings, so they are
//! chosen here, by the code and the data of the case, for this command line and for the daemon,
//! which adds them to the errors of docker commands and to its warnings.

use api::{Code, Condition, Warning};
use jiff::Timestamp;

/// What the user can do about an error; `None` where its message says it all.
pub fn hint(code: Code) -> Option<&'static str> {
    cloud_hint(code)
        .or_else(|| settings_hint(code))
        .or_else(|| machine_hint(code))
        .or_else(|| connection_hint(code))
        .or_else(|| daemon_hint(code))
        .or_else(|| ports_hint(code))
}

fn cloud_hint(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::TokenInvalid => {
            "the API token is not valid: make one in the cloud console and run `dockbridge init`"
        }
        Code::TokenReadOnly => {
            "the API token may only read: make one with Read & Write in the cloud console and \
                run `dockbridge init`"
        }
        Code::NotTheApi => {
            "a login page or proxy of this network may stand before it: open a web page in a \
                browser; else `hetzner.endpoint` or HCLOUD_ENDPOINT is wrong"
        }
        Code::ClockWrong => {
            "set the clock (`date` shows it, `timedatectl set-ntp true` sets it by the network)"
        }
        Code::CloudUnreachable => {
            "check the network, HTTPS_PROXY, and that `hetzner.endpoint` or HCLOUD_ENDPOINT \
                is the API's address"
        }
        Code::OutOfStock => {
            "add types to `hetzner.server_types` or locations to `hetzner.locations`, or try \
                again later"
        }
        _ => return None,
    })
}

fn settings_hint(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::ServerTypeUnknown => "change `hetzner.server_types` in the settings",
        Code::LocationUnknown => "change `hetzner.locations` in the settings",
        Code::ImageUnknown => "change `hetzner.image` in the settings",
        Code::ServerTypeNotAtVolume => "set another type in `hetzner.server_types`",
        _ => return None,
    })
}

fn machine_hint(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::WakeCalledOffDeleted => "`dockbridge volume delete` deletes the volume with its data",
        Code::WakeCalledOffNotDeleted => "`dockbridge server destroy` deletes it",
        Code::ServerUnanswered | Code::ServerOverloaded => {
            "try again, or check the server in the cloud's console; `dockbridge server \
                destroy` deletes it and keeps the volume"
        }
        Code::ServerNeverUp => {
            "the cloud's console shows what became of them, and its status page reports \
                outages; each may be billed for an hour"
        }
        Code::NoVolume => {
            "the first docker command creates one, with the size of `hetzner.volume_size`"
        }
        Code::VolumeShrinks => {
            "for a smaller volume, copy what you need, run `dockbridge volume delete` and set \
                `hetzner.volume_size`"
        }
        Code::VolumeNotGrown => "the cloud's console shows what became of it",
        Code::MachineLogUnreadable => "`dockbridge server ssh` logs in to the machine",
        Code::ServerSilent | Code::WakeTimedOut => "the next docker command tries again",
        _ => return None,
    })
}

fn connection_hint(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::Port22Blocked => {
            "use another network or a VPN, or have outgoing TCP port 22 opened; \
                `ssh.port_check` names the hosts that are asked, `none` skips the check"
        }
        Code::WrongLogin => {
            "work on that computer, or use its login key here (`ssh.private_key_path`); \
                `dockbridge server destroy` deletes the server and keeps the volume"
        }
        Code::HostKeyChanged => {
            "another machine answers at its address, or the server was reinstalled: check it \
                in the cloud's console; `dockbridge server destroy` deletes it and keeps the volume"
        }
        Code::OtherComputer => {
            "the key is in the cloud project now, and dockbridge on the other computer lets \
                it in within 75 s: try again then. If none runs there, the machine ends with its \
                lease, or with `dockbridge server destroy`"
        }
        Code::HostKeyRefused => {
            "nothing was sent to it: if this is the host's own key, log in once with `ssh` \
                and confirm it, which puts it among the known hosts"
        }
        Code::LoginRefused => {
            "choose another key with `--identity`, or add this one to ~/.ssh/authorized_keys \
                on the host"
        }
        Code::NoKeyAccepted => {
            "`ssh` to the same host shows which key it accepts; `--identity` names it"
        }
        Code::JumpFailed => {
            "the same command by hand shows more; jump hosts have to admit you without a \
                question, by a key or an agent"
        }
        _ => return None,
    })
}

fn daemon_hint(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::DaemonNotRunning => "start it with `dockbridge start`",
        Code::MetricsAddressTaken => "change `metrics.listen`, or leave it out",
        Code::ProxyPortTaken => "change `docker.proxy_port`, or leave it out",
        _ => return None,
    })
}

fn ports_hint(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::PortsDisabled => "set `ports.enabled` to true and restart the daemon",
        Code::ForwardExists => "`dockbridge ports remove` removes it",
        Code::ForwardUnknown => "`dockbridge ports` lists them",
        Code::ForwardExposed => {
            "set `ports.bind` to an address that is not a loopback address if that is what you \
                want"
        }
        _ => return None,
    })
}

/// What the user can do about a condition; empty where its message says it all.
pub fn warning_hints(condition: &Condition) -> Vec<String> {
    let hint = match condition {
        Condition::VolumeFull { larger, .. } | Condition::VolumeNearlyFull { larger, .. } => {
            return room_hints(*larger);
        }
        Condition::AgentNotRunning { .. } => "`dockbridge server destroy` removes it at once",
        Condition::ClockWrong { .. } => {
            "`date` shows it, `timedatectl set-ntp true` sets it by the network"
        }
        Condition::BudgetNearlySpent { .. } => {
            "`dockbridge cost` lists what it was spent on, `activity.budget` sets it"
        }
        Condition::PortsUnavailable { .. } => "`dockbridge ports` shows why",
        Condition::SettingsRefused { .. } => "`dockbridge config validate` shows what is wrong",
        Condition::RestartNeeded { .. } => {
            "`dockbridge stop`, then `dockbridge start`; the machine runs on meanwhile"
        }
        Condition::PriceUnknown { .. } => return Vec::new(),
    };
    vec![hint.to_owned()]
}

fn room_hints(larger: Option<u64>) -> Vec<String> {
    let grow = larger.map(|larger| {
        format!("`dockbridge volume resize {larger}` grows it while everything runs")
    });
    let prune = "`docker system prune` removes unused data".to_owned();
    grow.into_iter().chain([prune]).collect()
}

/// The warning of a condition that this command has just found.
pub fn warning_now(condition: &Condition) -> Warning {
    let now = u64::try_from(Timestamp::now().as_second()).unwrap_or(0);
    Warning::of(condition, now).hints(warning_hints(condition))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use api::{Category, WarningCode};

    use super::*;

    /// The list of `docs/errors.md`, from the registry and the hints.
    fn reference() -> String {
        let mut text = String::new();
        for category in Category::ALL {
            let _ = writeln!(text, "\n## {category}");
            for code in Code::ALL.iter().filter(|code| code.category() == *category) {
                let entry = code.entry();
                let retryable = if entry.is_retryable { " Retryable." } else { "" };
                let title = testkit::wrapped(&format!("{}.{retryable}", entry.title), "");
                let item = |name, text| testkit::wrapped(&format!("- {name}: {text}"), "  ");
                let (cause, cure) = (item("Cause", entry.cause), item("What to do", entry.cure));
                let _ = writeln!(text, "\n### `{code}`\n\n{title}\n\n{cause}\n{cure}");
                if let Some(hint) = hint(*code) {
                    let _ = writeln!(text, "{}", item("Hint", &format!("{hint}.")));
                }
            }
        }
        text.push('\n');
        text
    }

    #[test]
    fn errors_reference_follows_the_registry() {
        let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
        let test = "-p dockbridge --bin dockbridge reference";
        testkit::compare_generated(&document, "errors", &reference(), test);
    }

    /// The list of `docs/warnings.md`, the severest first.
    fn warnings_reference() -> String {
        let mut text = String::new();
        let mut codes = WarningCode::ALL.to_vec();
        codes.sort_by_key(|code| std::cmp::Reverse(code.entry().severity));
        for code in codes {
            let entry = code.entry();
            let title = testkit::wrapped(&format!("{}.", entry.title), "");
            let item = |name, text: &str| testkit::wrapped(&format!("- {name}: {text}"), "  ");
            let _ = writeln!(
                text,
                "\n## `{code}`\n\n{title}\n\n- Severity: {}\n{}\n{}",
                entry.severity,
                item("Cause", entry.cause),
                item("What to do", entry.cure)
            );
            for other in entry.depends_on {
                let _ = writeln!(text, "- Not shown with: `{other}`");
            }
            if entry.delay_seconds > 0 {
                let _ = writeln!(text, "- Shown after: {} s", entry.delay_seconds);
            }
        }
        text.push('\n');
        text
    }

    #[test]
    fn warnings_reference_follows_the_registry() {
        let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/warnings.md");
        let test = "-p dockbridge --bin dockbridge reference";
        testkit::compare_generated(&document, "warnings", &warnings_reference(), test);
    }

    #[test]
    fn volume_that_fills_up_names_the_commands_that_make_room() {
        let nearly = |larger| Condition::VolumeNearlyFull { percent: 90, left: 2 << 30, larger };
        assert_eq!(
            warning_now(&nearly(Some(40))).to_string(),
            "the volume is 90 % full, with 2.0 GB left: `dockbridge volume resize 40` grows it \
             while everything runs, `docker system prune` removes unused data"
        );
        assert_eq!(
            warning_hints(&nearly(None)),
            ["`docker system prune` removes unused data"],
            "no larger one is sold"
        );
    }

    #[test]
    fn hint_for_a_token_names_the_command_that_saves_one() {
        assert!(hint(Code::TokenInvalid).is_some_and(|hint| hint.contains("`dockbridge init`")));
        assert_eq!(hint(Code::Failed), None);
    }
}
