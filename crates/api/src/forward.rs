//! The notation of manual forwards.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::protocol::Protocol;

/// The local address of a manual forward, written `[ADDRESS:]PORT[/udp]`. The default address is
/// that of published ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Local {
    /// Address of this computer.
    pub address: Option<IpAddr>,
    /// Port of this computer.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
}

/// A manual forward, written `LOCAL:CONTAINER:PORT[/udp]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHand {
    /// The local address.
    pub local: Local,
    /// Name or id of the container.
    pub container: String,
    /// Port of the container, published or not.
    pub port: u16,
}

/// Invalid notation of a manual forward.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is no forward: {why}; write {form}")]
pub struct NotAForward {
    text: String,
    why: &'static str,
    form: &'static str,
}

const FORM: &str = "LOCAL:CONTAINER:PORT, such as 8080:web:80, 127.0.0.2:8080:web:80 or \
    5353:dns:53/udp";
const LOCAL: &str = "PORT or ADDRESS:PORT, with /udp for datagrams, such as 8080, [::1]:8080 or \
    5353/udp";

fn protocol(text: &str) -> Result<(&str, Protocol), &'static str> {
    match text.rsplit_once('/') {
        Some((rest, protocol)) => {
            Ok((rest, protocol.parse().map_err(|_| "the protocol is neither tcp nor udp")?))
        }
        None => Ok((text, Protocol::Tcp)),
    }
}

fn port(text: &str) -> Result<u16, &'static str> {
    text.parse().ok().filter(|port| *port != 0).ok_or("a port is a number from 1 to 65535")
}

fn local(text: &str, protocol: Protocol) -> Result<Local, &'static str> {
    if let Ok(at) = text.parse::<SocketAddr>() {
        return Ok(Local { address: Some(at.ip()), port: port(&at.port().to_string())?, protocol });
    }
    match text.rsplit_once(':') {
        Some(_) => Err("the address is not an IP address (write an IPv6 address in brackets)"),
        None => Ok(Local { address: None, port: port(text)?, protocol }),
    }
}

impl FromStr for Local {
    type Err = NotAForward;

    fn from_str(text: &str) -> Result<Self, NotAForward> {
        let parsed = protocol(text).and_then(|(rest, protocol)| local(rest, protocol));
        parsed.map_err(|why| NotAForward { text: text.to_owned(), why, form: LOCAL })
    }
}

impl FromStr for ByHand {
    type Err = NotAForward;

    fn from_str(text: &str) -> Result<Self, NotAForward> {
        let parse = || {
            let (rest, protocol) = protocol(text)?;
            let mut parts = rest.rsplitn(3, ':');
            let (inside, container, here) = (parts.next(), parts.next(), parts.next());
            let (Some(inside), Some(container), Some(here)) = (inside, container, here) else {
                return Err("it has three parts");
            };
            if container.is_empty() || container.contains(']') {
                return Err("the container's name is missing");
            }
            Ok(Self {
                local: local(here, protocol)?,
                container: container.to_owned(),
                port: port(inside)?,
            })
        };
        parse().map_err(|why| NotAForward { text: text.to_owned(), why, form: FORM })
    }
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "{}", SocketAddr::new(address, self.port))?,
            None => write!(f, "{}", self.port)?,
        }
        if self.protocol == Protocol::Udp { f.write_str("/udp") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forward_is_written_as_in_ssh() {
        let read = |text: &str| {
            let ByHand { local, container, port } = text.parse().unwrap();
            format!("{local} {container} {port}")
        };
        assert_eq!(read("8080:web:80"), "8080 web 80");
        assert_eq!(read("127.0.0.2:8080:web:80/tcp"), "127.0.0.2:8080 web 80");
        assert_eq!(read("[::1]:5353:dns:53/udp"), "[::1]:5353/udp dns 53");
        assert_eq!("[::1]:5353/udp".parse::<Local>().unwrap().to_string(), "[::1]:5353/udp");
    }

    #[test]
    fn invalid_notation_is_refused_with_the_right_form() {
        for bad in [
            "",
            "8080",
            "8080:web",
            "8080::80",
            "0:web:80",
            "8080:web:0",
            "8080:web:http",
            "::1:8080:web:80",
            "8080:web:80/sctp",
            "localhost:80:web:80",
        ] {
            assert!(
                bad.parse::<ByHand>().unwrap_err().to_string().contains("such as 8080:web:80"),
                "{bad:?}"
            );
        }
        for bad in ["", "x", "0", "::1:80", "80/sctp"] {
            assert!(
                bad.parse::<Local>().unwrap_err().to_string().contains("such as 8080,"),
                "{bad:?}"
            );
        }
    }
}
