//! A local address: a protocol, an IP address and a port.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

/// A protocol other than `tcp` and `udp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the protocol is neither tcp nor udp")]
pub struct UnknownProtocol;

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(text: &str) -> Result<Self, UnknownProtocol> {
        match text {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            _ => Err(UnknownProtocol),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// An address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The protocol.
    pub protocol: Protocol,
    /// IP address and port.
    pub at: SocketAddr,
}

impl Address {
    /// Whether only one of the two can be listened on.
    pub fn overlaps(self, other: Self) -> bool {
        let (one, two) = (self.at.ip(), other.at.ip());
        let all = one.is_unspecified() || two.is_unspecified();
        self.protocol == other.protocol
            && self.at.port() == other.at.port()
            && (one == two || (all && one.is_ipv4() == two.is_ipv4()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            Protocol::Tcp => write!(f, "{}", self.at),
            Protocol::Udp => write!(f, "{}/udp", self.at),
        }
    }
}
