//! `dockbridge stop`.

use std::time::Duration;

use api::client::{Client, ClientError};
use api::{Answer, MachineState};
use tokio::time::{Instant, sleep};

use crate::failure::{Failure, Outcome};
use crate::output::say;
use crate::resolved::{GlobalArgs, Resolved};
use crate::settings::duration;

/// The daemon finishes open requests before it exits.
const LONGEST_END: Duration = Duration::from_secs(15);

/// Arguments of `stop`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Destroy the machine first; its volume stays
    #[arg(long)]
    pub(super) destroy: bool,
}

pub async fn run(arguments: Args, global: &GlobalArgs) -> Outcome {
    let resolved = Resolved::load_valid(global)?;
    let daemon = resolved.daemon();
    let status = match daemon.status().await {
        // A machine can be destroyed without a daemon, too.
        Err(ClientError::NotRunning { .. }) if arguments.destroy => {
            return super::server::destroy(&resolved).await;
        }
        status => status?,
    };
    let is_waking = status.state == MachineState::Waking;
    if arguments.destroy {
        report(daemon.destroy_and_stop().await?);
        // A daemon of an older version destroys the machine and keeps running.
        end(&daemon).await;
    } else {
        if is_waking {
            say("A machine is being created: canceling the wake and deleting its server.");
        }
        report(daemon.stop().await?);
    }
    let begun = Instant::now();
    while daemon.status().await.is_ok() {
        if begun.elapsed() > LONGEST_END {
            return Err(Failure::new(format!(
                "the daemon (process {}) does not stop",
                status.process
            ))
            .hint("see its log, or kill the process"));
        }
        sleep(Duration::from_millis(50)).await;
    }
    say("Stopped the daemon.");
    let machine = status.machine.or(status.last_known.map(|last| last.machine));
    if let Some(machine) = machine.filter(|machine| !arguments.destroy && machine.id.is_some()) {
        let lease = duration::format(resolved.settings.keepalive.timeout);
        say(&format!(
            "The machine {} runs on, and costs money, until its lease ends in {lease}; `dockbridge \
             server destroy` deletes it now.",
            machine.name
        ));
    }
    Ok(())
}

/// Stops a daemon that may have stopped already, or that refuses because it is stopping. The
/// caller checks afterwards whether it has.
async fn end(daemon: &Client) {
    if let Ok(answer) = daemon.stop().await {
        report(answer);
    }
}

fn report(answer: Answer) {
    if let Some(message) = answer.message {
        say(&sentence(&message));
    }
}

/// Adds a capital letter and a full stop.
fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let stop = if message.ends_with('.') { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}
