//! Watches what the cloud does after it has accepted a new server: create it, start it, attach its
//! volume. SSH reports success sooner than these actions do, so they are polled rarely, to learn of
//! a failure.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::project::Cloud;
use crate::causes::with_causes;
use crate::observed::LONGEST_BOOT;

/// From the creation to the first poll of its actions, and between later polls.
const FIRST_POLL: Duration = Duration::from_secs(10);
const BETWEEN_POLLS: Duration = Duration::from_secs(20);

/// A creation in progress.
#[derive(Debug)]
pub(super) struct Creation {
    pub(super) server: u64,
    /// Ids of its actions.
    pub(super) actions: Vec<u64>,
    /// When the cloud accepted it.
    pub(super) begun: Instant,
}

impl Creation {
    /// Until the next poll is due, by the age of the creation.
    fn pause(&self) -> Duration {
        let age = self.begun.elapsed();
        let mut due = FIRST_POLL;
        while due <= age {
            due += BETWEEN_POLLS;
        }
        due - age
    }
}

impl Cloud {
    /// Waits until all actions have ended, or one has failed, at most [`LONGEST_BOOT`]. Never ends
    /// without a creation.
    pub(super) async fn end_of(&self, creation: Option<&Creation>) -> hetzner::Result<()> {
        let Some(creation) = creation else { return std::future::pending().await };
        while creation.begun.elapsed() < LONGEST_BOOT {
            sleep(creation.pause()).await;
            match self.client.actions(&creation.actions).await {
                Ok(actions) => {
                    if let Some(failure) = actions.iter().find_map(hetzner::Action::failure) {
                        return Err(failure);
                    }
                    if !actions.iter().any(hetzner::Action::is_running) {
                        return Ok(());
                    }
                }
                Err(error) => {
                    tracing::debug!(error = with_causes(&error), "the actions cannot be polled")
                }
            }
        }
        Ok(())
    }

    /// Waits for the first failure; forever if there is none.
    pub(super) async fn failure_of(&self, creation: Option<&Creation>) -> hetzner::Error {
        match self.end_of(creation).await {
            Err(failure) => failure,
            Ok(()) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn polls_are_due_by_the_age_of_the_creation() {
        let creation = Creation { server: 1, actions: Vec::new(), begun: Instant::now() };
        let seconds = |pause: Duration| pause.as_secs();
        assert_eq!(seconds(creation.pause()), 10);
        for (later, pause) in [(4, 6), (6, 20), (25, 15), (14, 1)] {
            advance(Duration::from_secs(later)).await;
            assert_eq!(seconds(creation.pause()), pause, "{later}");
        }
    }
}
