//! Errors of the connection to the machine's SSH server.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::closed::PathEnded;
use crate::fingerprint::Fingerprint;
use crate::options::Endpoint;

/// Why there is no connection, or why a command on it did not run.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// No TCP connection.
    #[error("{endpoint} cannot be reached")]
    Unreachable {
        /// The host.
        endpoint: Endpoint,
        /// The system's error.
        source: io::Error,
    },
    /// The host presented another key than expected: it was reinstalled, or another host answers.
    #[error("{endpoint} presented the host key {presented}, which is refused: {reason}")]
    HostKeyRefused {
        /// The host.
        endpoint: Endpoint,
        /// The presented key.
        presented: Fingerprint,
        /// The reason of the refusal.
        reason: String,
    },
    /// The host does not accept the key.
    #[error("{endpoint} does not accept the key {key}")]
    LoginRefused {
        /// The host and user.
        endpoint: Endpoint,
        /// The fingerprint of the offered key.
        key: Fingerprint,
    },
    /// The private key cannot be used.
    #[error("the private key {} cannot be used", path.display())]
    Identity {
        /// The key's file.
        path: PathBuf,
        /// The error.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// None of several keys was accepted, or none could be used.
    #[error("{endpoint} accepts none of the keys of this computer: {}", tried.join("; "))]
    NoKeyAccepted {
        /// The host and user.
        endpoint: Endpoint,
        /// The result of each key, human-readable.
        tried: Vec<String>,
    },
    /// The host offers only kinds of host key that dockbridge does not check.
    #[error("the host key of {endpoint} cannot be checked: {reason}")]
    HostKeyKind {
        /// The host.
        endpoint: Endpoint,
        /// The known and the offered kinds, and what to do, human-readable.
        reason: String,
    },
    /// The command that connects to the host failed.
    #[error("the connection to {endpoint} by `{command}` failed: {message}")]
    TransportFailed {
        /// The host.
        endpoint: Endpoint,
        /// The command.
        command: String,
        /// Its standard error, or how it ended.
        message: String,
    },
    /// The SSH session failed.
    #[error("the SSH session with {endpoint} failed while {doing}")]
    Protocol {
        /// The host.
        endpoint: Endpoint,
        /// The operation that failed.
        doing: &'static str,
        /// The error.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The host did not answer in time.
    #[error("{endpoint} did not answer within {} s while {doing}", after.as_secs())]
    TimedOut {
        /// The host.
        endpoint: Endpoint,
        /// The operation that failed.
        doing: &'static str,
        /// The limit.
        after: Duration,
    },
}

/// Why the agent did not reply to a call.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CallError {
    /// No agent runs on the machine.
    #[error("no agent runs on the machine: {reason}")]
    NoAgent {
        /// The reason.
        reason: String,
    },
    /// The path to the machine is lost.
    #[error("the connection to the machine is lost: {reason}")]
    Dead {
        /// What was observed.
        reason: String,
    },
    /// The agent sent an invalid reply.
    #[error("the agent sent an invalid reply: {message}")]
    Malformed {
        /// The error.
        message: String,
    },
}

impl From<PathEnded> for CallError {
    fn from(PathEnded(reason): PathEnded) -> Self {
        CallError::Dead { reason }
    }
}
