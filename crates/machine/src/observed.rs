//! What exists in the cloud for one identity, and what can be ordered: only the facts that
//! decisions need.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use api::{ServerStatus, Summary};
use tunnel::Fingerprint;

use crate::image_choice::Candidate;

/// A server answers about 30 s after its creation. A server that is silent or off for this long
/// after its creation never will answer; until then its status may change without our doing.
pub const LONGEST_BOOT: Duration = Duration::from_secs(4 * 60);

/// Whether a server that was created at `created` may still be in its first boot; both in seconds
/// since 1970.
pub fn is_young(created: i64, now: i64) -> bool {
    u64::try_from(now.saturating_sub(created)).map_or(true, |age| age < LONGEST_BOOT.as_secs())
}

/// Whether a server is off and stays off. A server is also off for a moment during its first boot.
pub fn is_off_for_good(machine: &Summary, now: i64) -> bool {
    let is_new = machine.created.is_some_and(|created| is_young(created, now));
    machine.status == ServerStatus::Off && !machine.busy && !is_new
}

/// Everything of one identity.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// Seconds since 1970 at the request.
    pub at: i64,
    /// Servers; more than one only after somebody interfered.
    pub servers: Vec<Server>,
    /// Volumes.
    pub volumes: Vec<Volume>,
    /// The cloud's id of this computer's login key.
    pub key: Option<u64>,
    /// The firewall.
    pub firewall: Option<u64>,
}

/// A server.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// The cloud's id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Its status.
    pub status: ServerStatus,
    /// An action runs on it, so its status may be temporary. The cloud reports a server as not
    /// locked while it creates and starts it, so this is asked separately where it matters.
    pub busy: bool,
    /// Its public address.
    pub address: Option<IpAddr>,
    /// Location such as `fsn1`.
    pub location: String,
    /// Type such as `cx23`.
    pub server_type: String,
    /// Id and name of its image, if the image still exists.
    pub image: Option<(u64, String)>,
    /// Attached volumes.
    pub volumes: Vec<u64>,
    /// Host keys that it may present, from its labels.
    pub host_keys: Vec<Fingerprint>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Seconds since 1970 at its creation.
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
    /// Images for machines, by architecture; the newest of a kind first.
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
    /// Where it can be ordered, by location. Locations from which it was withdrawn are missing.
    pub offers: BTreeMap<String, Offer>,
}

/// A server type in one location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Whether the cloud believes that it is in stock. The belief has been wrong in both
    /// directions.
    pub available: bool,
    /// Net price of a started hour in millionths of the project's currency, where the cloud states
    /// one.
    pub hourly: Option<u64>,
}

impl Offer {
    /// Whether this offer costs less than two thirds of the other. Such an offer is worth a request
    /// even if the cloud believes it to be out of stock: the price holds for the machine's whole
    /// life.
    pub fn is_far_cheaper_than(self, other: Offer) -> bool {
        match (self.hourly, other.hourly) {
            (Some(one), Some(other)) => one.saturating_mul(3) < other.saturating_mul(2),
            _ => false,
        }
    }
}
