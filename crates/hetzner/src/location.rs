//! Locations of servers and volumes.

use serde::Deserialize;

use crate::resource::{Resource, Resources};

/// All locations.
pub type Locations = Resources<Location>;

/// A location.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Location {
    /// Id.
    pub id: u64,
    /// Such as `fsn1`.
    pub name: String,
    /// Human-readable.
    #[serde(default)]
    pub description: String,
    /// ISO 3166-1 code.
    #[serde(default)]
    pub country: String,
    /// Such as `Falkenstein`.
    #[serde(default)]
    pub city: String,
    /// Such as `eu-central`.
    #[serde(default)]
    pub network_zone: String,
}

impl Resource for Location {
    const ONE: &'static str = "location";
    const MANY: &'static str = "locations";
}
