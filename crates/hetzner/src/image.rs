//! Images: the content of a new server's disk.

use jiff::Timestamp;
use serde::Deserialize;

use crate::architecture::Architecture;
use crate::error::Result;
use crate::query::{ImageType, Labels, Query};
use crate::resource::{Resource, Resources};
use crate::server_type::Deprecation;

/// All images.
pub type Images = Resources<Image>;

/// An image. Snapshots and backups have no name.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Image {
    /// Id.
    pub id: u64,
    /// Its origin.
    #[serde(rename = "type")]
    pub kind: ImageType,
    /// Whether it can be used.
    pub status: ImageStatus,
    /// Such as `docker-ce`; unique only together with the architecture.
    pub name: Option<String>,
    /// Human-readable.
    #[serde(default)]
    pub description: String,
    /// GB that are stored and billed, if known.
    pub image_size: Option<f64>,
    /// GB that a server's disk needs at least.
    pub disk_size: f64,
    /// Its creation.
    pub created: Option<Timestamp>,
    /// Such as `ubuntu`.
    pub os_flavor: String,
    /// Such as `24.04`.
    pub os_version: Option<String>,
    /// Whether servers are created from it especially fast.
    #[serde(default)]
    pub rapid_deploy: bool,
    /// What the API refuses for it.
    #[serde(default)]
    pub protection: ImageProtection,
    /// Set if it is deprecated.
    pub deprecation: Option<Deprecation>,
    /// Labels.
    #[serde(default)]
    pub labels: Labels,
    /// The architecture that it runs on.
    pub architecture: Architecture,
}

/// What the API refuses for an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct ImageProtection {
    /// Deletion.
    #[serde(default)]
    pub delete: bool,
}

open_enum! {
    /// Whether an image can be used.
    ImageStatus {
        Available = "available",
        Creating = "creating",
        Unavailable = "unavailable",
    }
}

impl Resource for Image {
    const ONE: &'static str = "image";
    const MANY: &'static str = "images";
}

impl Images {
    /// The image of this name for this architecture. A name alone may match two images.
    pub async fn of_architecture(
        &self,
        name: &str,
        architecture: Architecture,
    ) -> Result<Option<Image>> {
        let query = Query { architecture: Some(architecture), ..Query::named(name) };
        Ok(self.list(&query).await?.into_iter().next())
    }

    /// Deletes a snapshot or backup. Succeeds if it is already gone.
    pub async fn delete(&self, id: u64) -> Result<()> {
        self.erase(id).await
    }
}
