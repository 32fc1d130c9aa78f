//! Server types: what can be ordered, where, and for how much.

use jiff::Timestamp;
use serde::Deserialize;

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
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Virtual processors.
    pub cores: u32,
    /// GB.
    pub memory: f64,
    /// GB.
    pub disk: u32,
    /// Prices by location, also of locations where it is not sold any more.
    #[serde(default)]
    pub prices: Vec<LocationPrice>,
    /// Whose the processors are.
    pub cpu_type: CpuType,
    /// Such as `cost_optimized`.
    pub category: Option<String>,
    /// What it runs.
    pub architecture: Architecture,
    /// Where it is sold.
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
    /// Set if it is being withdrawn here.
    pub deprecation: Option<Deprecation>,
    /// Hetzner would rather have you take it.
    #[serde(default)]
    pub recommended: bool,
    /// Said to be in stock. A hint only: it is wrong both ways at times.
    #[serde(default)]
    pub available: bool,
}

/// When something is withdrawn.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Deprecation {
    /// When it was said.
    pub announced: Timestamp,
    /// The last moment to order it.
    pub unavailable_after: Timestamp,
}

open_enum! {
    /// Processor architecture.
    Architecture {
        X86 = "x86",
        Arm = "arm",
    }
}

open_enum! {
    /// Whose the processors are.
    CpuType {
        Shared = "shared",
        Dedicated = "dedicated",
    }
}

impl Resource for ServerType {
    const ONE: &'static str = "server_type";
    const MANY: &'static str = "server_types";
}

impl ServerTypeLocation {
    /// Whether its last day has passed: the cloud refuses to make one here.
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
