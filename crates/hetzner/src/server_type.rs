//! Server types: which servers can be ordered, where, and at which price.

use jiff::Timestamp;
use serde::Deserialize;

use crate::architecture::{Architecture, CpuType};
use crate::pricing::LocationPrice;
use crate::resource::{Resource, Resources};

/// All server types.
pub type ServerTypes = Resources<ServerType>;

/// A kind of server.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ServerType {
    /// Id.
    pub id: u64,
    /// Such as `cx23`.
    pub name: String,
    /// Human-readable.
    #[serde(default)]
    pub description: String,
    /// Virtual processors.
    pub cores: u32,
    /// GB.
    pub memory: f64,
    /// GB.
    pub disk: u32,
    /// Prices by location, including locations where it is no longer sold.
    #[serde(default)]
    pub prices: Vec<LocationPrice>,
    /// Whether it shares its processors.
    pub cpu_type: CpuType,
    /// Such as `cost_optimized`.
    pub category: Option<String>,
    /// Its architecture.
    pub architecture: Architecture,
    /// The locations where it is sold.
    #[serde(default)]
    pub locations: Vec<ServerTypeLocation>,
}

/// A server type at a location.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ServerTypeLocation {
    /// Id of the location.
    pub id: u64,
    /// Name of the location.
    pub name: String,
    /// Set if it is deprecated at this location.
    pub deprecation: Option<Deprecation>,
    /// Hetzner recommends it.
    #[serde(default)]
    pub recommended: bool,
    /// Reported as in stock. Only a hint: it is sometimes wrong in both directions.
    #[serde(default)]
    pub available: bool,
}

/// The deprecation of a server type or an image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Deprecation {
    /// When it was announced.
    pub announced: Timestamp,
    /// The last moment to order it.
    pub unavailable_after: Timestamp,
}

impl Resource for ServerType {
    const ONE: &'static str = "server_type";
    const MANY: &'static str = "server_types";
}

impl ServerTypeLocation {
    /// Whether it can no longer be ordered here.
    pub fn is_withdrawn(&self, now: Timestamp) -> bool {
        self.deprecation.as_ref().is_some_and(|deprecation| deprecation.unavailable_after <= now)
    }
}

impl ServerType {
    /// The price at a location.
    pub fn price_at(&self, location: &str) -> Option<&LocationPrice> {
        self.prices.iter().find(|price| price.location == location)
    }
}
