//! How a byte stream travels over SSH channels: striped over several of them, or over one channel
//! that cannot distinguish an end from a break.
//!
//! OpenSSH allows 2 MiB in flight per channel, which over a 30 ms path is half of a gigabit. To
//! fill a long path a transfer has to use several channels and several connections. A [`Bundle`]
//! cuts the stream into numbered chunks, sends each over any lane that has room, and restores the
//! order on the other side. If one lane can fill the path, it uses one. It compresses chunks that
//! shrink, where the path is the bottleneck. A lane is one channel of a bundle.
//!
//! A [`Terminated`] stream uses one channel and marks its end explicitly.
//!
//! Both sides of a connection use these types. They do not know what a lane is made of or what the
//! stream carries. The sender bounds what is in flight (by a multiplexer's credit): a bundle always
//! reads all of its lanes and buffers what arrived out of order.

#![forbid(unsafe_code)]

mod bundle;
mod chunk;
mod compress;
mod demand;
mod pause;
mod rate;
mod terminated;

pub use bundle::Bundle;
pub use terminated::{LONGEST as LONGEST_PIECE, Terminated, head_of_piece, terminator};
