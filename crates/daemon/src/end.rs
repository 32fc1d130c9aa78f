//! The end of a server: who ended it, why and when. The daemon keeps the last one in memory for
//! `status`, the ledger keeps them all.

use api::{Actor, EndStatus};
use jiff::Timestamp;
use machine::Behalf;
use serde::{Deserialize, Serialize};

/// Who ended a server or a volume, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndCause {
    /// `None` if this computer did not end it: it ended itself with its lease, another computer
    /// ended it, or it was deleted in the cloud's console.
    pub actor: Option<Actor>,
    /// Human-readable.
    pub reason: String,
}

impl EndCause {
    /// This computer ended it.
    pub fn by(actor: Actor, reason: impl Into<String>) -> Self {
        Self { actor: Some(actor), reason: reason.into() }
    }

    /// It ended otherwise.
    pub fn unseen(reason: impl Into<String>) -> Self {
        Self { actor: None, reason: reason.into() }
    }
}

impl From<Behalf> for EndCause {
    fn from(behalf: Behalf) -> Self {
        Self::by(behalf.actor, behalf.reason)
    }
}

/// A server that this daemon has deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    /// The cloud's id; `None` where only the profile's machine is known to be gone.
    pub(crate) server: Option<u64>,
    pub(crate) actor: Actor,
    /// Human-readable.
    pub(crate) because: String,
    pub(crate) at: Timestamp,
}

impl End {
    /// With its age at `now`.
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
