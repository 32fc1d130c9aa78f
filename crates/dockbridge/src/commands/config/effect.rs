//! From when on a changed setting holds: commands read the settings each time, a daemon once.

use super::super::service::installed::Units;
use crate::output::say;
use crate::resolved::Resolved;
use crate::settings::Key;

/// Says who uses the new value, and from when on.
pub async fn say_when_it_holds(resolved: &Resolved, key: Key) {
    match key {
        ("image", _) => return say("The next `dockbridge image build` uses it."),
        ("hetzner", "volume_size") => {
            say("It is for a new volume; `dockbridge volume resize` grows one that exists.")
        }
        _ => {}
    }
    say_when_settings_hold(resolved).await;
}

/// The same for settings that the daemon uses.
pub async fn say_when_settings_hold(resolved: &Resolved) {
    if !say_if_restart_is_needed(resolved).await {
        say("The next `dockbridge start` uses it.");
    }
}

/// Says what a daemon that runs needs to take what was changed. Returns whether one runs.
pub async fn say_if_restart_is_needed(resolved: &Resolved) -> bool {
    let daemon = running(resolved).await;
    if let Some(daemon) = &daemon {
        say(&format!("{daemon} uses the old value until it starts again:"));
        say("`dockbridge stop`, then `dockbridge start`. The machine runs on meanwhile.");
    }
    daemon.is_some()
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
