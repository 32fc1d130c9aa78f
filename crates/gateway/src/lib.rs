//! The local Docker endpoint.
//!
//! Every request of every Docker client arrives here and is treated as a local dockerd would treat
//! it: one HTTP parser on each side, bodies passed on as they come, upgrades, half-closes, abrupt
//! ends. `pipeline` lists what happens to a request, and `rules::table` which endpoint gets what.
//!
//! The gateway does not know what a machine is or how it is reached: streams come from a
//! [`tunnel::Connector`], which may create a machine first. Of the engine it keeps its identity
//! ([`EngineIdentity`]) and its last responses, for clients that poll.

#![forbid(unsafe_code)]

mod context;
mod engine_body;
mod engine_status;
mod error;
mod exchange;
mod local;
mod metrics;
mod pipeline;
mod respond;
mod rules;
mod serve;
mod session;
mod steps;
mod takeover;
mod trim;
mod upstream;
mod wire;

pub use engine_status::{Disk, EngineState, EngineStatus, Wait};
pub use local::ping::EngineIdentity;
pub use metrics::RequestMetrics;
pub use rules::local_path::{BindMounts, LocalPaths};
pub use serve::{Gateway, MAX_CLIENTS};
pub use wire::socket::Socket;
