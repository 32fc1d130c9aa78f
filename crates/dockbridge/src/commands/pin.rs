//! `dockbridge pin` and `unpin`: keep the machine, whether it is used or not.

use std::time::Duration;

use api::MachineState;

use crate::failure::Outcome;
use crate::output::say;
use crate::resolved::{GlobalArgs, Resolved};
use crate::settings::duration;

/// Arguments of `pin`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How long, e.g. 8h or 90m; until `dockbridge unpin` if not given
    #[arg(long = "for", value_name = "DURATION", value_parser = length)]
    length: Option<Duration>,
}

fn length(text: &str) -> Result<Duration, String> {
    match duration::parse(text)? {
        length if length < Duration::from_secs(1) => {
            Err("a pin lasts at least one second".to_owned())
        }
        length => Ok(length),
    }
}

pub async fn run(arguments: Args, global: &GlobalArgs) -> Outcome {
    let daemon = Resolved::load_valid(global)?.daemon();
    daemon.pin(arguments.length).await?;
    let status = daemon.status().await?;
    let until = arguments.length.map_or_else(
        || "until `dockbridge unpin`".to_owned(),
        |length| format!("for {}", duration::format(length)),
    );
    say(&format!("Pinned {until}."));
    if arguments.length.is_none() {
        say("You pay for it until then. If this daemon stops reporting, the lease still deletes \
         the machine.");
    }
    if status.state == MachineState::Absent {
        say("No machine exists now: the next docker command or `dockbridge wake` creates one.");
    }
    Ok(())
}

pub async fn unpin(global: &GlobalArgs) -> Outcome {
    let answer = Resolved::load_valid(global)?.daemon().unpin().await?;
    say(&answer.message.unwrap_or_else(|| "Unpinned.".to_owned()));
    Ok(())
}
