//! The destination of a port, and what carrying bytes to it needs.

use std::sync::Arc;

use lifecycle::{Activity, Guard, Kind};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tunnel::Connector;

use crate::counters::Counters;
use crate::publication::Remote;

/// What a port leads to, and with whose help.
pub(crate) struct Target {
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) activity: Activity,
    /// Streams of all forwards together.
    pub(crate) places: Arc<Semaphore>,
    /// For the person: `web:8080`.
    pub(crate) source: String,
    pub(crate) remote: Remote,
    /// A container's own address, rather than a published port of the machine.
    pub(crate) is_containers: bool,
    pub(crate) counters: Arc<Counters>,
}

impl Target {
    pub(crate) fn activity(&self) -> Guard {
        self.activity.begin(Kind::Forward, self.source.clone())
    }
}

/// Ends what runs behind an open port.
#[derive(Clone, Default)]
pub(crate) struct Ending {
    /// Nobody new comes.
    pub(crate) closed: CancellationToken,
    /// Whoever is there is cut off.
    pub(crate) cut: CancellationToken,
}
