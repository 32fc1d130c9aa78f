//! The local Docker endpoint.
//!
//! Every request of every Docker client arrives here, and whatever a local dockerd would do with it
//! happens: one HTTP parser on each side, answers passed on byte by byte as they come, upgrades,
//! half-closed directions, abrupt ends. What is done to a request stands in one place, `pipeline`;
//! everything else is transport.
//!
//! The gateway does not know what a machine is or how it is reached: streams come from a
//! [`tunnel::Connector`], which may take as long as a machine takes to be made. It keeps no state
//! of the engine but [`EngineIdentity`] and its last answers, for who repeats a question ([`EngineStatus`]).
//!
//! A bind mount of a folder of this computer is refused, or means the machine's: `rules::bind_mounts`.

#![forbid(unsafe_code)]

mod context;
mod error;
mod local;
mod pipeline;
mod rules;
mod serve;
mod session;
mod takeover;
mod trim;
mod upstream;
mod wire;

pub use local::engine_status::{Disk, EngineState, EngineStatus, Wait};
pub use local::ping::EngineIdentity;
pub use rules::bind_mounts::{BindMounts, LocalPaths};
pub use serve::{Gateway, MAX_CLIENTS};
pub use wire::socket::Socket;
