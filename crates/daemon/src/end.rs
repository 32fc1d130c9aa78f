//! The end of a server: who ended it, why and when. The daemon keeps the last one in memory for
//! `status`, the ledger keeps them all.

pub(crate) use api::EndCause;
use api::{Actor, EndStatus};
use jiff::Timestamp;

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
