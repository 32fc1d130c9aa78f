//! One attempt to reach a server: who wants it, and why it failed.

use std::time::Duration;

use tokio::time::Instant;

use super::creation::Creation;
use crate::error::MachineError;
use crate::identity::{NEXT_HOST_KEY, SETTLED};
use crate::observed::Server;

/// After this long without an answer the cloud is asked whether the server still exists.
const OBSERVE_AFTER: Duration = Duration::from_secs(20);

/// Who wants a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A client waits for it: it is created if need be.
    Serve,
    /// No client waits: connect to the one that exists, if it answers.
    Join {
        /// How long it may take to answer.
        limit: Duration,
    },
}

/// An attempt to reach a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt<'a> {
    /// When the wake began.
    pub(super) begun: Instant,
    pub(super) purpose: Purpose,
    /// The creation of the server, if this wake has created it and not reached it yet.
    pub(super) creation: Option<&'a Creation>,
    /// The server as this wake has created it.
    pub(super) fresh: Option<&'a Server>,
}

impl Attempt<'_> {
    /// After this long without an answer the cloud is asked whether the server still exists.
    pub(super) fn observe_after(self) -> Duration {
        match self.purpose {
            Purpose::Serve => OBSERVE_AFTER,
            Purpose::Join { limit } => limit.min(OBSERVE_AFTER),
        }
    }
}

/// Why an attempt did not connect.
pub(super) enum Lost {
    /// Something changed meanwhile, or may change: observe again. Human-readable.
    Observe(String),
    /// The cloud could not create the server as ordered.
    CreationFailed(hetzner::Error),
    /// This server will never serve: delete it.
    Delete(MachineError),
    /// An earlier client has stopped docker on it and did not get to delete it. Human-readable.
    Replace(String),
    /// The server may be fine, and the attempt failed for another reason.
    Failed(MachineError),
}

/// Whether a client has used a server: it then replaces the first host key.
pub(super) fn is_settled(labels: &hetzner::Labels) -> bool {
    labels.contains_key(NEXT_HOST_KEY) || labels.contains_key(SETTLED)
}
