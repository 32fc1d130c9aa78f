//! What a month costs, and who ended what it cost.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::machine::Actor;

/// What a server is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The machine of a profile, which has a lease.
    #[default]
    Machine,
    /// An image is built on it. It has no lease: it bills until it is deleted.
    ImageBuilder,
}

/// Who ended a server or a volume, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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

/// What a month costs, net, in the currency of the project.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Bill {
    /// Such as `2026-11`.
    pub month: String,
    /// ISO 4217.
    pub currency: String,
    /// Servers and volumes together.
    pub total: f64,
    /// Servers with their addresses, oldest first.
    pub servers: Vec<ServerBill>,
    /// Volumes.
    pub volumes: Vec<VolumeBill>,
}

/// What a server costs in a month.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ServerBill {
    /// The cloud's id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Such as `cx23`.
    pub server_type: String,
    /// Such as `fsn1`.
    pub location: String,
    /// When it was created.
    pub from: Timestamp,
    /// When it ended; `None` while it exists.
    pub until: Option<Timestamp>,
    /// Its end was not seen, and `until` is the end of its lease.
    pub estimated: bool,
    /// Who ended it and why; `None` while it exists, and if the ledger does not say.
    pub end: Option<EndCause>,
    /// What it is for.
    pub purpose: Purpose,
    /// Hours that began in the month.
    pub hours: u64,
    /// Price of one, address included.
    pub hourly: f64,
    /// Price of all of them.
    pub cost: f64,
}

/// What a volume costs in a month.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VolumeBill {
    /// The cloud's id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// GB.
    pub size: u64,
    /// Such as `fsn1`.
    pub location: String,
    /// Hours of the month for which it existed so far.
    pub hours: u64,
    /// Who deleted it and why; `None` while it exists, and if the ledger does not say.
    pub end: Option<EndCause>,
    /// Price of a month.
    pub monthly: f64,
    /// Its share so far.
    pub cost: f64,
}
