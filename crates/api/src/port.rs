//! Published ports and manual forwards on this computer, with their traffic.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::protocol::Protocol;

/// A forward: a published port or a manual one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PortStatus {
    /// Name of the container.
    pub container: String,
    /// The protocol.
    pub protocol: Protocol,
    /// Where it answers (or should) on this computer.
    pub local: SocketAddr,
    /// All addresses on which it answers.
    #[serde(default)]
    pub addresses: Vec<SocketAddr>,
    /// The wanted address, if it was in use and another port was chosen.
    pub asked_for: Option<SocketAddr>,
    /// Port of the container.
    pub container_port: u16,
    /// The destination, as seen from the machine.
    pub remote: Option<Remote>,
    /// Made by the user, not published by the container.
    #[serde(default)]
    pub by_hand: bool,
    /// Its traffic.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// Whether it answers.
    pub state: PortState,
}

/// Whether a forward answers on this computer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum PortState {
    /// It answers.
    Open,
    /// It does not answer: another client started the container, or the engine chose its number,
    /// and the port is not available here.
    Unavailable {
        /// The reason, human-readable.
        why: String,
    },
    /// It does not answer: dockbridge has taken its machine down, and the container with it.
    Asleep {
        /// The reason, human-readable.
        why: String,
    },
    /// It does not answer yet: it is a manual forward whose container does not run.
    Waiting {
        /// The reason, human-readable.
        why: String,
    },
}

impl PortState {
    /// The word in JSON.
    pub const fn word(&self) -> &'static str {
        match self {
            PortState::Open => "open",
            PortState::Unavailable { .. } => "unavailable",
            PortState::Asleep { .. } => "asleep",
            PortState::Waiting { .. } => "waiting",
        }
    }

    /// Why it does not answer, human-readable; `None` if it answers.
    pub fn why(&self) -> Option<&str> {
        match self {
            PortState::Open => None,
            PortState::Unavailable { why }
            | PortState::Asleep { why }
            | PortState::Waiting { why } => Some(why),
        }
    }
}

/// The destination of a port, as seen from the machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Remote {
    /// Address on the machine.
    pub host: String,
    /// Port on the machine.
    pub port: u16,
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The counters at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Traffic {
    /// Open connections (UDP: clients).
    pub connections_now: usize,
    /// Connections since the port was opened.
    pub connections_total: u64,
    /// Connections that ended with an error.
    pub connections_failed: u64,
    /// Bytes to the container.
    pub bytes_in: u64,
    /// Bytes from the container.
    pub bytes_out: u64,
    /// Datagrams that were dropped because the path could not take them.
    pub datagrams_dropped: u64,
    /// Seconds since bytes last passed or a connection began; `None` before the first.
    pub last_used_seconds: Option<f64>,
    /// The last connections that ended, newest first.
    pub recent: Vec<EndedConnection>,
}

/// A connection that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EndedConnection {
    /// The client's address.
    pub client: SocketAddr,
    /// Seconds since it ended.
    pub seconds_ago: f64,
    /// How long it lasted, in seconds.
    #[serde(default)]
    pub seconds: f64,
    /// Bytes to the container.
    #[serde(default)]
    pub bytes_in: u64,
    /// Bytes from the container.
    #[serde(default)]
    pub bytes_out: u64,
    /// Why it broke off, human-readable; `None` if it ended orderly.
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn port_is_read_as_it_is_written() {
        let ended = json!({
            "client": "127.0.0.1:50000",
            "seconds_ago": 3.0,
            "seconds": 1.5,
            "bytes_in": 7,
            "bytes_out": 8,
            "error": "reset",
        });
        let written = json!({
            "container": "web",
            "protocol": "udp",
            "local": "[::1]:53",
            "addresses": ["127.0.0.1:53", "[::1]:53"],
            "asked_for": null,
            "container_port": 53,
            "remote": {"host": "172.17.0.2", "port": 53},
            "by_hand": false,
            "connections_now": 1,
            "connections_total": 2,
            "connections_failed": 1,
            "bytes_in": 7,
            "bytes_out": 8,
            "datagrams_dropped": 0,
            "last_used_seconds": 0.5,
            "recent": [ended],
            "state": {"state": "asleep", "why": "its machine was taken down"},
        });
        let read: PortStatus = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(read.state.word(), "asleep");
        assert_eq!(serde_json::to_value(read).unwrap(), written);
    }
}
