//! What is there: all of an identity's resources, as one listing of the cloud tells it. Only what
//! decisions need.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;
use tunnel::Fingerprint;

use crate::choice::Candidate;

/// A server answers half a minute after it was created. One that is silent or off for this long
/// after its creation never will; before that, what its status says may pass by itself.
pub const LONGEST_BOOT: Duration = Duration::from_secs(4 * 60);

/// Whether a server that was created at `created` may still be on its first way up; both in seconds
/// since 1970.
pub fn is_young(created: i64, now: i64) -> bool {
    u64::try_from(now.saturating_sub(created)).map_or(true, |age| age < LONGEST_BOOT.as_secs())
}

/// Everything of one identity.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// Seconds since 1970 when the cloud was asked.
    pub at: i64,
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
    /// An action runs on it: what its status says may be passing. The cloud reports a server as not
    /// locked while it creates and starts it, so this is asked for where it matters.
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
    /// Where it can be ordered. Types that were withdrawn from a location are not among them.
    pub offers: BTreeMap<String, Offer>,
}

/// A server type in one location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Whether the cloud believes that it has some there. The belief has been seen wrong both ways.
    pub available: bool,
    /// Net price of a started hour in millionths of the project's currency, where the cloud states
    /// one.
    pub hourly: Option<u64>,
}

impl Offer {
    /// So much cheaper that it is worth asking for although the cloud believes that there is none:
    /// the price holds for the machine's whole life, and a refusal costs a request.
    pub fn is_far_cheaper_than(self, other: Offer) -> bool {
        matches!((self.hourly, other.hourly), (Some(one), Some(other)) if one.saturating_mul(3) < other.saturating_mul(2))
    }
}
