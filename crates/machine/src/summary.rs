//! A machine and its volume, as status output, ledger and commands show them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::observed::{ServerStatus, is_young};

/// A machine, for a user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The cloud's id; `None` for the user's own host.
    pub id: Option<u64>,
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: Option<IpAddr>,
    /// Its status, by the cloud.
    pub status: ServerStatus,
    /// The cloud runs an action on it, so the status may change without our doing.
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
    /// Whether the server is off and stays off. A server is also off for a moment during its first
    /// boot.
    pub fn is_off_for_good(&self, now: i64) -> bool {
        let is_new = self.created.is_some_and(|created| is_young(created, now));
        self.status == ServerStatus::Off && !self.busy && !is_new
    }
}

/// The image of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
