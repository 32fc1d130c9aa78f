//! Calls to the agent and their replies.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One call. Whoever may open a stream may call: the SSH login is the permission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// Nothing but a sign of life; answered with [`Reply::Done`].
    Ping,
    /// Answered with [`Reply::Report`].
    Report,
    /// Asks for a bundle of lanes beside this session, for big transfers; answered with
    /// [`Reply::Lanes`]. Once all have connected and said which way they go ([`crate::Direction`]),
    /// they carry yamux as one stream, as this session does.
    Lanes {
        /// How many.
        count: u8,
        /// A round trip to the client, in microseconds.
        round_trip: u32,
    },
    /// Connects to a TCP port of the machine whose bytes travel aside of this session, by a channel
    /// of their own; answered with [`Reply::Lanes`] or [`Reply::Refused`]. What connects there
    /// carries both directions sealed, so that a break is told from an end.
    Aside {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// Renews the lease and says what this client is doing; answered with [`Reply::Report`].
    Heartbeat(Heartbeat),
    /// What to do when the lease ends. Kept in the agent's memory only.
    EndOfLease(EndOfLease),
    /// Stops containers, then docker and containerd, then unmounts the volume; answered when that
    /// is done with [`Reply::Done`], or with [`Reply::Failed`], after which the volume may still be
    /// mounted. With `unless_used`, refused with [`Reply::InUse`] while another client has been
    /// active within the idle time that it announced in its own heartbeats.
    Release {
        /// The asking client: its own activity does not count.
        client: String,
        /// Ask first whether another client works here.
        unless_used: bool,
    },
    /// Starts the containers that ran when the volume was last given up and that the engine has not
    /// started by itself: those with a restart policy, or all of them. Answered with
    /// [`Reply::Resumed`]; what was asked for once is done.
    Resume {
        /// Those without a restart policy, too.
        all: bool,
    },
    /// Waits until dockerd answers, or `seconds` have passed; answered with [`Reply::Report`].
    AwaitDocker {
        /// Longest wait.
        seconds: u32,
    },
}

/// A client's sign of life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Which daemon speaks: random for each run of a daemon.
    pub client: String,
    /// The machine may exist for this long from now without hearing from anyone, in seconds.
    pub lease_seconds: u32,
    /// How long ago this client last saw activity of its own, in seconds; 0 while something is
    /// going on.
    pub idle_seconds: u32,
    /// How long this client may be idle before it gives the machine up, in seconds. Counts for
    /// [`Call::Release`] of another client.
    pub idle_limit_seconds: u32,
}

/// What happens when the lease ends, after containers, docker and the volume were released.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndOfLease {
    /// The machine powers off. It bills until somebody deletes it.
    PowerOff,
    /// The machine deletes itself through the cloud's API, and powers off where that fails.
    Delete {
        /// API base such as `https://api.hetzner.cloud/v1`, as reached from the machine.
        endpoint: String,
        /// Id of this server.
        server: u64,
        /// Token with the right to delete.
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
    /// Done as asked.
    Done,
    /// The state of the machine.
    Report(MachineReport),
    /// Each lane is one connection to this Unix socket, within [`crate::LANES_WAIT_SECONDS`].
    Lanes {
        /// Its path.
        path: String,
    },
    /// What was to be connected to could not be.
    Refused(crate::Refusal),
    /// The containers that were started, and why others were not, by name.
    Resumed {
        /// Those that run again.
        started: Vec<String>,
        /// Name and reason, in words for a person.
        failed: Vec<String>,
    },
    /// Another client works here.
    InUse {
        /// What keeps the machine, in words for a person.
        reason: String,
    },
    /// It was tried and failed.
    Failed {
        /// What went wrong, in words for a person.
        message: String,
    },
}

/// What the agent sees of its machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineReport {
    /// [`crate::PROTOCOL`] of the agent.
    pub protocol: u32,
    /// Whether dockerd answers.
    pub docker: DockerState,
    /// Containers, when dockerd answers.
    pub containers: Option<ContainerCounts>,
    /// The volume, when it is mounted.
    pub disk: Option<DiskUsage>,
    /// Seconds until the lease ends; `None` before the first heartbeat.
    pub lease_seconds: Option<u32>,
    /// Other clients that work here, in words for a person.
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
    /// Not yet, or for a moment no more.
    Starting,
    /// It was stopped, and its volume given up: this machine is on its way out, and serves nobody
    /// again.
    Released,
    /// It will not: the volume was refused or a unit failed.
    Failed {
        /// Why, in words for a person.
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

/// Fill of the volume, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskUsage {
    /// In use.
    pub used: u64,
    /// In all.
    pub total: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

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
