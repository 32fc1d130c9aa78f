//! Images: what a server's disk is made from.

use jiff::Timestamp;
use serde::Deserialize;

use crate::error::Result;
use crate::resource::{Labels, Query, Resource, Resources};
use crate::server_type::{Architecture, Deprecation};

/// All images.
pub type Images = Resources<Image>;

/// An image. Snapshots and backups have no name.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Image {
    /// Id.
    pub id: u64,
    /// Where it comes from.
    #[serde(rename = "type")]
    pub kind: ImageType,
    /// Whether it can be used.
    pub status: ImageStatus,
    /// Such as `docker-ce`; unique only together with the architecture.
    pub name: Option<String>,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// GB that are stored and paid for, when known.
    pub image_size: Option<f64>,
    /// GB that a server's disk must have at least.
    pub disk_size: f64,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Such as `ubuntu`.
    pub os_flavor: String,
    /// Such as `24.04`.
    pub os_version: Option<String>,
    /// Whether servers are made from it especially fast.
    #[serde(default)]
    pub rapid_deploy: bool,
    /// What is refused.
    #[serde(default)]
    pub protection: ImageProtection,
    /// Set if it is being withdrawn.
    pub deprecation: Option<Deprecation>,
    /// Labels.
    #[serde(default)]
    pub labels: Labels,
    /// What it runs on.
    pub architecture: Architecture,
}

/// What is refused for an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct ImageProtection {
    /// Deletion.
    #[serde(default)]
    pub delete: bool,
}

open_enum! {
    /// Where an image comes from.
    ImageType {
        System = "system",
        App = "app",
        Snapshot = "snapshot",
        Backup = "backup",
    }
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
    /// The image of this name for this architecture. (A name alone may mean two images.)
    pub async fn of_architecture(
        &self,
        name: &str,
        architecture: Architecture,
    ) -> Result<Option<Image>> {
        let query = Query { architecture: Some(architecture), ..Query::named(name) };
        Ok(self.list(&query).await?.into_iter().next())
    }

    /// Deletes a snapshot or backup; one that is gone already is fine.
    pub async fn delete(&self, id: u64) -> Result<()> {
        self.erase(id).await
    }
}
