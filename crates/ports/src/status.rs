//! The status of forwards, for users.

use std::net::SocketAddr;

use api::{PortState, PortStatus, Traffic};

use crate::address::Address;
use crate::counters::Counters;
use crate::listening::{Listening, Manual, Open};

pub(crate) fn open(open: &Open, counters: Option<&Counters>) -> PortStatus {
    let wanted = open.listening.slot.wanted.at;
    let local = open.at.first().copied().unwrap_or(wanted);
    PortStatus {
        local,
        addresses: open.at.clone(),
        asked_for: (local.port() != wanted.port()).then_some(wanted),
        traffic: counters.map(Counters::read).unwrap_or_default(),
        ..status_of(&open.listening, PortState::Open)
    }
}

pub(crate) fn missing(listening: &Listening, why: &str) -> PortStatus {
    status_of(listening, PortState::Unavailable { why: why.to_owned() })
}

pub(crate) fn asleep(listening: &Listening, at: &[SocketAddr]) -> PortStatus {
    let why =
        "its machine was taken down; any docker command, or `dockbridge wake`, brings it back"
            .to_owned();
    let local = at.first().copied().unwrap_or(listening.slot.wanted.at);
    PortStatus { local, ..status_of(listening, PortState::Asleep { why }) }
}

pub(crate) fn waiting(address: Address, forward: &Manual) -> PortStatus {
    PortStatus {
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

fn status_of(listening: &Listening, state: PortState) -> PortStatus {
    PortStatus {
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
