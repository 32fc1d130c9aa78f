//! How a stream begins: what the client asks for, and what the agent answers. Knows no bytes.

use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::refusal::Refusal;

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
    /// (module `datagram`) until the client ends it. Only datagrams from that port are received.
    Udp {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A call to the agent itself. The reply is one `Reply` frame, then the stream ends.
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
