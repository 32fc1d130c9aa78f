//! Why the agent refuses a stream or a call. Knows neither.

use serde::{Deserialize, Serialize};

/// Why a stream could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The kind of failure, for the side that has to act on it.
    pub kind: RefusalKind,
    /// The operating system's message.
    pub message: String,
}

/// The kinds of refusal that a client treats differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// Nothing listens there; a local connection is refused, too.
    ConnectionRefused,
    /// The socket file does not exist (dockerd has not started yet).
    NotFound,
    /// Anything else.
    Other,
}
