//! `dockbridge wake`: a machine now.

use std::time::Duration;

use api::Code;

use crate::failure::{Failure, Outcome};
use crate::output::{follow_wake, say};
use crate::resolved::{GlobalArgs, Resolved};

const LONGEST: Duration = Duration::from_secs(15 * 60);

pub async fn run(global: &GlobalArgs) -> Outcome {
    let resolved = Resolved::load_valid(global)?;
    let (daemon, wakes) = (resolved.daemon(), resolved.wakes());
    daemon.wake().await?;
    let status = follow_wake(&daemon, LONGEST, &wakes).await?;
    match (status.machine, status.error) {
        (Some(machine), _) => {
            say(&format!("{} is ready.", machine.name));
            Ok(())
        }
        (None, Some(error)) => Err(error.into()),
        (None, None) => Err(Failure::of_code(
            Code::NoMachine,
            status.reason.unwrap_or_else(|| "no machine exists".to_owned()),
        )),
    }
}
