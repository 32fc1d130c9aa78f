//! What one client connection has upstream: connections to the engine that move with it and end
//! with it.
//!
//! They are driven by the client connection's own task: nothing is handed from thread to thread on
//! the way of a request, and when the task is dropped, everything upstream is closed with it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use hyper::upgrade::OnUpgrade;
use lifecycle::Guard;
use tunnel::{Class, Connector, Destination};

use crate::error::Failure;
use crate::takeover::relay::Relay;
use crate::upstream::connection::{Driver, Upstream, Way};
use crate::wire::body::Gate;
use crate::wire::client_io::Told;

#[derive(Default)]
pub(crate) struct Link {
    inner: Mutex<Inner>,
    told: Arc<Told>,
}

#[derive(Default)]
struct Inner {
    drivers: Vec<(Arc<Way>, Driver)>,
    /// Idle connections, at most one of each class.
    idle: Vec<Upstream>,
    requests: usize,
    /// The connection that carries the request under way.
    carrier: Option<Carrier>,
    /// What holds the body of the request under way back.
    gate: Option<Arc<Gate>>,
    client_ended: bool,
    hijack: Option<Hijacked>,
    relay: Option<Relay>,
}

/// How the client's end gets to the engine.
struct Carrier {
    way: Arc<Way>,
    /// Behind the request: nothing can follow it. A stream that is going to be taken over passes
    /// its end on behind what was said in it.
    passes_end: bool,
}

impl Carrier {
    fn client_ended(&self) {
        if self.passes_end {
            self.way.want();
        }
    }
}

/// The engine took the connection over.
pub(crate) struct Hijacked {
    pub(crate) upgrade: OnUpgrade,
    pub(crate) upstream: Upstream,
    pub(crate) guard: Arc<Guard>,
    /// What the engine says comes in frames.
    pub(crate) framed: bool,
}

/// A request is under way until this is dropped. It does not keep the link, which may hold it.
pub(crate) struct Busy(Weak<Link>);

impl Link {
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        self.inner().requests += 1;
        Busy(Arc::downgrade(self))
    }

    pub(crate) fn told(&self) -> &Arc<Told> {
        &self.told
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.inner().requests > 0
    }

    /// An idle connection for a request of this class. What is no big transfer goes by any that is
    /// for none; only what `lasts`, and may become a stream, does not stay where short questions
    /// are asked.
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

    /// A new connection. May take as long as a machine takes to be made.
    pub(crate) async fn dial(
        &self,
        connector: &dyn Connector,
        class: Class,
    ) -> Result<Upstream, Failure> {
        let stream = connector.open(Destination::Docker, class).await.map_err(Failure::Open)?;
        let (upstream, driver) = Upstream::over(stream, class).await.map_err(Failure::Lost)?;
        self.adopt(&upstream, driver);
        Ok(upstream)
    }

    /// A connection that is there moves with the client from now on.
    pub(crate) fn adopt(&self, upstream: &Upstream, driver: Driver) {
        self.inner().drivers.push((upstream.way(), driver));
    }

    /// An idle connection that the client leaves behind for the next one's question.
    pub(crate) fn leave(&self) -> Option<(Upstream, Driver)> {
        let mut inner = self.inner();
        let of = |wanted| {
            inner
                .idle
                .iter()
                .position(|upstream| upstream.class == wanted && upstream.is_worth_leaving())
        };
        let at = of(Class::Question).or_else(|| of(Class::Interactive))?;
        let upstream = inner.idle.swap_remove(at);
        let way = upstream.way();
        let at = inner.drivers.iter().position(|(of, _)| Arc::ptr_eq(of, &way))?;
        let (_, driver) = inner.drivers.swap_remove(at);
        Some((upstream, driver))
    }

    /// The request travels on this connection now. A client that has ended meanwhile is passed on
    /// as such.
    pub(crate) fn carried_by(&self, upstream: &Upstream, passes_end: bool) {
        let carrier = Carrier { way: upstream.way(), passes_end };
        let mut inner = self.inner();
        if inner.client_ended {
            carrier.client_ended();
        }
        inner.carrier = Some(carrier);
    }

    /// The body of the request under way is not asked for before the engine wants it.
    pub(crate) fn gated_by(&self, gate: Arc<Gate>) {
        self.inner().gate = Some(gate);
    }

    /// The client sends the body without having been asked.
    pub(crate) fn open_gate(&self) {
        if let Some(gate) = &self.inner().gate {
            gate.open();
        }
    }

    /// The client has closed its writing side. False when there is nobody yet to pass that on to.
    pub(crate) fn client_ended(&self) -> bool {
        let mut inner = self.inner();
        inner.client_ended = true;
        if let Some(carrier) = &inner.carrier {
            carrier.client_ended();
        }
        inner.carrier.is_some()
    }

    /// A connection whose answer has ended, for the client's next request.
    pub(crate) fn park(&self, upstream: Upstream) {
        let mut inner = self.inner();
        inner.carrier = None;
        if upstream.is_reusable() {
            inner.idle.retain(|idle| idle.class != upstream.class);
            inner.idle.push(upstream);
        }
    }

    pub(crate) fn hijacked(&self, hijacked: Hijacked) {
        self.inner().hijack = Some(hijacked);
    }

    pub(crate) fn take_hijacked(&self) -> Option<Hijacked> {
        self.inner().hijack.take()
    }

    /// The head of an answer is written that is going to be relayed.
    pub(crate) fn relays(&self, relay: Relay) {
        self.inner().relay = Some(relay);
    }

    /// Once the client's socket has taken the head.
    pub(crate) fn take_relay(&self) -> Option<Relay> {
        if self.told.is_blocked() { None } else { self.inner().relay.take() }
    }

    /// Moves every upstream connection on.
    pub(crate) fn poll_drivers(&self, cx: &mut Context<'_>) {
        // Taken out while they are polled: what they wake may come back here.
        let mut drivers = std::mem::take(&mut self.inner().drivers);
        drivers.retain_mut(|(_, driver)| matches!(driver.as_mut().poll(cx), Poll::Pending));
        let mut inner = self.inner();
        drivers.append(&mut inner.drivers);
        inner.drivers = drivers;
    }

    // Every critical section leaves it whole.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let Some(link) = self.0.upgrade() else { return };
        let mut inner = link.inner();
        inner.requests -= 1;
        inner.carrier = None;
        inner.gate = None;
    }
}
