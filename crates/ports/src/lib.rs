//! Published container ports on localhost.
//!
//! The local port is taken before the container starts, so that a conflict is Docker's own error
//! and nothing runs. It answers before `start` does, and is closed when the container ends. The
//! engine's events, and a full list after every reconnect, keep this true for containers that other
//! clients started.
//!
//! `table` decides which listeners there should be and does no IO; `forward` is one listener, `tcp`
//! and `udp` carry its bytes; `docker` queries the engine. Nothing here knows how a machine is
//! reached, or when it comes and goes: the daemon calls [`Ports::run`] and [`Ports::detach`].

#![forbid(unsafe_code)]

mod address;
mod advice;
mod closable;
mod counters;
mod docker;
mod events;
mod forward;
mod listen;
mod listeners;
mod listening;
mod manual;
mod openings;
mod options;
mod own_address;
mod placement;
mod ports;
mod publication;
mod relay;
mod reservation;
mod rules;
mod sleepers;
mod status;
mod swarm;
mod table;
mod target;
mod tcp;
mod udp;

pub use address::Address;
pub use advice::Asked;
pub use api::{
    ByHand, EndedConnection, Local, NotAForward, PortState, PortStatus, Protocol, Remote, Traffic,
    UnknownProtocol,
};
pub use manual::AddError;
pub use options::Options;
pub use ports::Ports;
pub use reservation::{Conflict, Reservation};
pub use rules::{OnConflict, Rule, RuleError, Rules};
