//! What a daemon remembers of its machine's health and use. All lists are bounded, and begin with
//! the daemon.

use serde::{Deserialize, Serialize};

words! {
    /// How the machine was checked.
    pub enum CheckKind {
        /// A heartbeat to the agent, which answers with a report.
        Heartbeat = "heartbeat",
        /// The lease was written without an agent.
        Lease = "lease",
        /// A connection was made, or attempted.
        Connect = "connect",
        /// The watch on the path, which reports only its loss.
        Path = "path",
    }
}

/// Checks of one kind with the same result, one after another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CheckStatus {
    /// Which check.
    pub check: CheckKind,
    /// Seconds since 1970 at the first of them.
    pub first: i64,
    /// Seconds since 1970 at the last of them.
    pub last: i64,
    /// How many there were.
    pub count: u64,
    /// How long the last one took, in milliseconds.
    pub took_ms: Option<f64>,
    /// Why they failed, human-readable; `None` if they passed.
    pub error: Option<String>,
}

words! {
    /// How the loss of a path ended.
    pub enum LossEnd {
        /// The machine answered again.
        Reconnected = "reconnected",
        /// The machine was gone.
        Gone = "gone",
    }
}

/// The path to a machine that answered was lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LossStatus {
    /// Seconds since 1970.
    pub at: i64,
    /// Why, human-readable.
    pub reason: String,
    /// How long it lasted, or has lasted so far, in seconds.
    pub seconds: f64,
    /// How it ended; `None` while it goes on.
    pub end: Option<LossEnd>,
}

/// How often the path was lost and made again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Reconnects {
    /// Losses after which the machine answered again.
    pub total: u64,
    /// The last losses, newest first.
    pub recent: Vec<LossStatus>,
}

words! {
    /// What uses the machine.
    pub enum ActivityKind {
        /// A request to the Docker API.
        Command = "command",
        /// A build.
        Build = "build",
        /// A transfer of images and files.
        Transfer = "transfer",
        /// An open connection to a container.
        Stream = "stream",
        /// A user watches statistics.
        Watch = "watch",
        /// A connection through a published port.
        Port = "port",
    }
}

/// The activities of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ActivityStatus {
    /// Which kind.
    pub kind: ActivityKind,
    /// How many go on.
    pub now: u64,
    /// How many there were, those that go on included.
    pub total: u64,
    /// Bytes to the machine.
    pub bytes_sent: u64,
    /// Bytes from the machine.
    pub bytes_received: u64,
    /// The last ones that ended, newest first.
    pub recent: Vec<EndedActivity>,
}

/// An activity that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EndedActivity {
    /// Human-readable.
    pub what: String,
    /// The client, by its own name.
    pub client: Option<String>,
    /// Seconds since it ended.
    pub seconds_ago: f64,
    /// How long it lasted, in seconds.
    pub seconds: f64,
    /// Bytes to the machine.
    pub bytes_sent: u64,
    /// Bytes from the machine.
    pub bytes_received: u64,
}
