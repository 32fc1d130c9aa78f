//! Pinned SSH connections to a machine, and the streams in them.
//!
//! A [`Tunnel`] is one successful attempt: a host that proved its key, and routes for streams,
//! through the agent where it runs and over plain SSH channels where it does not. It knows nothing
//! of Docker's protocol, of clouds, or of when to reconnect.

#![forbid(unsafe_code)]

pub mod agent_banner;
mod agent_log;
mod agent_session;
mod agents;
mod bulk;
mod channel;
mod closed;
mod connection;
mod direct;
mod error;
mod exec;
mod fingerprint;
mod guarded;
mod host_keys;
mod known_hosts;
mod lazy_open;
mod login;
mod mux;
mod options;
mod plain;
mod pool;
mod process;
mod request;
mod route;
mod start;
mod stream;
mod tracked;
mod transport;
mod tunnel;
mod watchdog;
mod wire;

pub use agent_proto::{PROTOCOL, datagram};
pub use agents::{Agents, EmbeddedAgent};
pub use error::{CallError, ConnectError};
pub use exec::ExecOutput;
pub use fingerprint::{Fingerprint, NotAFingerprint};
pub use options::{AgentPlan, Endpoint, HostKeys, Identity, Options, Pins, Transport};
pub use process::{Process, ProcessEnd};
pub use request::{current_request, for_request};
pub use start::installed_agent;
pub use stream::{Class, Connector, Destination, OpenError, Stream};
pub use tracked::StreamCounts;
pub use tunnel::{AgentState, Statistics, Tunnel};
