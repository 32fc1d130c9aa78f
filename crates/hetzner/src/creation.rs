//! Creates a resource with a unique name, so that a lost reply leaves neither a duplicate nor an
//! unknown resource.
//!
//! A reply may be lost after the cloud has carried out the request. Then the name decides: if a
//! resource of that name exists with all requested labels, this request created it. If none exists
//! (yet), a retry is safe, because the name cannot be used twice.

use reqwest::Method;
use serde::Serialize;
use serde_json::Value;
use tokio::time::sleep;

use crate::action::Action;
use crate::error::{Error, RequestLine, Result};
use crate::exchange::Request;
use crate::query::Labels;
use crate::resource::{Resource, Resources};

/// A resource that is created with a unique name and labels.
pub(crate) trait Labeled: Resource {
    fn labels(&self) -> &Labels;
    /// Whether it is being deleted, so it cannot be the one that was just created.
    fn is_leaving(&self) -> bool {
        false
    }
}

/// How a created resource was found.
pub(crate) enum Creation<T> {
    /// In the API's reply.
    Reply(RequestLine, Value),
    /// By its name, after the reply was lost with this error.
    Found(T, Error),
}

impl<T: Resource> Resources<T> {
    /// Creates a resource, or finds the one that was created if the reply is lost.
    pub(crate) async fn create_named(
        &self,
        name: &str,
        labels: &Labels,
        body: &impl Serialize,
    ) -> Result<Creation<T>>
    where
        T: Labeled,
    {
        let config = &self.client.config;
        let request = Request::new(Method::POST, format!("/{}", T::MANY)).body(body)?;
        let mut losses = 0;
        let mut last_loss = None;
        loop {
            let error = match self.client.send(&request).await {
                Ok(reply) => return Ok(Creation::Reply(request.line, reply)),
                Err(error) => error,
            };
            let lost = error.is_lost_reply();
            if !lost && last_loss.is_none() {
                return Err(error);
            }
            // After a lost reply a refusal no longer means that nothing was created: only the name
            // decides.
            tracing::debug!(%error, name, "checking by name whether it was created");
            match self.by_name(name).await {
                Ok(Some(found)) if is_own(&found, labels) => {
                    return Ok(Creation::Found(found, error));
                }
                Ok(_) => {}
                Err(unseen) => {
                    tracing::debug!(error = %unseen, name, "the check by name failed");
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

    /// The actions that the lost reply would have contained: the creation, and those that still
    /// run.
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

/// Without labels no resource can be recognized.
fn is_own<T: Labeled>(found: &T, labels: &Labels) -> bool {
    !found.is_leaving()
        && !labels.is_empty()
        && labels.iter().all(|(key, value)| found.labels().get(key) == Some(value))
}
