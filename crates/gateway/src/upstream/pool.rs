//! The pool of connections to the engine that clients left in good order, for another client's
//! question.
//!
//! Every `docker` command is a new client. A connection from the pool spares the machine, the agent
//! and the engine opening one and closing it. It may be stale when it is used, so only requests
//! that can be retried use the pool.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use super::connection::{Driver, Upstream};

/// As many as clients are likely to ask at the same time.
const MAX_CONNECTIONS: usize = 64;
/// How long a connection is kept: commands come in rows.
const MAX_IDLE: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(crate) struct Pool(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// The one that was used last stands last.
    connections: Vec<Pooled>,
    /// A task is going to close old ones.
    watched: bool,
}

struct Pooled {
    upstream: Upstream,
    driver: Driver,
    since: Instant,
}

impl Pool {
    /// Keeps a connection on which no request is in flight.
    pub(crate) fn keep(self: &Arc<Self>, upstream: Upstream, driver: Driver) {
        let mut inner = self.inner();
        if inner.connections.len() == MAX_CONNECTIONS {
            return;
        }
        inner.connections.push(Pooled { upstream, driver, since: Instant::now() });
        if !std::mem::replace(&mut inner.watched, true) {
            // Ends by itself once the pool is empty or gone.
            tokio::spawn(close_old_ones(Arc::downgrade(self)));
        }
    }

    /// A connection that is still open.
    pub(crate) async fn take(&self) -> Option<(Upstream, Driver)> {
        poll_fn(|cx| {
            loop {
                let Some(mut pooled) = self.inner().connections.pop() else {
                    return Poll::Ready(None);
                };
                // Not polled while it was in the pool: the engine may have closed it.
                if pooled.driver.as_mut().poll(cx).is_pending() && pooled.upstream.is_reusable() {
                    return Poll::Ready(Some((pooled.upstream, pooled.driver)));
                }
            }
        })
        .await
    }

    /// Closes all of them.
    pub(crate) fn close(&self) {
        // Dropped outside of the lock.
        let connections = std::mem::take(&mut self.inner().connections);
        drop(connections);
    }

    // Every critical section leaves it whole.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn close_old_ones(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(MAX_IDLE).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut inner = pool.inner();
        let fresh = inner
            .connections
            .iter()
            .position(|pooled| pooled.since.elapsed() < MAX_IDLE)
            .unwrap_or(inner.connections.len());
        let old: Vec<Pooled> = inner.connections.drain(..fresh).collect();
        inner.watched = !inner.connections.is_empty();
        let over = !inner.watched;
        drop(inner);
        drop(old);
        if over {
            return;
        }
    }
}
