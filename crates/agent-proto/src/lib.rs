//! What client and agent say to each other.
//!
//! One SSH channel carries yamux streams. Each stream opens with an [`Opening`] frame from the
//! client and, after it, the bytes of whatever it leads to; the agent answers with one [`Opened`]
//! frame before its first byte. Both are sent without waiting for the other, so that a stream costs
//! no round trip of its own. This crate knows the words and their bytes, and does no IO.

#![forbid(unsafe_code)]

mod call;
pub mod datagram;
pub mod foreign;
mod frame;
pub mod image;

pub use call::{
    Call, ContainerCounts, DiskUsage, DockerState, EndOfLease, Heartbeat, MachineReport, Reply,
};
pub use frame::{FrameError, MAX_FRAME, decode, encode, missing};

use serde::{Deserialize, Serialize};

/// Raised when either side could misunderstand the other. The client starts the agent that it
/// brought, by hash, so the two differ only while a machine still runs the agent of an older
/// client.
pub const PROTOCOL: u32 = 2;

/// Printed by `dockbridge-agent session` on its standard output before the first yamux byte. What a
/// login shell or a banner prints earlier is skipped up to this line.
pub const READY_LINE: &str = "dockbridge-agent ready\n";

/// Streams that one session carries at most. The client keeps to it; beyond it the multiplexer
/// would give up the whole session.
pub const MAX_STREAMS: usize = 1024;

/// The largest piece of a stream that is sent at once, in bytes: with yamux's header of 12 it fills
/// one SSH packet of 32 KiB.
pub const SPLIT: usize = 32 * 1024 - 12;

/// The same in a bundle of lanes, where a chunk has a head of 17 bytes besides. The other side
/// gives credit for whole pieces: with four times as long ones half of the first credit was never
/// there in time for more, and a path of 5 MB/s was used to two thirds.
pub const LANES_SPLIT: usize = 32 * 1024 - 17 - 12;

/// How long the agent waits for all lanes of a bundle, in seconds: an SSH login takes ten round
/// trips, and there are several.
pub const LANES_WAIT_SECONDS: u64 = 30;

/// Which way the chunks of a lane go. The client says it with the lane's first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the machine.
    Up,
    /// To the client.
    Down,
}

impl Direction {
    /// As a lane begins.
    pub fn byte(self) -> u8 {
        match self {
            Direction::Up => b'u',
            Direction::Down => b'd',
        }
    }

    /// What a lane that begins with `byte` is for.
    pub fn of(byte: u8) -> Option<Self> {
        [Direction::Up, Direction::Down].into_iter().find(|direction| direction.byte() == byte)
    }
}

/// The first frame of a stream, from the client: where it leads. The agent opens streams for
/// [`Opening::Abandon`] and [`Opening::Broken`] only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opening {
    /// The Docker socket of the machine.
    Docker,
    /// Another Unix socket of the machine.
    Socket {
        /// Its path.
        path: String,
    },
    /// A TCP port as seen from the machine.
    Tcp {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A UDP port as seen from the machine. The stream carries datagrams both ways ([`datagram`])
    /// until the client ends it; who answers is heard only if it is that port.
    Udp {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A call to the agent itself; the reply is one [`Reply`] frame, then the stream ends.
    Call(Call),
    /// The sender has closed its side of a stream and now drops the rest of it; whatever still
    /// comes from the other side is lost. yamux has no reset after a FIN, so that the other side
    /// would write until its credit is used up and then wait for ever. Not answered.
    Abandon {
        /// The yamux id of the stream.
        stream: u32,
    },
    /// What a stream leads to broke off after the client had closed its own side; the agent holds
    /// the stream until the client gives it up. yamux shows a reset after a FIN as an end, so that
    /// what broke off would look whole. Not answered.
    Broken {
        /// The yamux id of the stream.
        stream: u32,
        /// So many bytes of the stream come before the break: this may be heard earlier than they
        /// are.
        after: u64,
    },
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
