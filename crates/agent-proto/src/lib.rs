//! What client and agent say to each other.
//!
//! One SSH channel carries yamux streams. Each stream opens with an [`Opening`] frame from the client and, after it, the bytes
//! of whatever it leads to; the agent answers with one [`Opened`] frame before its first byte. Both are sent without waiting for the other, so
//! that a stream costs no round trip of its own. This crate knows the words and their bytes, and does no IO.

#![forbid(unsafe_code)]

mod call;
mod frame;

pub use call::{Call, ContainerCounts, DiskUsage, DockerState, EndOfLease, Heartbeat, MachineReport, Reply};
pub use frame::{FrameError, MAX_FRAME, decode, encode};

use serde::{Deserialize, Serialize};

/// Raised when either side could misunderstand the other. The client starts the agent that it brought, by hash, so the two
/// differ only while a machine still runs the agent of an older client.
pub const PROTOCOL: u32 = 1;

/// Printed by `dockbridge-agent session` on its standard output before the first yamux byte. What a login shell or a banner
/// prints earlier is skipped up to this line.
pub const READY_LINE: &str = "dockbridge-agent ready\n";

/// The first frame of a stream, from the client: where it leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opening {
    /// The Docker socket of the machine.
    Docker,
    /// A TCP port as seen from the machine.
    Tcp {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A call to the agent itself; the reply is one [`Reply`] frame, then the stream ends.
    Call(Call),
}

/// The first frame of a stream, from the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opened {
    /// The stream leads where it was asked to.
    Ready,
    /// It does not; the stream ends after this frame.
    Refused(Refusal),
}

/// Why a stream could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What kind of failure, for the side that has to act on it.
    pub kind: RefusalKind,
    /// The operating system's own words.
    pub message: String,
}

/// Kinds of refusal that a client treats differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// Nothing listens there: a local connection is refused, too.
    ConnectionRefused,
    /// The socket file does not exist (dockerd has not started yet).
    NotFound,
    /// Anything else.
    Other,
}
