//! Pinned SSH connections to a machine and the streams in them.
//!
//! A [`Tunnel`] is one attempt that succeeded: a host that proved its key, and a way for streams,
//! through the agent where it runs and by plain SSH channels where it does not. It knows nothing of
//! Docker's protocol, of clouds, or of when to connect again.

#![forbid(unsafe_code)]

mod bulk;
mod channel;
mod connection;
mod death;
mod error;
mod exec;
mod fingerprint;
mod known_hosts;
mod link;
mod login;
mod marker;
mod mux;
mod options;
mod pool;
mod process;
mod promised;
mod route;
mod start;
mod stream;
mod tracked;
mod tunnel;
mod watchdog;
mod ways;
mod wire;

pub use agent_proto::datagram;
pub use error::{CallError, ConnectError};
pub use exec::ExecOutput;
pub use fingerprint::{Fingerprint, NotAFingerprint};
pub use options::{AgentPlan, Endpoint, HostKeys, Identity, Options, Pins, Route};
pub use process::{Process, ProcessEnd};
pub use start::installed_agent;
pub use stream::{Class, Connector, Destination, OpenError, Stream};
pub use tunnel::{AgentState, Statistics, Tunnel};
