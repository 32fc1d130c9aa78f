//! Volumes: disks that outlive servers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::action::Action;
use crate::creation::{Creation, Labelled};
use crate::error::{Error, Result};
use crate::location::Location;
use crate::resource::{Labels, Resource, Resources};

/// All volumes.
pub type Volumes = Resources<Volume>;

/// A disk at a location.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Volume {
    /// Id; the disk's SCSI serial number.
    pub id: u64,
    /// Unique in the project.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// The server that it is attached to.
    pub server: Option<u64>,
    /// Where it stands, for good.
    pub location: Location,
    /// GB.
    pub size: u32,
    /// The device's path on the server.
    pub linux_device: String,
    /// What is refused.
    #[serde(default)]
    pub protection: VolumeProtection,
    /// Labels.
    #[serde(default)]
    pub labels: Labels,
    /// `available` does not mean unattached.
    pub status: VolumeStatus,
    /// The file system that it was made with.
    pub format: Option<VolumeFormat>,
}

/// What is refused for a volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct VolumeProtection {
    /// Deletion.
    #[serde(default)]
    pub delete: bool,
}

open_enum! {
    /// How a volume stands.
    VolumeStatus {
        Creating = "creating",
        Available = "available",
    }
}

open_enum! {
    /// File systems that a volume can be made with.
    VolumeFormat {
        Ext4 = "ext4",
        Xfs = "xfs",
    }
}

/// A volume to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewVolume {
    /// Unique in the project, at most 64 characters.
    pub name: String,
    /// GB, 10 to 10240.
    pub size: u32,
    /// Name of the location.
    pub location: String,
    /// Without one the volume stays blank.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<VolumeFormat>,
    /// Labels; they also tell our own volume from others when a reply is lost.
    pub labels: Labels,
}

/// A volume that is being made.
#[derive(Debug, Clone, Deserialize)]
pub struct CreatedVolume {
    /// The volume.
    pub volume: Volume,
    /// Its making.
    pub action: Action,
    /// What follows.
    #[serde(default)]
    pub next_actions: Vec<Action>,
}

impl CreatedVolume {
    /// All that is to be waited for, in order.
    pub fn actions(&self) -> Vec<Action> {
        std::iter::once(&self.action).chain(&self.next_actions).cloned().collect()
    }
}

impl Resource for Volume {
    const ONE: &'static str = "volume";
    const MANY: &'static str = "volumes";
}

impl Labelled for Volume {
    fn labels(&self) -> &Labels {
        &self.labels
    }
}

impl Volumes {
    /// Makes a volume. A lost reply is recovered by the name if the volume carries all labels.
    pub async fn create(&self, new: &NewVolume) -> Result<CreatedVolume> {
        match self.create_named(&new.name, &new.labels, new).await? {
            Creation::Reply(operation, reply) => {
                serde_json::from_value(reply).map_err(|source| Error::Decode { operation, source })
            }
            Creation::Found(volume, lost) => {
                let (action, next_actions) =
                    self.creating_actions(volume.id, "create_volume", lost).await?;
                Ok(CreatedVolume { volume, action, next_actions })
            }
        }
    }

    /// Attaches a volume to a server at the same location; it is not mounted.
    pub async fn attach(&self, volume: u64, server: u64) -> Result<Action> {
        self.act(volume, "attach", &json!({ "server": server, "automount": false })).await
    }

    /// Takes a volume from its server, as if its cable were pulled.
    pub async fn detach(&self, volume: u64) -> Result<Action> {
        self.act(volume, "detach", &Value::Object(Default::default())).await
    }

    /// Grows a volume to `size` GB; it cannot shrink.
    pub async fn resize(&self, volume: u64, size: u32) -> Result<Action> {
        self.act(volume, "resize", &json!({ "size": size })).await
    }

    /// Replaces name or labels (the whole set).
    pub async fn update(
        &self,
        volume: u64,
        name: Option<&str>,
        labels: Option<&Labels>,
    ) -> Result<Volume> {
        self.change(volume, name, labels).await
    }

    /// Deletes a volume and all its data, for good; it must be detached. One that is gone already
    /// is fine.
    pub async fn delete(&self, volume: u64) -> Result<()> {
        self.erase(volume).await
    }
}
