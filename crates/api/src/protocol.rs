//! The protocol of a port.

use std::str::FromStr;

use thiserror::Error;

words! {
    /// The protocol of a port.
    pub enum Protocol {
        /// Connections.
        Tcp = "tcp",
        /// Datagrams.
        Udp = "udp",
    }
}

/// A protocol other than `tcp` and `udp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the protocol is neither tcp nor udp")]
pub struct UnknownProtocol;

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(text: &str) -> Result<Self, UnknownProtocol> {
        Self::ALL.iter().copied().find(|one| one.word() == text).ok_or(UnknownProtocol)
    }
}
