//! Calls to the agent and their replies.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;
use crate::request::Request;

/// One call. Opening a stream is the permission to call: the SSH login grants both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// Tests that the agent is alive. Answered with [`Reply::Done`].
    Ping,
    /// Answered with [`Reply::Report`].
    Report,
    /// Asks for a bundle of lanes beside this session, for big transfers. Answered with
    /// [`Reply::Channel`]. When all lanes have connected and sent their direction, they
    /// carry yamux as one stream, as this session does.
    Lanes {
        /// The number of lanes.
        count: u8,
        /// The round trip to the client, in microseconds.
        round_trip: u32,
    },
    /// Connects to a TCP port of the machine through an SSH channel of its own, beside this
    /// session. Answered with [`Reply::Channel`] or [`Reply::Refused`]. Both directions carry an
    /// explicit end, so that a break is recognized.
    #[serde(rename = "aside")]
    Channel {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
        /// The request that the channel serves.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Request,
    },
    /// Renews the lease and reports this client's activity. Answered with [`Reply::Report`].
    Heartbeat(Heartbeat),
    /// What to do when the lease ends. The agent keeps it in memory only.
    EndOfLease(EndOfLease),
    /// Stops containers, then docker and containerd, then unmounts the volume. Answered with
    /// [`Reply::Done`] when that is done, or with [`Reply::Failed`], after which the volume may
    /// still be mounted. With `unless_used` it is answered with [`Reply::InUse`] while another
    /// client has been active within the idle time that it announced in its heartbeats.
    Release {
        /// The calling client. Its own activity does not count.
        client: String,
        /// Refuse while another client uses the machine.
        unless_used: bool,
    },
    /// Starts the containers that ran when the volume was last released and that the engine has not
    /// started by itself: those with a restart policy, or all of them. Answered with
    /// [`Reply::Resumed`]. A repeated call starts nothing again.
    Resume {
        /// Include containers without a restart policy.
        all: bool,
    },
    /// Waits until dockerd answers or `seconds` have passed. Answered with [`Reply::Report`].
    AwaitDocker {
        /// The longest wait.
        seconds: u32,
    },
}

/// A client's heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Identifies the daemon: random for each run.
    pub client: String,
    /// How long the machine may exist from now on without another heartbeat, in seconds.
    pub lease_seconds: u32,
    /// Time since this client's last activity, in seconds; 0 during activity.
    pub idle_seconds: u32,
    /// How long this client may be idle before it releases the machine, in seconds. It counts for
    /// [`Call::Release`] of another client.
    pub idle_limit_seconds: u32,
}

/// What happens when the lease ends, after containers, docker and the volume were released.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndOfLease {
    /// The machine powers off. It is billed until somebody deletes it.
    PowerOff,
    /// The machine deletes itself (self-destruct) through the cloud's API, and powers off if that
    /// fails.
    Delete {
        /// The API's base URL as reached from the machine, such as `https://api.hetzner.cloud/v1`.
        endpoint: String,
        /// This server's id.
        server: u64,
        /// An API token that may delete the server.
        token: String,
    },
}

impl fmt::Debug for EndOfLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndOfLease::PowerOff => f.write_str("PowerOff"),
            EndOfLease::Delete { endpoint, server, .. } => f
                .debug_struct("Delete")
                .field("endpoint", endpoint)
                .field("server", server)
                .finish_non_exhaustive(),
        }
    }
}

/// The answer to a [`Call`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The call succeeded.
    Done,
    /// The state of the machine.
    Report(MachineReport),
    /// A Unix socket that each requested channel connects to, within `LANES_WAIT_SECONDS`.
    #[serde(rename = "lanes")]
    Channel {
        /// Its path.
        path: String,
    },
    /// The target could not be connected.
    Refused(Refusal),
    /// The containers that were started, and those that failed, by name.
    Resumed {
        /// Names of the started containers.
        started: Vec<String>,
        /// Name and reason, human-readable.
        failed: Vec<String>,
    },
    /// Another client uses the machine.
    InUse {
        /// Who uses the machine, human-readable.
        reason: String,
    },
    /// The call failed.
    Failed {
        /// The reason, human-readable.
        message: String,
    },
}

/// The state of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineReport {
    /// The agent's `PROTOCOL`.
    pub protocol: u32,
    /// Whether dockerd answers.
    pub docker: DockerState,
    /// The number of containers, if dockerd answers.
    pub containers: Option<ContainerCounts>,
    /// The volume's usage, if it is mounted.
    pub disk: Option<DiskUsage>,
    /// Seconds until the lease ends; `None` before the first heartbeat.
    pub lease_seconds: Option<u32>,
    /// Other clients that use the machine, human-readable.
    pub others: Vec<String>,
    /// Seconds since the machine booted.
    pub uptime_seconds: u64,
}

/// Whether dockerd answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DockerState {
    /// It answers.
    Ready,
    /// It does not answer now.
    Starting,
    /// It was stopped and its volume released. This machine is about to end and serves no client
    /// again.
    Released,
    /// It will not start: the volume was refused or a unit failed.
    Failed {
        /// The reason, human-readable.
        reason: String,
    },
}

/// How many containers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerCounts {
    /// Running.
    pub running: u32,
    /// All.
    pub total: u32,
}

/// Disk usage of the volume, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskUsage {
    /// Used bytes.
    pub used: u64,
    /// Total bytes.
    pub total: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_the_wire_are_those_of_protocol_2() {
        let channel = Call::Channel { host: "h".into(), port: 1, request: None };
        let json = serde_json::to_string(&channel).unwrap();
        assert_eq!(json, r#"{"aside":{"host":"h","port":1}}"#);
        let reply = Reply::Channel { path: "/p".into() };
        assert_eq!(serde_json::to_string(&reply).unwrap(), r#"{"lanes":{"path":"/p"}}"#);
    }

    #[test]
    fn a_token_is_never_printed() {
        let call = Call::EndOfLease(EndOfLease::Delete {
            endpoint: "https://e".into(),
            server: 7,
            token: "s3cret".into(),
        });
        let printed = format!("{call:?}");
        assert!(printed.contains("server: 7") && !printed.contains("s3cret"), "{printed}");
    }
}
