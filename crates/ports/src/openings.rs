//! Ports that are still being opened after the answer to a start.
//!
//! The gateway forwards the answer to a start at once. An inspect in between would wait for a
//! container that is just ending, and the client's own wait for a self-removing container would
//! come too late. Requests that need the ports of a started container wait here instead.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::bare_name;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The longest wait of a request. One inspect takes a round trip, and seconds if a container is
/// just ending.
const LONGEST: Duration = Duration::from_secs(10);

/// The openings in progress.
#[derive(Debug, Default)]
pub(crate) struct Openings(Mutex<Vec<Arc<Opening>>>);

#[derive(Debug)]
pub(crate) struct Opening {
    id: String,
    name: String,
    /// Cancelled when the machine is gone.
    pub(crate) cancelled: CancellationToken,
    done: CancellationToken,
}

impl Opening {
    fn is_of(&self, reference: &str) -> bool {
        let reference = bare_name(reference);
        self.name == reference || (!reference.is_empty() && self.id.starts_with(reference))
    }
}

impl Openings {
    pub(crate) fn begin(&self, id: String, name: String) -> Arc<Opening> {
        let opening = Arc::new(Opening {
            id,
            name,
            cancelled: CancellationToken::new(),
            done: CancellationToken::new(),
        });
        self.in_progress().push(opening.clone());
        opening
    }

    pub(crate) fn end(&self, opening: &Arc<Opening>) {
        self.in_progress().retain(|other| !Arc::ptr_eq(other, opening));
        opening.done.cancel();
    }

    /// Cancels all openings, because the machine is gone.
    pub(crate) fn cancel(&self) {
        self.in_progress().iter().for_each(|opening| opening.cancelled.cancel());
    }

    /// See [`crate::Ports::opened`].
    pub(crate) async fn wait(&self, reference: Option<&str>) {
        let openings: Vec<_> = {
            let in_progress = self.in_progress();
            in_progress
                .iter()
                .filter(|opening| reference.is_none_or(|reference| opening.is_of(reference)))
                .cloned()
                .collect()
        };
        if openings.is_empty() {
            return;
        }
        let all = async {
            for opening in openings {
                opening.done.cancelled().await;
            }
        };
        if timeout(LONGEST, all).await.is_err() {
            tracing::debug!(?reference, "ports of a started container are still not known");
        }
    }

    // Every critical section leaves it whole.
    fn in_progress(&self) -> MutexGuard<'_, Vec<Arc<Opening>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
