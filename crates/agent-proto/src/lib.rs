//! The protocol between client and agent.
//!
//! One SSH channel carries yamux streams. Each stream begins with an [`Opening`] frame from the
//! client, followed by the bytes for its target; the agent answers with one [`Opened`] frame before
//! its first byte. Neither side waits for the other's frame, so a stream costs no extra round trip.
//! This crate defines the messages and their encoding; with the feature `tokio` it also reads and
//! writes frames.

#![forbid(unsafe_code)]

mod call;
pub mod datagram;
pub mod foreign;
mod frame;
pub mod image;
#[cfg(feature = "tokio")]
pub mod io;

pub use call::{
    Call, ContainerCounts, DiskUsage, DockerState, EndOfLease, Heartbeat, MachineReport, Reply,
};
pub use frame::{FrameError, MAX_FRAME, decode, encode, missing};

use serde::{Deserialize, Serialize};

/// Incremented when one side could misunderstand the other. The client starts the agent binary that
/// it uploaded, selected by hash, so the versions differ only while a machine still runs the agent
/// of an older client.
pub const PROTOCOL: u32 = 2;

/// `dockbridge-agent session` prints this on standard output before the first yamux byte. The
/// client skips everything up to this line, such as the output of a login shell or a banner.
pub const READY_LINE: &str = "dockbridge-agent ready\n";

/// The most streams that one session carries. The client observes it; beyond it the multiplexer
/// would close the whole session.
pub const MAX_STREAMS: usize = 1024;

/// The largest piece of a stream that is sent at once, in bytes: with yamux's 12-byte header it
/// fills one SSH packet of 32 KiB.
pub const SPLIT: usize = 32 * 1024 - 12;

/// The largest piece of a stream in a bundle of lanes, in bytes, where a chunk has a head of 17
/// bytes besides. The other side gives credit for whole pieces: with pieces four times as long,
/// half of the first credit never came back in time for more, and a path of 5 MB/s was used to two
/// thirds.
pub const LANES_SPLIT: usize = 32 * 1024 - 17 - 12;

/// How long the agent waits for all lanes of a bundle, in seconds: an SSH login takes ten round
/// trips, and a bundle needs several logins.
pub const LANES_WAIT_SECONDS: u64 = 30;

/// The direction of a lane's chunks. The client sends it as the lane's first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the machine.
    Up,
    /// To the client.
    Down,
}

impl Direction {
    /// The first byte of a lane.
    pub fn byte(self) -> u8 {
        match self {
            Direction::Up => b'u',
            Direction::Down => b'd',
        }
    }

    /// The direction that the first byte of a lane stands for.
    pub fn of(byte: u8) -> Option<Self> {
        [Direction::Up, Direction::Down].into_iter().find(|direction| direction.byte() == byte)
    }
}

/// The first frame of a stream, from the client: the stream's target. The agent opens streams for
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
    /// A UDP port as seen from the machine. The stream carries datagrams in both directions
    /// ([`datagram`]) until the client ends it. Only datagrams from that port are received.
    Udp {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A call to the agent itself. The reply is one [`Reply`] frame, then the stream ends.
    Call(Call),
    /// The sender has closed its side of a stream and now drops the rest of it; what still arrives
    /// from the other side is lost. yamux has no reset after a FIN, so the other side would write
    /// until its credit is used up and then wait forever. Not answered.
    Abandon {
        /// The yamux id of the stream.
        stream: u32,
    },
    /// The target's connection broke off after the client had closed its side. The agent holds the
    /// stream until the client gives it up: yamux shows a reset after a FIN as an end, so the
    /// broken stream would look complete. Not answered.
    Broken {
        /// The yamux id of the stream.
        stream: u32,
        /// The number of bytes of the stream before the break. This frame may arrive earlier than
        /// they do.
        after: u64,
    },
}

/// The first frame of a stream, from the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opened {
    /// The target is connected.
    Ready,
    /// The target is not connected. The stream ends after this frame.
    Refused(Refusal),
}

/// Why a stream could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The kind of failure, for the side that has to act on it.
    pub kind: RefusalKind,
    /// The operating system's message.
    pub message: String,
}

/// The kinds of refusal that a client treats differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// Nothing listens there; a local connection is refused, too.
    ConnectionRefused,
    /// The socket file does not exist (dockerd has not started yet).
    NotFound,
    /// Anything else.
    Other,
}
