//! The destination of a port, and what carrying bytes to it needs.

use std::sync::Arc;

use lifecycle::{Activity, Guard, Kind};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use tunnel::{Connector, for_request};

use crate::counters::Counters;
use api::{Remote, RequestId};

/// The destination of a port, and what carries bytes to it.
pub(crate) struct Target {
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) activity: Activity,
    /// One permit for each stream of all forwards.
    pub(crate) places: Arc<Semaphore>,
    /// The port's name for users: `web:8080`.
    pub(crate) source: String,
    pub(crate) remote: Remote,
    /// Whether the destination is a container's own address, rather than a published port of the
    /// machine.
    pub(crate) is_containers: bool,
    pub(crate) counters: Arc<Counters>,
}

impl Target {
    pub(crate) fn activity(&self) -> Guard {
        self.activity.begin(Kind::Forward, self.source.clone())
    }

    /// Carries one connection, under an id that is in everything that is logged meanwhile, here and
    /// on the machine.
    pub(crate) fn traced<F: Future>(
        &self,
        carrying: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        let connection = RequestId::new(rand::random());
        // Level debug, like the events in it: each open connection would hold a span.
        let span = tracing::debug_span!("forward", port = %self.source, %connection);
        for_request(connection, carrying).instrument(span)
    }
}

/// Ends the tasks of an open port.
#[derive(Clone, Default)]
pub(crate) struct Ending {
    /// No further connection is accepted.
    pub(crate) closed: CancellationToken,
    /// Present connections are reset.
    pub(crate) cut: CancellationToken,
}
