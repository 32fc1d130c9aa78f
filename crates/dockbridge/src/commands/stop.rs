//! `dockbridge stop`.

use std::time::Duration;

use daemon::client::{Answer, Client, ClientError};
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
    let status = match daemon.status().await {
        // Whoever wants the machine gone gets that without a daemon, too.
        Err(ClientError::NotRunning { .. }) if arguments.destroy => {
            return super::server::destroy(&resolved).await;
        }
        status => status?,
    };
    let is_waking = status.state == "waking";
    if arguments.destroy {
        tell(daemon.destroy_and_stop().await?);
        // An older daemon destroys and goes on.
        end(&daemon).await;
    } else {
        if is_waking {
            say("A machine is being made: the wake is called off, and its server deleted.");
        }
        tell(daemon.stop().await?);
    }
    let begun = Instant::now();
    while daemon.status().await.is_ok() {
        if begun.elapsed() > LONGEST_END {
            return Err(Failure::new(format!(
                "the daemon (process {}) does not \
                end",
                status.process
            ))
            .hint("see its log, or kill it"));
        }
        sleep(Duration::from_millis(50)).await;
    }
    say("The daemon has ended.");
    let machine = status.machine.or(status.last_known.map(|last| last.machine));
    if let Some(machine) = machine.filter(|machine| !arguments.destroy && machine.id.is_some()) {
        let lease = duration::format(resolved.settings.keepalive.timeout);
        say(&format!(
            "The machine {} goes on, and is billed, until its lease ends in {lease}; `dockbridge \
                server destroy` ends it now.",
            machine.name
        ));
    }
    Ok(())
}

/// Ends a daemon that may have ended already, or refuses since it is ending. Whether it has ended
/// is looked at afterwards.
async fn end(daemon: &Client) {
    if let Ok(answer) = daemon.stop().await {
        tell(answer);
    }
}

fn tell(answer: Answer) {
    if let Some(message) = answer.message {
        say(&sentence(&message));
    }
}

/// With a capital letter and a full stop.
fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let stop = if message.ends_with('.') { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}
