//! The documents that `--json` prints. Each follows a JSON Schema in `docs/schema`, which is
//! generated from these types, and names its version in the field `schema`.

use serde::{Deserialize, Serialize};

use crate::audit::AuditEntry;
use crate::check::{Check, CheckState, Repair};
use crate::cost::Bill;
use crate::error::Error;
use crate::machine::UsedImage;
use crate::port::PortStatus;
use crate::standing::Bills;
use crate::status::{MachineState, Status};
use crate::warning::Warning;
use crate::why::Why;

/// The version of all documents. It changes when a field changes its meaning, its type or
/// disappears; a field that is added changes nothing.
pub const SCHEMA: u32 = 1;

/// `status --json`.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StatusDocument<'a> {
    /// The version of this schema.
    #[cfg_attr(test, schemars(extend("const" = SCHEMA)))]
    pub schema: u32,
    /// What the daemon reports.
    #[serde(flatten)]
    pub status: &'a Status,
    /// What is billed in the whole cloud project; `null` where nothing can be this user's.
    pub bills: Option<&'a Bills>,
}

/// `why --json`.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct WhyDocument<'a> {
    /// The version of this schema.
    #[cfg_attr(test, schemars(extend("const" = SCHEMA)))]
    pub schema: u32,
    /// The state of the machine.
    pub state: MachineState,
    /// Why it is in that state, if there is something to say.
    pub reason: Option<&'a str>,
    /// Seconds since it entered that state.
    pub since_seconds: f64,
    /// What keeps the machine, and what happens next.
    #[serde(flatten)]
    pub why: &'a Why,
    /// The image that the machine was created from.
    pub image: Option<&'a UsedImage>,
}

/// `cost --json`.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CostDocument<'a> {
    /// The version of this schema.
    #[cfg_attr(test, schemars(extend("const" = SCHEMA)))]
    pub schema: u32,
    /// The month.
    #[serde(flatten)]
    pub bill: &'a Bill,
    /// What may be spent in a month; `null` without a budget.
    pub budget: Option<f64>,
    /// What makes the bill doubtful.
    pub warnings: &'a [Warning],
}

/// A line of `audit --json`.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AuditDocument<'a> {
    /// The version of this schema.
    #[cfg_attr(test, schemars(extend("const" = SCHEMA)))]
    pub schema: u32,
    /// The call.
    #[serde(flatten)]
    pub entry: &'a AuditEntry,
}

/// `ports --json`.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PortsDocument<'a> {
    /// The version of this schema.
    #[cfg_attr(test, schemars(extend("const" = SCHEMA)))]
    pub schema: u32,
    /// Published ports and manual forwards.
    pub ports: &'a [PortStatus],
}

/// `doctor --json`.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DoctorDocument<'a> {
    /// The version of this schema.
    #[cfg_attr(test, schemars(extend("const" = SCHEMA)))]
    pub schema: u32,
    /// The version of dockbridge.
    pub version: &'a str,
    /// The profile.
    pub profile: &'a str,
    /// How many checks found something broken. If any did, the exit code is 1.
    pub broken: usize,
    /// How many checks have a hint.
    pub hints: usize,
    /// What `--fix` did before the checks.
    pub repairs: &'a [Repair],
    /// All checks.
    pub checks: &'a [Check],
}

/// The error of a command, as `--json` prints it on standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Failed {
    /// The version of this schema.
    #[cfg_attr(test, schemars(extend("const" = SCHEMA)))]
    pub schema: u32,
    /// What failed.
    pub error: Error,
}

impl Failed {
    /// The present version.
    pub fn new(error: Error) -> Self {
        Self { schema: SCHEMA, error }
    }
}

impl<'a> StatusDocument<'a> {
    /// The present version.
    pub fn new(status: &'a Status, bills: Option<&'a Bills>) -> Self {
        Self { schema: SCHEMA, status, bills }
    }
}

impl<'a> WhyDocument<'a> {
    /// The present version.
    pub fn of(status: &'a Status) -> Self {
        Self {
            schema: SCHEMA,
            state: status.state,
            reason: status.reason.as_deref(),
            since_seconds: status.since_seconds,
            why: &status.why,
            image: status.machine.as_ref().and_then(|machine| machine.image.as_ref()),
        }
    }
}

impl<'a> CostDocument<'a> {
    /// The present version.
    pub fn new(bill: &'a Bill, budget: Option<f64>, warnings: &'a [Warning]) -> Self {
        Self { schema: SCHEMA, bill, budget, warnings }
    }
}

impl<'a> AuditDocument<'a> {
    /// The present version.
    pub fn of(entry: &'a AuditEntry) -> Self {
        Self { schema: SCHEMA, entry }
    }
}

impl<'a> DoctorDocument<'a> {
    /// The present version.
    pub fn new(
        version: &'a str,
        profile: &'a str,
        repairs: &'a [Repair],
        checks: &'a [Check],
    ) -> Self {
        let count = |state| checks.iter().filter(|check| check.state == state).count();
        let (broken, hints) = (count(CheckState::Broken), count(CheckState::Hint));
        Self { schema: SCHEMA, version, profile, broken, hints, repairs, checks }
    }
}

impl<'a> PortsDocument<'a> {
    /// The present version.
    pub fn of(ports: &'a [PortStatus]) -> Self {
        Self { schema: SCHEMA, ports }
    }
}
