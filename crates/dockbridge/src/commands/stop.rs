//! `dockbridge stop`.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::failure::{Failure, Outcome};
use crate::output::say;
use crate::resolved::{GlobalArgs, Resolved};
use crate::settings::duration;

/// The daemon answers what is under way before it ends.
const LONGEST_END: Duration = Duration::from_secs(15);

/// Arguments of `stop`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Destroy the machine first; its volume stays
    #[arg(long)]
    destroy: bool,
}

/// Runs it.
pub async fn run(arguments: Args, global: &GlobalArgs) -> Outcome {
    let resolved = Resolved::load_what_holds(global)?;
    let daemon = resolved.daemon();
    let status = daemon.status().await?;
    if arguments.destroy {
        super::server::destroy_through(&daemon).await?;
    }
    daemon.stop().await?;
    let begun = Instant::now();
    while daemon.status().await.is_ok() {
        if begun.elapsed() > LONGEST_END {
            return Err(Failure::new(format!("the daemon (process {}) does not end", status.process)).hint("see its log, or kill it"));
        }
        sleep(Duration::from_millis(50)).await;
    }
    say("The daemon has ended.");
    if !arguments.destroy && status.machine.is_some_and(|machine| machine.id.is_some()) {
        let lease = duration::format(resolved.settings.keepalive.timeout);
        say(&format!("The machine goes on until its lease ends in {lease}; `dockbridge server destroy` ends it now."));
    }
    Ok(())
}
