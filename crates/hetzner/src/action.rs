//! Actions: what the cloud does after it has answered. Waits for several in few requests.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::error::{Code, Error, Result};
use crate::exchange::Request;

/// Ids in one request, as in Hetzner's own client.
const BATCH: usize = 25;

/// An action of the cloud, running or ended.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Action {
    /// Id.
    pub id: u64,
    /// Such as `create_server`.
    pub command: String,
    /// Its status.
    pub status: ActionStatus,
    /// Percent.
    #[serde(default)]
    pub progress: u8,
    /// Its start.
    pub started: Option<Timestamp>,
    /// Its end.
    pub finished: Option<Timestamp>,
    /// The resources that it changes.
    #[serde(default)]
    pub resources: Vec<ActionResource>,
    /// Why it failed, if it did.
    pub error: Option<ActionError>,
}

/// A resource that an action changes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ActionResource {
    /// Id of the resource.
    pub id: u64,
    /// Such as `server`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// Why an action failed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ActionError {
    /// The reason, for programs.
    pub code: Code,
    /// The reason, human-readable.
    pub message: String,
}

open_enum! {
    /// The status of an action.
    ActionStatus {
        Running = "running",
        Success = "success",
        Error = "error",
    }
}

impl Action {
    /// Whether it has neither succeeded nor failed.
    pub fn is_running(&self) -> bool {
        !matches!(self.status, ActionStatus::Success | ActionStatus::Error)
    }

    /// The error of an action that failed.
    pub fn failure(&self) -> Option<Error> {
        if self.status != ActionStatus::Error {
            return None;
        }
        let error = self.error.clone();
        let error = error.unwrap_or_else(|| ActionError {
            code: Code::UnknownError,
            message: "no reason given".into(),
        });
        Some(Error::Action {
            id: self.id,
            command: self.command.clone(),
            code: error.code,
            message: error.message,
        })
    }
}

impl Client {
    /// Waits until all actions have succeeded, at most [`Config::action_timeout`](crate::Config).
    /// Returns the first failure, in the given order.
    pub async fn wait(&self, actions: Vec<Action>) -> Result<()> {
        self.wait_at_most(actions, self.config.action_timeout).await
    }

    /// Like [`Client::wait`], with another limit: copying a large disk takes an hour.
    pub async fn wait_at_most(&self, actions: Vec<Action>, ceiling: Duration) -> Result<()> {
        let start = Instant::now();
        let mut actions = actions;
        let mut pause = self.config.poll_interval;
        loop {
            if let Some(failure) = actions.iter().find_map(Action::failure) {
                return Err(failure);
            }
            let running: Vec<u64> = actions
                .iter()
                .filter(|action| action.is_running())
                .map(|action| action.id)
                .collect();
            if running.is_empty() {
                return Ok(());
            }
            let waited = start.elapsed();
            if waited >= ceiling {
                return Err(Error::TimedOut { ids: running, after: waited });
            }
            sleep(pause.min(ceiling - waited)).await;
            pause = (pause * 2).min(self.config.longest_poll_interval);
            actions = self.actions(&running).await?;
        }
    }

    /// The present state of actions, in the order of the ids.
    pub async fn actions(&self, ids: &[u64]) -> Result<Vec<Action>> {
        let mut found = Vec::with_capacity(ids.len());
        for batch in ids.chunks(BATCH) {
            let query = batch.iter().map(|id| ("id", id.to_string())).collect();
            let request = Request::new(Method::GET, "/actions".into()).query(query);
            let batch: Vec<Action> = self.ask(request, "actions").await?;
            found.extend(batch);
        }
        let (ordered, missing) =
            ids.iter().fold((Vec::new(), Vec::new()), |(mut ordered, mut missing), id| {
                match found.iter().find(|action| action.id == *id) {
                    Some(action) => ordered.push(action.clone()),
                    None => missing.push(*id),
                }
                (ordered, missing)
            });
        if missing.is_empty() { Ok(ordered) } else { Err(Error::ActionUnknown { ids: missing }) }
    }
}
