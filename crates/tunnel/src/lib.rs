//! Pinned SSH connections to a machine and the streams in them.

#![forbid(unsafe_code)]

mod stream;

pub use stream::{Class, Connector, Destination, OpenError, Stream};
