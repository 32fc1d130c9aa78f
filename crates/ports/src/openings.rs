//! Ports that are still being opened behind the answer to a start.
//!
//! The gateway passes the answer to a start on at once. An inspect in between would wait for a
//! container that is just ending, and the client's own wait for a self-removing container would
//! come too late. Requests that need the ports of a started container wait here instead.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::Ports;
use crate::reservation::Reservation;

/// One inspect takes a round trip, and seconds where a container is just ending. A request waits
/// no longer for an engine that is silent.
const LONGEST: Duration = Duration::from_secs(10);

/// The openings under way.
#[derive(Debug, Default)]
pub(crate) struct Openings(Mutex<Vec<Arc<Opening>>>);

#[derive(Debug)]
struct Opening {
    id: String,
    name: String,
    /// The machine is gone.
    cancelled: CancellationToken,
    done: CancellationToken,
}

impl Opening {
    fn is_of(&self, reference: &str) -> bool {
        let reference = reference.trim_start_matches('/');
        self.name == reference || (!reference.is_empty() && self.id.starts_with(reference))
    }
}

impl Openings {
    fn begin(&self, id: String, name: String) -> Arc<Opening> {
        let opening = Arc::new(Opening {
            id,
            name,
            cancelled: CancellationToken::new(),
            done: CancellationToken::new(),
        });
        self.under_way().push(opening.clone());
        opening
    }

    fn end(&self, opening: &Arc<Opening>) {
        self.under_way().retain(|other| !Arc::ptr_eq(other, opening));
        opening.done.cancel();
    }

    /// The machine is gone.
    pub(crate) fn cancel(&self) {
        self.under_way().iter().for_each(|opening| opening.cancelled.cancel());
    }

    // Every critical section leaves it whole.
    fn under_way(&self) -> MutexGuard<'_, Vec<Arc<Opening>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ports {
    /// Waits for the openings under way, 10 s at most: those of one container (by id, the beginning
    /// of its id, or name), or all of them. Returns at once where there are none.
    pub async fn opened(&self, reference: Option<&str>) {
        let openings: Vec<_> = {
            let under_way = self.0.openings.under_way();
            under_way
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

    /// Opens the ports of a started container behind the answer to its start.
    pub(crate) fn open_behind(&self, reservation: Reservation, id: String, name: String) {
        /// Ends the opening whatever becomes of the task.
        struct End(Ports, Arc<Opening>);
        impl Drop for End {
            fn drop(&mut self) {
                self.0.0.openings.end(&self.1);
            }
        }
        let opening = self.0.openings.begin(id, name);
        let (end, cancelled) = (End(self.clone(), opening.clone()), opening.cancelled.clone());
        self.0.tasks.spawn(async move {
            let _end = end;
            cancelled.run_until_cancelled(reservation.open()).await;
        });
    }
}
