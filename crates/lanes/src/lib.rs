//! How a stream of bytes travels by channels of SSH: over several of them, or over one that cannot
//! tell an end from a break.
//!
//! OpenSSH lets 2 MiB be on their way in a channel, which over 30 ms is half of a gigabit; a
//! transfer that shall fill a long path has to be spread over several channels, and over several
//! connections. A [`Bundle`] cuts the stream into chunks with numbers, sends each by whichever lane
//! has room, and puts them in order again on the other side; on a path that one lane can fill it
//! uses one; a chunk that gets shorter by it is compressed where the path is the bottleneck.
//!
//! A [`Sealed`] stream goes by one channel, and its end says that it is one.
//!
//! Both ends use them. They do not know what a lane is made of, nor what travels in the stream; how
//! much may be on its way is bounded by whoever sends (a multiplexer with credit): a bundle always
//! reads all of its lanes, and keeps what arrived out of order.

#![forbid(unsafe_code)]

mod bundle;
mod chunk;
mod demand;
mod press;
mod sealed;
mod speed;

pub use bundle::Bundle;
pub use sealed::{LONGEST as LONGEST_PIECE, Sealed, head_of_piece, seal};
