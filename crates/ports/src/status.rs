//! The status of forwards, for users.

use std::net::SocketAddr;

use serde::Serialize;

use crate::address::{Address, Protocol};
use crate::counters::{Counters, Traffic};
use crate::listening::{Listening, Manual, Open};
use crate::publication::Remote;

/// A forward: a published port or a manual one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PortStatus {
    /// Name of the container.
    pub container: String,
    /// The protocol.
    pub protocol: Protocol,
    /// Where it answers (or should) on this computer.
    pub local: SocketAddr,
    /// All addresses on which it answers.
    pub addresses: Vec<SocketAddr>,
    /// The wanted address, if it was in use and another port was chosen.
    pub asked_for: Option<SocketAddr>,
    /// Port of the container.
    pub container_port: u16,
    /// The destination, as seen from the machine.
    pub remote: Option<Remote>,
    /// Made by the user, not published by the container.
    pub by_hand: bool,
    /// Its traffic.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// Whether it answers.
    pub state: PortState,
}

/// Whether a forward answers on this computer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum PortState {
    /// It answers.
    Open,
    /// It does not answer: another client started the container, or the engine chose its number,
    /// and the port is not available here.
    Unavailable {
        /// The reason, human-readable.
        why: String,
    },
    /// It does not answer: dockbridge has taken its machine down, and the container with it.
    Asleep {
        /// The reason, human-readable.
        why: String,
    },
    /// It does not answer yet: it is a manual forward whose container does not run.
    Waiting {
        /// The reason, human-readable.
        why: String,
    },
}

impl PortStatus {
    pub(crate) fn open(open: &Open, counters: Option<&Counters>) -> Self {
        let wanted = open.listening.slot.wanted.at;
        let local = open.at.first().copied().unwrap_or(wanted);
        Self {
            local,
            addresses: open.at.clone(),
            asked_for: (local.port() != wanted.port()).then_some(wanted),
            traffic: counters.map(Counters::read).unwrap_or_default(),
            ..Self::of(&open.listening, PortState::Open)
        }
    }

    pub(crate) fn missing(listening: &Listening, why: &str) -> Self {
        Self::of(listening, PortState::Unavailable { why: why.to_owned() })
    }

    pub(crate) fn asleep(listening: &Listening, at: &[SocketAddr]) -> Self {
        let why =
            "its machine was taken down; any docker command, or `dockbridge wake`, brings it back"
                .to_owned();
        let local = at.first().copied().unwrap_or(listening.slot.wanted.at);
        Self { local, ..Self::of(listening, PortState::Asleep { why }) }
    }

    pub(crate) fn waiting(address: Address, forward: &Manual) -> Self {
        Self {
            container: forward.container.clone(),
            protocol: address.protocol,
            local: address.at,
            addresses: Vec::new(),
            asked_for: None,
            container_port: forward.inside,
            remote: None,
            by_hand: true,
            traffic: Traffic::default(),
            state: PortState::Waiting {
                why: format!("no container {} runs with a network of its own", forward.container),
            },
        }
    }

    fn of(listening: &Listening, state: PortState) -> Self {
        Self {
            container: listening.name.clone(),
            protocol: listening.slot.wanted.protocol,
            local: listening.slot.wanted.at,
            addresses: Vec::new(),
            asked_for: None,
            container_port: listening.inside,
            remote: Some(listening.remote.clone()),
            by_hand: listening.slot.by_hand,
            traffic: Traffic::default(),
            state,
        }
    }
}
