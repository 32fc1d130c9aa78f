//! `status --watch`: the status again and again, live on a terminal, else a line for each change.

mod lines;
mod rates;
mod taken;
mod terminal;
mod view;

use std::io::IsTerminal as _;
use std::time::Duration;

use api::client::{Client, ClientError};
use api::{MachineState, Status};

use crate::failure::Outcome;
use crate::resolved::Resolved;

/// Between two looks while something goes on, and while nothing does. A look asks the machine for
/// its report.
const SOON: Duration = Duration::from_millis(200);
const CALM: Duration = Duration::from_secs(1);

pub async fn run(resolved: &Resolved, first: Status) -> Outcome {
    match std::io::stdout().is_terminal() {
        true => terminal::run(resolved, first).await,
        false => lines::run(resolved, first).await,
    }
}

/// The next status, after a pause that depends on the last one.
async fn next(daemon: &Client, last: Option<MachineState>) -> Result<Status, ClientError> {
    let pause = match last {
        Some(MachineState::Up | MachineState::Absent | MachineState::Failed) => CALM,
        _ => SOON,
    };
    tokio::time::sleep(pause).await;
    daemon.status().await
}
