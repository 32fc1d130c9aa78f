//! From when on a changed setting holds: commands read the settings each time, a daemon takes over
//! what it can, and needs a restart for the rest.

use api::SettingsReport;

use super::super::service::installed::Units;
use crate::output::{complain, say};
use crate::resolved::Resolved;
use crate::settings::{Applies, Key, applies};

/// Has a running daemon read the changed settings, and says who uses the new value, and from when
/// on. Of a value that something else overrides, nothing is said.
pub async fn say_when_it_holds(resolved: &Resolved, key: Key, is_overridden: bool) {
    match key {
        ("image", _) => return say("The next `dockbridge image build` uses it."),
        ("hetzner", "volume_size") => {
            say("It is for a new volume; `dockbridge volume resize` grows one that exists.")
        }
        _ => {}
    }
    let Some(daemon) = running(resolved).await else {
        return say("The next `dockbridge start` uses it.");
    };
    let report = read_settings(resolved).await;
    if let Some(SettingsReport { refused: Some(why), .. }) = &report {
        return complain(&format!("Note: {daemon} keeps its old settings: {why}."));
    }
    match (applies(key), report) {
        _ if is_overridden => {}
        (Applies::Now, Some(_)) => say(&format!("{daemon} uses it now.")),
        (Applies::NextWake, Some(_)) => say(&format!("{daemon} uses it for the next machine.")),
        // The value with which the daemon has started.
        (Applies::Restart, Some(report)) if !names(&report, key) => {
            say(&format!("{daemon} uses it already."));
        }
        (_, _) => say_restart(&daemon, "the old value"),
    }
}

fn names(report: &SettingsReport, (section, key): Key) -> bool {
    report.restart.contains(&format!("{section}.{key}"))
}

/// The same for several settings.
pub async fn say_when_settings_hold(resolved: &Resolved) {
    if !say_what_daemon_uses(resolved).await {
        say("The next `dockbridge start` uses it.");
    }
}

/// Has a running daemon read the changed settings, and says what it uses. Returns whether one runs.
pub async fn say_what_daemon_uses(resolved: &Resolved) -> bool {
    let Some(daemon) = running(resolved).await else { return false };
    match read_settings(resolved).await {
        None => say_restart(&daemon, "the old values"),
        Some(SettingsReport { refused: Some(why), .. }) => {
            complain(&format!("Note: {daemon} keeps its old settings: {why}."));
        }
        Some(SettingsReport { restart, .. }) if !restart.is_empty() => {
            say_restart(&daemon, &format!("the old value of {}", restart.join(", ")));
        }
        Some(_) => say(&format!("{daemon} uses the new settings.")),
    }
    true
}

/// Says that a daemon that runs uses what it has until it starts again. Returns whether one runs.
pub async fn say_if_restart_is_needed(resolved: &Resolved) -> bool {
    let daemon = running(resolved).await;
    if let Some(daemon) = &daemon {
        say_restart(daemon, "the old value");
    }
    daemon.is_some()
}

fn say_restart(daemon: &str, uses: &str) {
    say(&format!("{daemon} uses {uses} until it starts again:"));
    say("`dockbridge stop`, then `dockbridge start`. The machine runs on meanwhile.");
}

/// What the daemon made of the settings; `None` for one of an older version, which reads them once.
async fn read_settings(resolved: &Resolved) -> Option<SettingsReport> {
    resolved.daemon().read_settings().await.ok()
}

/// The daemon of this profile, if one runs. The question starts none.
async fn running(resolved: &Resolved) -> Option<String> {
    if let Some(units) = Units::serving(resolved) {
        let runs = units.has_daemon().await.unwrap_or(false);
        return runs.then(|| format!("The service {}", units.names.service));
    }
    let status = resolved.daemon().status().await.ok()?;
    Some(format!("The daemon (process {})", status.process))
}
