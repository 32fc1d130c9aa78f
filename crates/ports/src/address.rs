//! A local address: a protocol, an IP address and a port.

use std::fmt;
use std::net::SocketAddr;

use api::Protocol;

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
