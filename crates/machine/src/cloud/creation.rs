//! What the cloud goes on doing after it has accepted a new server: creating it, starting it, attaching its volume. SSH reports success sooner than these
//! actions do, so they are asked for seldom, to learn of a failure.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Cloud;
use crate::observed::LONGEST_BOOT;

/// Before the first look at the actions, and between the later ones.
const PAUSES: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(15)];

/// A creation under way.
#[derive(Debug)]
pub(super) struct Creation {
    pub(super) server: u64,
    /// Ids of its actions.
    pub(super) actions: Vec<u64>,
}

impl Cloud {
    /// Waits until all actions have ended, or one has failed, for as long as a server may take. Without a creation it never ends.
    pub(super) async fn end_of(&self, creation: Option<&Creation>) -> hetzner::Result<()> {
        let Some(creation) = creation else { return std::future::pending().await };
        let [first, between] = PAUSES;
        let (begun, mut pause) = (Instant::now(), first);
        while begun.elapsed() < LONGEST_BOOT {
            sleep(pause).await;
            pause = between;
            match self.client.actions(&creation.actions).await {
                Ok(actions) => {
                    if let Some(failure) = actions.iter().find_map(hetzner::Action::failure) {
                        return Err(failure);
                    }
                    if !actions.iter().any(hetzner::Action::is_running) {
                        return Ok(());
                    }
                }
                Err(error) => tracing::debug!(error = crate::with_causes(&error), "the actions cannot be looked at"),
            }
        }
        Ok(())
    }

    /// The first failure; never if there is none.
    pub(super) async fn failure_of(&self, creation: Option<&Creation>) -> hetzner::Error {
        match self.end_of(creation).await {
            Err(failure) => failure,
            Ok(()) => std::future::pending().await,
        }
    }
}
