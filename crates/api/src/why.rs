//! Why there is a machine or none, and what happens next.

use serde::{Deserialize, Serialize};

use crate::warning::Warning;

words! {
    /// What keeps the machine.
    pub enum ReasonKind {
        /// A command that is being answered.
        Command = "command",
        /// A build.
        Build = "build",
        /// A transfer.
        Transfer = "transfer",
        /// An open connection to a container.
        Stream = "stream",
        /// A user watches statistics.
        Watch = "watch",
        /// A connection through a published port.
        Port = "port",
        /// The last activity.
        Recent = "recent",
        /// Running containers.
        Container = "container",
        /// The user's pin.
        Pin = "pin",
        /// The rest of the hour that is paid.
        PaidHour = "paid_hour",
    }
}

words! {
    /// Why a machine ends.
    pub enum EndingCause {
        /// Nothing keeps it.
        Idle = "idle",
        /// The screen is locked.
        Lock = "lock",
        /// It is as old as the settings allow.
        MaxLifetime = "max_lifetime",
        /// Another hour would exceed the budget.
        Budget = "budget",
    }
}

words! {
    /// What cancels an end during its grace period.
    pub enum Cancel {
        /// Any activity.
        Activity = "activity",
        /// Unlocking the screen.
        Unlock = "unlock",
        /// Nothing but other settings.
        Nothing = "nothing",
    }
}

/// What keeps the machine, how it would end, and what comes next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Why {
    /// What happens next, human-readable.
    pub next: String,
    /// What keeps the machine, strongest first.
    pub reasons: Vec<ReasonStatus>,
    /// How it would end if nothing changed, the first end first.
    #[serde(default)]
    pub endings: Vec<EndingStatus>,
    /// What the user should know in advance.
    #[serde(default, deserialize_with = "crate::warning::read")]
    pub warnings: Vec<Warning>,
}

/// One thing that keeps the machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ReasonStatus {
    /// Its kind.
    pub kind: ReasonKind,
    /// Human-readable.
    pub what: String,
    /// The client, by its own name.
    #[serde(default)]
    pub client: Option<String>,
    /// Seconds since it began.
    #[serde(default)]
    pub age_seconds: Option<u64>,
    /// Seconds since bytes last passed, where that counts.
    #[serde(default)]
    pub silent_seconds: Option<u64>,
    /// It counts this much longer; `None` while it goes on.
    pub seconds: Option<u64>,
}

/// One possible end of the machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EndingStatus {
    /// Which one.
    pub cause: EndingCause,
    /// Human-readable.
    pub because: String,
    /// Seconds until then.
    pub seconds: u64,
    /// Seconds until its grace period begins; 0 once it has.
    pub grace_seconds: u64,
    /// What cancels it.
    pub cancelled_by: Cancel,
}
