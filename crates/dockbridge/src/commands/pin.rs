//! `dockbridge pin` and `unpin`: the machine stays, whether it is used or not.

use std::time::Duration;

use crate::failure::Outcome;
use crate::output::say;
use crate::resolved::{GlobalArgs, Resolved};
use crate::settings::duration;

/// Arguments of `pin`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// For how long, such as 8h or 90m; without it until `dockbridge unpin`
    #[arg(long = "for", value_name = "DURATION", value_parser = length)]
    length: Option<Duration>,
}

fn length(text: &str) -> Result<Duration, String> {
    match duration::parse(text)? {
        length if length < Duration::from_secs(1) => Err("a pin lasts for a second at \
            least"
            .to_owned()),
        length => Ok(length),
    }
}

/// Runs `pin`.
pub async fn run(arguments: Args, global: &GlobalArgs) -> Outcome {
    let daemon = Resolved::load_what_holds(global)?.daemon();
    daemon.pin(arguments.length).await?;
    let status = daemon.status().await?;
    let until = arguments.length.map_or_else(
        || {
            "until `dockbridge \
            unpin`"
                .to_owned()
        },
        |length| format!("for {}", duration::format(length)),
    );
    say(&format!("Pinned {until}."));
    if arguments.length.is_none() {
        say("It bills for as long; the lease still ends it when this daemon is not heard of.");
    }
    if status.state == "absent" {
        say("There is no machine now: the next docker command, or `dockbridge wake`, creates one.");
    }
    Ok(())
}

/// Runs `unpin`.
pub async fn unpin(global: &GlobalArgs) -> Outcome {
    let answer = Resolved::load_what_holds(global)?.daemon().unpin().await?;
    say(&answer.message.unwrap_or_else(|| "Unpinned.".to_owned()));
    Ok(())
}
