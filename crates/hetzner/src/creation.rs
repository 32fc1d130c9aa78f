//! Creating a resource whose name is unique, so that a lost reply leaves neither a second one nor
//! an unknown one.
//!
//! A reply may be lost after the cloud did what was asked. Then the name tells: if it exists with
//! all labels that we asked for, it is ours. If it does not exist (yet), asking again is safe, for
//! the name cannot be taken twice.

use reqwest::Method;
use serde::Serialize;
use serde_json::Value;
use tokio::time::sleep;

use crate::action::Action;
use crate::error::{Error, Operation, Result};
use crate::exchange::Request;
use crate::resource::{Labels, Resource, Resources};

/// A resource that is created under a unique name, with labels.
pub(crate) trait Labelled: Resource {
    fn labels(&self) -> &Labels;
    /// On its way out, thus never the one that was just created.
    fn is_leaving(&self) -> bool {
        false
    }
}

/// How a resource came to be known.
pub(crate) enum Creation<T> {
    /// The API told.
    Reply(Operation, Value),
    /// The reply was lost, with this error, and the resource found by its name.
    Found(T, Error),
}

impl<T: Resource> Resources<T> {
    /// Creates a resource, or finds the one that was created when the reply was lost.
    pub(crate) async fn create_named(
        &self,
        name: &str,
        labels: &Labels,
        body: &impl Serialize,
    ) -> Result<Creation<T>>
    where
        T: Labelled,
    {
        let config = &self.client.config;
        let request = Request::new(Method::POST, format!("/{}", T::MANY)).body(body)?;
        let mut losses = 0;
        let mut last_loss = None;
        loop {
            let error = match self.client.send(&request).await {
                Ok(reply) => return Ok(Creation::Reply(request.operation, reply)),
                Err(error) => error,
            };
            let lost = error.is_lost_reply();
            if !lost && last_loss.is_none() {
                return Err(error);
            }
            // From the first loss on, no refusal tells that nothing was created: only the name
            // does.
            tracing::debug!(%error, name, "looking whether it was created all the same");
            match self.by_name(name).await {
                Ok(Some(found)) if is_ours(&found, labels) => {
                    return Ok(Creation::Found(found, error));
                }
                Ok(_) => {}
                Err(unseen) => {
                    tracing::debug!(error = %unseen, name, "it cannot be seen whether it was created");
                    return Err(if lost { error } else { last_loss.unwrap_or(error) });
                }
            }
            if !lost || losses >= config.retries {
                return Err(error);
            }
            sleep(config.policy().backoff.pause(losses, rand::random())).await;
            losses += 1;
            last_loss = Some(error);
        }
    }

    /// The actions that the lost reply would have told of: the one that created, and those that
    /// still run.
    pub(crate) async fn creating_actions(
        &self,
        id: u64,
        command: &str,
        lost: Error,
    ) -> Result<(Action, Vec<Action>)> {
        let mut actions = self.actions(id).await?;
        let Some(first) = actions.iter().position(|action| action.command == command) else {
            return Err(lost);
        };
        let creating = actions.remove(first);
        actions.retain(Action::is_running);
        Ok((creating, actions))
    }
}

/// Without any label there is nothing to know our own by.
fn is_ours<T: Labelled>(found: &T, labels: &Labels) -> bool {
    !found.is_leaving()
        && !labels.is_empty()
        && labels.iter().all(|(key, value)| found.labels().get(key) == Some(value))
}
