//! What a person is told about a published port.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use serde::Serialize;

use crate::forward::Forward;
use crate::publication::Remote;
use crate::table::Listening;

/// One published port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PortStatus {
    /// Name of the container.
    pub container: String,
    /// Where it answers on this computer.
    pub local: SocketAddr,
    /// Where it leads, as seen from the machine.
    pub remote: Remote,
    /// Connections open now.
    pub connections_now: usize,
    /// Connections since the port was opened.
    pub connections_total: u64,
    /// Bytes to the container.
    pub bytes_in: u64,
    /// Bytes from the container.
    pub bytes_out: u64,
    /// Whether it answers.
    pub state: PortState,
}

/// Whether a published port answers on this computer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum PortState {
    /// It does.
    Open,
    /// It does not: the container was started by others, or its number was chosen by the engine, and the port is not to be had here.
    Unavailable {
        /// In words for a person.
        why: String,
    },
}

impl PortStatus {
    pub(crate) fn open(listening: &Listening, forward: Option<&Forward>) -> Self {
        let mut status = Self::of(listening, PortState::Open);
        if let Some(forward) = forward {
            let counters = &forward.counters;
            status.connections_now = counters.now.load(Ordering::Relaxed);
            status.connections_total = counters.total.load(Ordering::Relaxed);
            status.bytes_in = counters.bytes_in.load(Ordering::Relaxed);
            status.bytes_out = counters.bytes_out.load(Ordering::Relaxed);
        }
        status
    }

    pub(crate) fn missing(listening: &Listening, why: &str) -> Self {
        Self::of(listening, PortState::Unavailable { why: why.to_owned() })
    }

    fn of(listening: &Listening, state: PortState) -> Self {
        Self {
            container: listening.name.clone(),
            local: listening.local,
            remote: listening.remote.clone(),
            connections_now: 0,
            connections_total: 0,
            bytes_in: 0,
            bytes_out: 0,
            state,
        }
    }
}
