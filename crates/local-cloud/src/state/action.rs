//! Actions: their command, progress and result.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::{Id, Resource};

/// One action as the API reports it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Action {
    pub(crate) id: Id,
    pub(crate) command: String,
    pub(crate) resources: Vec<Resource>,
    pub(crate) progress: Progress,
    /// When it was requested.
    pub(crate) started: Timestamp,
    pub(crate) finished: Option<Timestamp>,
    /// When it began to run, and its expected duration.
    #[serde(skip)]
    pub(crate) begun: Option<(Timestamp, Duration)>,
}

/// The progress of an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Progress {
    Running,
    Success,
    Error(ActionError),
}

/// Why an action failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ActionError {
    pub(crate) code: String,
    pub(crate) message: String,
}

impl ActionError {
    pub(crate) fn new(code: &str, message: impl Into<String>) -> ActionError {
        ActionError { code: code.to_owned(), message: message.into() }
    }

    /// For failures without a better code.
    pub(crate) fn failed(message: impl Into<String>) -> ActionError {
        ActionError::new("action_failed", message)
    }
}

impl Action {
    pub(crate) fn asked(id: Id, command: &str, resources: &[Resource], now: Timestamp) -> Action {
        Action {
            id,
            command: command.to_owned(),
            resources: resources.to_vec(),
            progress: Progress::Running,
            started: now,
            finished: None,
            begun: None,
        }
    }

    pub(crate) fn end(&mut self, result: Result<(), ActionError>, now: Timestamp) {
        self.finished = Some(now);
        self.progress = match result {
            Ok(()) => Progress::Success,
            Err(error) => Progress::Error(error),
        };
    }

    /// 0 until it runs, then the share of the expected time that has passed, 100 at the end.
    pub(crate) fn percent(&self, now: Timestamp) -> u8 {
        match (&self.progress, self.begun) {
            (Progress::Running, None) => 0,
            (Progress::Running, Some((begun, expected))) => {
                let passed = now.duration_since(begun).as_secs_f64().max(0.0);
                (passed / expected.as_secs_f64().max(0.001) * 100.0).min(99.0) as u8
            }
            _ => 100,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_grows_with_time_and_reaches_100_only_at_the_end() {
        let start: Timestamp = "2026-10-01T00:00:00Z".parse().unwrap();
        let mut action = Action::asked(1, "start_server", &[Resource::Server(2)], start);
        assert_eq!(action.percent(start), 0);
        action.begun = Some((start, Duration::from_secs(10)));
        assert_eq!(action.percent(start + Duration::from_secs(5)), 50);
        assert_eq!(action.percent(start + Duration::from_secs(50)), 99);
        action.end(Ok(()), start + Duration::from_secs(51));
        assert_eq!(action.percent(start + Duration::from_secs(51)), 100);
    }
}
