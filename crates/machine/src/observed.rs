//! What is there: all of an identity's resources, as one listing of the cloud tells it. Only what decisions need.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;
use tunnel::Fingerprint;

use crate::choice::Candidate;

/// Everything of one identity.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// Servers; more than one only if somebody interfered.
    pub servers: Vec<Server>,
    /// Volumes.
    pub volumes: Vec<Volume>,
    /// The person's login key as the cloud knows it.
    pub key: Option<u64>,
    /// The firewall.
    pub firewall: Option<u64>,
}

/// What a server is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerStatus {
    /// Being made or booting: worth connecting to as soon as it has an address.
    Starting,
    /// Running.
    Running,
    /// On its way to off.
    Stopping,
    /// Off, and still billed.
    Off,
    /// On its way out.
    Deleting,
    /// Something that we do not wait for and do not end: migrating, rebuilding, unknown.
    Other,
}

/// A server.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// The cloud's id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// What it does.
    pub status: ServerStatus,
    /// An action runs on it: what its status says may be passing.
    pub busy: bool,
    /// Where it answers.
    pub address: Option<IpAddr>,
    /// Location such as `fsn1`.
    pub location: String,
    /// Type such as `cx23`.
    pub server_type: String,
    /// What it was made from, if that still exists: id and name.
    pub image: Option<(u64, String)>,
    /// Attached volumes.
    pub volumes: Vec<u64>,
    /// Host keys that it may present, from its labels.
    pub host_keys: Vec<Fingerprint>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Seconds since 1970 when it was made.
    pub created: i64,
    /// Net price of a started hour of the server alone.
    pub price_hourly: Option<f64>,
    /// The most that the server alone costs in a calendar month, net.
    pub price_monthly: Option<f64>,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// The cloud's id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Its location.
    pub location: String,
    /// Size in GB.
    pub size: u64,
    /// The server that it is attached to.
    pub server: Option<u64>,
}

/// What can be ordered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// All server types of the cloud.
    pub server_types: Vec<ServerType>,
    /// The names of all locations.
    pub locations: Vec<String>,
    /// What machines can be made from, by architecture; the newest of a kind first.
    pub images: BTreeMap<String, Vec<Candidate>>,
}

/// A server type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerType {
    /// Name such as `cx23`.
    pub name: String,
    /// `x86` or `arm`.
    pub architecture: String,
    /// GB of its disk.
    pub disk: u64,
    /// Where it is sold, and whether the cloud believes that it has some there. The belief has been seen wrong both ways.
    pub offers: BTreeMap<String, bool>,
}
