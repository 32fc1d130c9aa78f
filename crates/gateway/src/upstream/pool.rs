//! Connections to the engine that clients left behind in good order, for the next client's
//! question.
//!
//! Every `docker` command is a new client: a question that finds a connection open spares the
//! machine, the agent and the engine opening one and closing it. Only what may be asked twice goes
//! by them, for they can be stale in the moment that they are used.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use crate::upstream::connection::{Driver, Upstream};

/// As many as clients are likely to ask at the same time.
const MOST: usize = 64;
/// How long one is kept: commands come in rows.
const KEPT: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(crate) struct Spares(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// The one that was used last stands last.
    spares: Vec<Spare>,
    /// Somebody is going to look for old ones.
    watched: bool,
}

struct Spare {
    upstream: Upstream,
    driver: Driver,
    since: Instant,
}

impl Spares {
    /// Keeps a connection on which nothing is under way.
    pub(crate) fn keep(self: &Arc<Self>, upstream: Upstream, driver: Driver) {
        let mut inner = self.inner();
        if inner.spares.len() == MOST {
            return;
        }
        inner.spares.push(Spare { upstream, driver, since: Instant::now() });
        if !std::mem::replace(&mut inner.watched, true) {
            tokio::spawn(close_old_ones(Arc::downgrade(self)));
        }
    }

    /// One that is still open, and what has to be polled for it to move.
    pub(crate) async fn take(&self) -> Option<(Upstream, Driver)> {
        poll_fn(|cx| {
            loop {
                let Some(mut spare) = self.inner().spares.pop() else { return Poll::Ready(None) };
                // Nobody has polled it since it was left: the engine may have closed it.
                if spare.driver.as_mut().poll(cx).is_pending() && spare.upstream.is_reusable() {
                    return Poll::Ready(Some((spare.upstream, spare.driver)));
                }
            }
        })
        .await
    }

    /// Closes all of them.
    pub(crate) fn close(&self) {
        // Outside of the lock.
        let spares = std::mem::take(&mut self.inner().spares);
        drop(spares);
    }

    // Every critical section leaves it whole.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn close_old_ones(spares: Weak<Spares>) {
    loop {
        tokio::time::sleep(KEPT).await;
        let Some(spares) = spares.upgrade() else { return };
        let mut inner = spares.inner();
        let fresh = inner
            .spares
            .iter()
            .position(|spare| spare.since.elapsed() < KEPT)
            .unwrap_or(inner.spares.len());
        let old: Vec<Spare> = inner.spares.drain(..fresh).collect();
        inner.watched = !inner.spares.is_empty();
        let over = !inner.watched;
        drop(inner);
        drop(old);
        if over {
            return;
        }
    }
}
