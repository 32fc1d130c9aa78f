//! A machine and its volume, the stages of a wake, and who changes the cloud.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A machine, for a user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Summary {
    /// The cloud's id; `None` for the user's own host.
    pub id: Option<u64>,
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: Option<IpAddr>,
    /// Its status, by the cloud.
    pub status: ServerStatus,
    /// The cloud runs an action on it, so the status may change without an order of dockbridge.
    #[serde(default)]
    pub busy: bool,
    /// Type such as `cx23`.
    pub server_type: Option<String>,
    /// Location such as `fsn1`.
    pub location: Option<String>,
    /// Seconds since 1970 at its creation.
    pub created: Option<i64>,
    /// Net price of a started hour, all parts of the machine together.
    pub price_hourly: Option<f64>,
    /// The most that all parts cost in a calendar month, net.
    #[serde(default)]
    pub price_monthly: Option<f64>,
    /// Currency of the prices, as an ISO 4217 code. `None` where the price list could not be read:
    /// the prices are then those of the server alone, without its address.
    #[serde(default)]
    pub currency: Option<String>,
    /// The cloud bills in units of this many seconds, counted from the creation, and bills a
    /// started unit whole. `None` where time costs nothing.
    #[serde(default)]
    pub billed_unit_seconds: Option<u64>,
    /// The volume with its data.
    pub volume: Option<VolumeSummary>,
    /// The image that it was made from.
    #[serde(default)]
    pub image: Option<UsedImage>,
}

impl Summary {
    /// A running machine of which nothing else is known.
    pub fn known_as(name: impl Into<String>, id: Option<u64>) -> Self {
        Self {
            id,
            name: name.into(),
            address: None,
            status: ServerStatus::Running,
            busy: false,
            server_type: None,
            location: None,
            created: None,
            price_hourly: None,
            price_monthly: None,
            currency: None,
            billed_unit_seconds: None,
            volume: None,
            image: None,
        }
    }
}

/// The image of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UsedImage {
    /// The cloud's id.
    pub id: u64,
    /// Such as `docker-ce` or `snapshot 4711`.
    pub name: String,
    /// Why this image, where dockbridge chose it.
    pub because: Option<String>,
}

/// A volume, for a user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VolumeSummary {
    /// The cloud's id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Size in GB.
    pub size: u64,
    /// Its location.
    pub location: String,
    /// The server that it is attached to.
    pub server: Option<u64>,
    /// Net price of a month.
    pub price_monthly: Option<f64>,
    /// Seconds since 1970 at its creation, where the cloud's answer contained it.
    #[serde(default)]
    pub created: Option<i64>,
}

words! {
    /// The status of a server.
    pub enum ServerStatus {
        /// Being created or booting: worth connecting to as soon as it has an address.
        Starting = "starting",
        /// Running.
        Running = "running",
        /// Shutting down.
        Stopping = "stopping",
        /// Off, and still billed.
        Off = "off",
        /// Being deleted.
        Deleting = "deleting",
        /// Migrating, rebuilding, unknown: dockbridge neither waits for it nor ends it.
        Other = "other",
    }
}

/// A stage of a wake, for progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    /// Human-readable. The history of wakes finds a stage by these words.
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

/// Who changes the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The user, by a command or by a request that needs a machine.
    User,
    /// The settings: idleness, a locked screen, the age, the budget.
    Policy,
    /// dockbridge itself, to remove what cannot be used or to complete what was begun.
    Daemon,
}

impl Actor {
    /// Human-readable, as in `deleted by the policy`.
    pub fn words(self) -> &'static str {
        match self {
            Actor::User => "an order of the user",
            Actor::Policy => "the policy",
            Actor::Daemon => "dockbridge",
        }
    }
}
