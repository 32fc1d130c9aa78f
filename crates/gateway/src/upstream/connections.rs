//! The connections to the engine that one client has. They end with the client.
//!
//! The client's own task polls them: no request passes from thread to thread, and everything to the
//! engine is closed when the task is dropped.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tunnel::{Class, Connector, Destination};

use super::connection::{Driver, Upstream};
use crate::error::Error;
use crate::wire::request_progress::RequestProgress;

#[derive(Default)]
pub(crate) struct Connections(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    drivers: Vec<(Arc<RequestProgress>, Driver)>,
    /// At most one of each class.
    idle: Vec<Upstream>,
}

impl Connections {
    /// An idle connection for a request of this class. A request that is no big transfer may use
    /// any connection for such requests. Only one that `lasts`, and may become a raw stream, does
    /// not use a connection for short questions.
    pub(crate) async fn idle(&self, class: Class, lasts: bool) -> Option<Upstream> {
        let mut upstream = {
            let mut inner = self.inner();
            let of = |wanted| inner.idle.iter().position(|upstream| upstream.class == wanted);
            let at = of(class).or_else(|| match class {
                Class::Question => of(Class::Interactive),
                Class::Interactive if !lasts => of(Class::Question),
                Class::Interactive | Class::Bulk => None,
            })?;
            inner.idle.swap_remove(at)
        };
        upstream.is_ready().await.then_some(upstream)
    }

    /// A new connection. Waits for as long as `connector` does, which may create a machine first.
    pub(crate) async fn dial(
        &self,
        connector: &dyn Connector,
        class: Class,
    ) -> Result<Upstream, Error> {
        let stream = connector.open(Destination::Docker, class).await.map_err(Error::Open)?;
        let (upstream, driver) = Upstream::over(stream, class).await.map_err(Error::Lost)?;
        self.adopt(&upstream, driver);
        Ok(upstream)
    }

    /// From now on the client's task polls this connection.
    pub(crate) fn adopt(&self, upstream: &Upstream, driver: Driver) {
        self.inner().drivers.push((upstream.progress(), driver));
    }

    /// Keeps a connection whose response has ended for the client's next request.
    pub(crate) fn park(&self, upstream: Upstream) {
        if upstream.is_reusable() {
            let mut inner = self.inner();
            inner.idle.retain(|idle| idle.class != upstream.class);
            inner.idle.push(upstream);
        }
    }

    /// An idle connection that may go to the pool when the client leaves.
    pub(crate) fn release(&self) -> Option<(Upstream, Driver)> {
        let mut inner = self.inner();
        let of = |wanted| {
            inner
                .idle
                .iter()
                .position(|upstream| upstream.class == wanted && upstream.is_poolable())
        };
        let at = of(Class::Question).or_else(|| of(Class::Interactive))?;
        let upstream = inner.idle.swap_remove(at);
        let progress = upstream.progress();
        let at = inner.drivers.iter().position(|(of, _)| Arc::ptr_eq(of, &progress))?;
        let (_, driver) = inner.drivers.swap_remove(at);
        Some((upstream, driver))
    }

    pub(crate) fn poll_drivers(&self, cx: &mut Context<'_>) {
        // Taken out meanwhile: polling one may call back into this.
        let mut drivers = std::mem::take(&mut self.inner().drivers);
        drivers.retain_mut(|(_, driver)| matches!(driver.as_mut().poll(cx), Poll::Pending));
        let mut inner = self.inner();
        drivers.append(&mut inner.drivers);
        inner.drivers = drivers;
    }

    // Every critical section leaves it whole.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
