//! The end of a server as this daemon brought it about: who, why, when. It is kept in the daemon's
//! memory for `status`; a server that ends otherwise has no entry.

use jiff::Timestamp;
use machine::Actor;
use serde::{Deserialize, Serialize};

/// A server that this daemon has deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    /// The cloud's id; `None` where only the profile's machine is known to be gone.
    pub(crate) server: Option<u64>,
    pub(crate) actor: Actor,
    /// In words for a user.
    pub(crate) because: String,
    pub(crate) at: Timestamp,
}

/// The same for clients of the control socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndStatus {
    /// The cloud's id, where it is known.
    pub server: Option<u64>,
    /// Who ended the server.
    pub actor: Actor,
    /// Why, in words for a user.
    pub because: String,
    /// Seconds since then.
    pub age_seconds: u64,
}

impl End {
    /// As a client is told at `now`.
    pub(crate) fn status(&self, now: Timestamp) -> EndStatus {
        let age = now.as_second().saturating_sub(self.at.as_second());
        EndStatus {
            server: self.server,
            actor: self.actor,
            because: self.because.clone(),
            age_seconds: u64::try_from(age).unwrap_or(0),
        }
    }
}
