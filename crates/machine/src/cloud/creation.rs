//! What the cloud goes on doing after it has accepted a new server: creating it, starting it,
//! attaching its volume. SSH reports success sooner than these actions do, so they are asked for
//! seldom, to learn of a failure.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Cloud;
use crate::observed::LONGEST_BOOT;

/// From the creation to the first look at its actions, and between later ones.
const FIRST_LOOK: Duration = Duration::from_secs(10);
const BETWEEN_LOOKS: Duration = Duration::from_secs(20);

/// A creation under way.
#[derive(Debug)]
pub(super) struct Creation {
    pub(super) server: u64,
    /// Ids of its actions.
    pub(super) actions: Vec<u64>,
    /// When the cloud accepted it.
    pub(super) begun: Instant,
}

impl Creation {
    /// Until the next look is due, whoever looked before.
    fn pause(&self) -> Duration {
        let age = self.begun.elapsed();
        let mut due = FIRST_LOOK;
        while due <= age {
            due += BETWEEN_LOOKS;
        }
        due - age
    }
}

impl Cloud {
    /// Waits until all actions have ended, or one has failed, for as long as a server may take.
    /// Without a creation it never ends.
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
                Err(error) => tracing::debug!(
                    error = crate::with_causes(&error),
                    "the actions cannot be looked at"
                ),
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

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn looks_are_due_by_the_age_of_the_creation() {
        let creation = Creation { server: 1, actions: Vec::new(), begun: Instant::now() };
        let seconds = |pause: Duration| pause.as_secs();
        assert_eq!(seconds(creation.pause()), 10);
        for (later, pause) in [(4, 6), (6, 20), (25, 15), (14, 1)] {
            advance(Duration::from_secs(later)).await;
            assert_eq!(seconds(creation.pause()), pause, "{later}");
        }
    }
}
