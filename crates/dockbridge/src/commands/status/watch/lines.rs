//! The watch without a terminal: a line for each change, with its time.

use api::client::ClientError;
use api::{MachineState, Status};

use super::super::local_time::LocalTime;
use crate::failure::Outcome;
use crate::output::{say_styled, with_arguments};
use crate::resolved::Resolved;

/// Ends when the output is closed.
pub async fn run(resolved: &Resolved, first: Status) -> Outcome {
    let daemon = resolved.daemon();
    let mut seen: Result<Status, ClientError> = Ok(first);
    let mut said = String::new();
    loop {
        let line = match &seen {
            Ok(status) => line(status),
            Err(error) => error.to_string(),
        };
        if line != said {
            let now = LocalTime::now().exactly_ago(0);
            if !say_styled(&with_arguments(&format!("{now}  {line}"))) {
                return Ok(());
            }
            said = line;
        }
        let last = seen.as_ref().ok().map(|status| status.state);
        seen = super::next(&daemon, last).await;
    }
}

/// What changed: nothing here counts seconds.
fn line(status: &Status) -> String {
    let reason = status.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    match (status.state, status.phases.last().filter(|phase| !phase.over)) {
        (MachineState::Waking, Some(phase)) => {
            let detail = phase.detail.as_ref().map(|detail| format!(" ({detail})"));
            format!("waking: {}{}", phase.words, detail.unwrap_or_default())
        }
        (MachineState::Up, _) => {
            let what: Vec<&str> = (status.why.reasons.iter())
                .filter(|reason| reason.seconds.is_none())
                .map(|reason| reason.what.as_str())
                .collect();
            match what.is_empty() {
                true => "up, idle".to_owned(),
                false => format!("up, kept by {}", what.join(", ")),
            }
        }
        (state, _) => format!("{state}{reason}"),
    }
}
