//! The protocol between client and agent.
//!
//! One SSH channel carries yamux streams. Each stream begins with an [`Opening`] frame from the
//! client, followed by the bytes for its target; the agent answers with one [`Opened`] frame before
//! its first byte. Neither side waits for the other's frame, so a stream costs no extra round trip.
//! This crate defines the messages and their encoding; with the feature `tokio` it also reads and
//! writes frames.

#![forbid(unsafe_code)]

mod call;
mod causes;
pub mod datagram;
pub mod foreign;
mod frame;
pub mod image;
#[cfg(feature = "tokio")]
pub mod io;
pub mod log_line;
mod opening;
mod refusal;
mod request;

pub use call::{
    Call, ContainerCounts, DiskUsage, DockerState, EndOfLease, Heartbeat, MachineReport, Reply,
};
pub use causes::with_causes;
pub use frame::{FrameError, MAX_FRAME, decode, encode, missing};
pub use opening::{Direction, Opened, Opening};
pub use refusal::{Refusal, RefusalKind};
pub use request::Request;

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
