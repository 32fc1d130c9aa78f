//! What `dockbridge start` does where the service is installed.

use api::Code;

use super::installed::Units;
use crate::failure::{Failure, Outcome};
use crate::output::say;
use crate::resolved::Resolved;

/// For arguments that a service does not take.
pub const SERVICE_HINT: &str =
    "write it into the settings, or run `dockbridge service remove` and start without the service";

/// Has the installed service listen again, and starts its daemon. `typed` is an argument that a
/// service does not take.
pub async fn start_service(typed: Option<&str>, resolved: &Resolved, units: &Units) -> Outcome {
    let unit = &units.names.service;
    if let Some(name) = typed {
        return Err(Failure::bare(
            Code::DaemonRunning,
            format!("dockbridge runs as the service {unit}, so {name} has no effect"),
        )
        .hint(SERVICE_HINT));
    }
    units.listen().await?;
    // The first client starts the daemon.
    let status = resolved.daemon().status().await?;
    say(&format!(
        "Started the service {unit} (process {}). Docker socket: unix://{}",
        status.process,
        resolved.socket.display()
    ));
    say(&format!("Log: journalctl --user --unit {unit}"));
    Ok(())
}
