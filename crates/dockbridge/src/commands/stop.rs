//! `dockbridge stop`.

use std::time::Duration;

use api::client::{Client, ClientError};
use api::{Answer, Code, MachineState, Status};
use tokio::time::{Instant, sleep};

use super::service::installed::Units;
use crate::failure::{Failure, Outcome};
use crate::live_line::counting;
use crate::output::{complain, say};
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
    let service = Units::serving(&resolved);
    // From here on no client starts the daemon again, and neither does a look at its status.
    let has_listened = match &service {
        Some(service) => stop_listening(service).await,
        None => false,
    };
    match resolved.daemon().status().await {
        // A machine can be destroyed without a daemon, too.
        Err(ClientError::NotRunning { .. }) if arguments.destroy => {
            super::server::destroy(&resolved).await?;
        }
        Err(ClientError::NotRunning { .. }) if has_listened => say("The daemon did not run."),
        status => end_daemon(&resolved, &status?, arguments.destroy).await?,
    }
    if let Some(service) = service.filter(|_| has_listened) {
        service.end().await?;
        say(&format!(
            "The service {} stays stopped until the next login or `dockbridge start`; `dockbridge \
             service remove` removes it.",
            service.names.service
        ));
    }
    Ok(())
}

/// Whether the service listened, and does not any more.
async fn stop_listening(service: &Units) -> bool {
    let stopped = async {
        let has_listened = service.is_listening().await?;
        service.stop_listening().await?;
        Ok::<_, Failure>(has_listened)
    };
    stopped.await.unwrap_or_else(|failure| {
        complain(&format!(
            "Warning: {}; the next docker command starts the service {} again",
            failure.message(),
            service.names.service
        ));
        false
    })
}

/// Ends the daemon that has this status, and waits until it has ended.
pub async fn end_daemon(resolved: &Resolved, status: &Status, destroy: bool) -> Outcome {
    let daemon = resolved.daemon();
    if destroy {
        report(counting(super::server::DELETING, daemon.destroy_and_stop()).await?);
        // A daemon of an older version destroys the machine and keeps running.
        end(&daemon).await;
    } else {
        if status.state == MachineState::Waking {
            say("A machine is being created: canceling the wake and deleting its server.");
        }
        report(counting("waiting for the daemon", daemon.stop()).await?);
    }
    let begun = Instant::now();
    while daemon.status().await.is_ok() {
        if begun.elapsed() > LONGEST_END {
            return Err(Failure::of_code(
                Code::DaemonNotEnding,
                format!("the daemon (process {}) does not stop", status.process),
            )
            .hint("see its log, or kill the process"));
        }
        sleep(Duration::from_millis(50)).await;
    }
    say("Stopped the daemon.");
    let last_known = status.last_known.as_ref().map(|last| &last.machine);
    let machine = status.machine.as_ref().or(last_known);
    if let Some(machine) = machine.filter(|machine| !destroy && machine.id.is_some()) {
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
