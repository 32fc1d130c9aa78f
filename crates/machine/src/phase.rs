//! The stages of a wake.

use serde::{Deserialize, Serialize};

/// A stage of a wake, for progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Asking the cloud what exists.
    LookUp,
    /// Waiting until the cloud has finished something.
    Wait,
    /// Deleting a server that cannot be used.
    CleanUp,
    /// Creating login key, firewall, volume and server.
    Create,
    /// The server exists and does not answer yet.
    Boot,
    /// Logging in and starting the agent.
    Connect,
    /// The engine starts.
    Docker,
    /// The engine answers; the containers that ran before are started.
    Resume,
}

impl Phase {
    /// Human-readable. [`crate::History::usual`] finds a stage by these words.
    pub fn words(&self) -> &'static str {
        match self {
            Phase::LookUp => "looking up what there is",
            Phase::Wait => "waiting for the cloud",
            Phase::CleanUp => "removing a machine that cannot be used",
            Phase::Create => "creating the server",
            Phase::Boot => "booting",
            Phase::Connect => "connecting",
            Phase::Docker => "starting docker",
            Phase::Resume => "starting what ran before",
        }
    }
}
