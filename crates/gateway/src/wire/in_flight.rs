//! The request that a client connection waits for: whether there is one, which connection carries
//! it, and how the client's end reaches the engine.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::gate::Gate;
use super::request_progress::RequestProgress;

#[derive(Default)]
pub(crate) struct InFlight(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    requests: usize,
    carrier: Option<Carrier>,
    /// Holds the request's body back.
    gate: Option<Arc<Gate>>,
    client_ended: bool,
}

/// The connection that carries the request.
struct Carrier {
    progress: Arc<RequestProgress>,
    /// Whether the client's end is passed on behind the request. A stream that is about to be taken
    /// over passes its end on behind its last bytes instead.
    passes_end: bool,
}

impl Carrier {
    fn end_client(&self) {
        if self.passes_end {
            self.progress.end_client();
        }
    }
}

/// A request is in flight until this is dropped.
pub(crate) struct Busy(Arc<InFlight>);

impl InFlight {
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        self.inner().requests += 1;
        Busy(self.clone())
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.inner().requests > 0
    }

    /// The request travels on this connection. The end of a client that has ended meanwhile is
    /// passed on.
    pub(crate) fn carried_by(&self, progress: Arc<RequestProgress>, passes_end: bool) {
        let carrier = Carrier { progress, passes_end };
        let mut inner = self.inner();
        if inner.client_ended {
            carrier.end_client();
        }
        inner.carrier = Some(carrier);
    }

    /// The client has closed its writing side. False while no connection carries the request, so
    /// that the engine cannot hear of it.
    pub(crate) fn end_client(&self) -> bool {
        let mut inner = self.inner();
        inner.client_ended = true;
        if let Some(carrier) = &inner.carrier {
            carrier.end_client();
        }
        inner.carrier.is_some()
    }

    /// The body of the request waits for this gate.
    pub(crate) fn gated_by(&self, gate: Arc<Gate>) {
        self.inner().gate = Some(gate);
    }

    /// The client sends the body unasked.
    pub(crate) fn open_gate(&self) {
        if let Some(gate) = &self.inner().gate {
            gate.open();
        }
    }

    // Every critical section leaves it whole.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut inner = self.0.inner();
        inner.requests -= 1;
        inner.carrier = None;
        inner.gate = None;
    }
}
