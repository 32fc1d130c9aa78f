//! Volumes: disks that outlive servers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::action::Action;
use crate::creation::{Creation, Labeled};
use crate::error::{Error, Result};
use crate::location::Location;
use crate::query::Labels;
use crate::resource::{Resource, Resources};

/// All volumes.
pub type Volumes = Resources<Volume>;

/// A disk at a location.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Volume {
    /// Id; the disk's SCSI serial number.
    pub id: u64,
    /// Unique in the project.
    pub name: String,
    /// Its creation.
    pub created: Timestamp,
    /// The server that it is attached to.
    pub server: Option<u64>,
    /// Its location, which never changes.
    pub location: Location,
    /// GB.
    pub size: u32,
    /// The device's path on the server.
    pub linux_device: String,
    /// What the API refuses for it.
    #[serde(default)]
    pub protection: VolumeProtection,
    /// Labels.
    #[serde(default)]
    pub labels: Labels,
    /// `available` does not mean unattached.
    pub status: VolumeStatus,
    /// The file system that the cloud created on it.
    pub format: Option<VolumeFormat>,
}

/// What the API refuses for a volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct VolumeProtection {
    /// Deletion.
    #[serde(default)]
    pub delete: bool,
}

open_enum! {
    /// The status of a volume.
    VolumeStatus {
        Creating = "creating",
        Available = "available",
    }
}

open_enum! {
    /// File systems that the cloud can create on a volume.
    VolumeFormat {
        Ext4 = "ext4",
        Xfs = "xfs",
    }
}

/// A volume to create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewVolume {
    /// Unique in the project, at most 64 characters.
    pub name: String,
    /// GB, 10 to 10240.
    pub size: u32,
    /// Name of the location.
    pub location: String,
    /// `None` for a blank volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<VolumeFormat>,
    /// Labels. They also identify the volume after a lost reply.
    pub labels: Labels,
}

/// A volume that is being created.
#[derive(Debug, Clone, Deserialize)]
pub struct CreatedVolume {
    /// The volume.
    pub volume: Volume,
    /// Its creation.
    pub action: Action,
    /// Further actions.
    #[serde(default)]
    pub next_actions: Vec<Action>,
}

impl CreatedVolume {
    /// All actions, in order.
    pub fn actions(&self) -> Vec<Action> {
        std::iter::once(&self.action).chain(&self.next_actions).cloned().collect()
    }
}

impl Resource for Volume {
    const ONE: &'static str = "volume";
    const MANY: &'static str = "volumes";
}

impl Labeled for Volume {
    fn labels(&self) -> &Labels {
        &self.labels
    }
}

impl Volumes {
    /// Creates a volume. After a lost reply it is found by its name and labels.
    pub async fn create(&self, new: &NewVolume) -> Result<CreatedVolume> {
        match self.create_named(&new.name, &new.labels, new).await? {
            Creation::Reply(line, reply) => {
                serde_json::from_value(reply).map_err(|source| Error::Decode { line, source })
            }
            Creation::Found(volume, lost) => {
                let (action, next_actions) =
                    self.creating_actions(volume.id, "create_volume", lost).await?;
                Ok(CreatedVolume { volume, action, next_actions })
            }
        }
    }

    /// Attaches a volume to a server at the same location, without mounting it.
    pub async fn attach(&self, volume: u64, server: u64) -> Result<Action> {
        self.act(volume, "attach", &json!({ "server": server, "automount": false })).await
    }

    /// Detaches a volume from its server, without unmounting it.
    pub async fn detach(&self, volume: u64) -> Result<Action> {
        self.act(volume, "detach", &Value::Object(Default::default())).await
    }

    /// Grows a volume to `size` GB. A volume cannot shrink.
    pub async fn resize(&self, volume: u64, size: u32) -> Result<Action> {
        self.act(volume, "resize", &json!({ "size": size })).await
    }

    /// Replaces the name, or all labels.
    pub async fn update(
        &self,
        volume: u64,
        name: Option<&str>,
        labels: Option<&Labels>,
    ) -> Result<Volume> {
        self.change(volume, name, labels).await
    }

    /// Deletes a detached volume and all its data, for good. Succeeds if it is already gone.
    pub async fn delete(&self, volume: u64) -> Result<()> {
        self.erase(volume).await
    }
}
