//! What can go wrong between us and the machine's SSH server.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::{Endpoint, Fingerprint};

/// Why there is no connection, or why a command on it did not run.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// No TCP connection.
    #[error("{endpoint} cannot be reached")]
    Unreachable {
        /// Where to.
        endpoint: Endpoint,
        /// The system's reason.
        source: io::Error,
    },
    /// The host showed a key that is not the one expected: it was reinstalled, or somebody else
    /// answers.
    #[error("{endpoint} presented the host key {presented}, which is refused: {reason}")]
    HostKeyRefused {
        /// Which host.
        endpoint: Endpoint,
        /// The key it showed.
        presented: Fingerprint,
        /// Why it is refused.
        reason: String,
    },
    /// The host does not accept our key.
    #[error("{endpoint} does not accept the key {key}")]
    LoginRefused {
        /// Which host and user.
        endpoint: Endpoint,
        /// Our key.
        key: Fingerprint,
    },
    /// Our private key cannot be used.
    #[error("the private key {} cannot be used", path.display())]
    Identity {
        /// The key's file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Of several keys none was accepted, or none could be used.
    #[error("{endpoint} lets none of the keys of this computer in: {}", tried.join("; "))]
    NoKeyAccepted {
        /// Which host and user.
        endpoint: Endpoint,
        /// What became of each key, in words for a user.
        tried: Vec<String>,
    },
    /// The host can prove who it is only by a kind of key that dockbridge does not check.
    #[error("the host key of {endpoint} cannot be checked: {reason}")]
    HostKeyKind {
        /// Which host.
        endpoint: Endpoint,
        /// Which kinds are known and offered, and what to do, in words for a user.
        reason: String,
    },
    /// The command that leads to the host failed.
    #[error("the way to {endpoint} by `{command}` failed: {said}")]
    RouteFailed {
        /// Which host.
        endpoint: Endpoint,
        /// The command.
        command: String,
        /// What it said on standard error, or how it ended.
        said: String,
    },
    /// The SSH session failed.
    #[error("the SSH session with {endpoint} failed while {doing}")]
    Protocol {
        /// With whom.
        endpoint: Endpoint,
        /// What was going on.
        doing: &'static str,
        /// What went wrong.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// It took too long.
    #[error("{endpoint} did not answer within {} s while {doing}", after.as_secs())]
    TimedOut {
        /// Who.
        endpoint: Endpoint,
        /// What was going on.
        doing: &'static str,
        /// The limit.
        after: Duration,
    },
}

/// Why the agent did not reply to a call.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CallError {
    /// None runs on the machine.
    #[error("no agent runs on the machine: {reason}")]
    NoAgent {
        /// Why not.
        reason: String,
    },
    /// The path to the machine is lost.
    #[error("the connection to the machine is lost: {reason}")]
    Dead {
        /// What was seen.
        reason: String,
    },
    /// The agent answered something else than a reply.
    #[error("the agent's reply is not understood: {message}")]
    Malformed {
        /// What is wrong with it.
        message: String,
    },
}
