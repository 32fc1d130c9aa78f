//! The local Docker endpoint.
//!
//! Every request of every Docker client arrives here, and whatever a local dockerd would do with it
//! happens: one HTTP parser on each side, answers passed on byte by byte as they come, upgrades,
//! half-closed directions, abrupt ends. What is done to a request stands in one place, `chain`;
//! everything else is transport.
//!
//! The gateway does not know what a machine is or how it is reached: streams come from a
//! [`tunnel::Connector`], which may take as long as a machine takes to be made. It keeps no state
//! of the engine but [`Knowledge`] and its last answers, for who repeats a question ([`Presence`]).
//!
//! A bind mount of a folder of this computer is refused, or means the machine's: `binds`.

#![forbid(unsafe_code)]

mod answer;
mod bind_advice;
mod binds;
mod body;
mod chain;
mod chunked;
mod classify;
mod client;
mod connection;
mod created;
mod doors;
mod engine_io;
mod events;
mod frames;
mod framing;
mod hijack;
mod knowledge;
mod last_known;
mod link;
mod local_path;
mod outflow;
mod paths;
mod presence;
mod publish;
mod refused_start;
mod relay;
mod reply;
mod rest;
mod room;
mod serve;
mod socket;
mod sources;
mod spares;
mod upstream;
mod wait_progress;

pub use binds::{BindMounts, Folders};
pub use knowledge::Knowledge;
pub use presence::{Disk, Presence, Standing, Wait};
pub use serve::{Gateway, MAX_CLIENTS};
pub use socket::Socket;
