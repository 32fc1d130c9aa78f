//! Makes a volume larger: its disk through the API, its file system on the machine, while
//! everything runs. Each step may be cut off, and the same command continues.

use super::project::Cloud;
use crate::bootstrap::GROW_SCRIPT;
use crate::causes::with_causes;
use crate::error::MachineError;
use crate::observed::{Observed, Volume};
use crate::operation::Operation;
use crate::price::volume_summary;
use crate::problem::Problem;
use api::ServerStatus;
use api::VolumeSummary;

/// A volume that was resized.
#[derive(Debug, Clone, PartialEq)]
pub struct Resized {
    /// The volume as it is now, with its price.
    pub volume: VolumeSummary,
    /// Its size before, in GB.
    pub before: u64,
    /// The state of its file system.
    pub file_system: FileSystem,
}

/// The file system on a volume that has grown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileSystem {
    /// It has grown as well.
    Grown,
    /// No machine runs now: it grows at the next boot of one.
    WhenAMachineIsMade,
    /// The machine could not grow it. The disk has its new size. The same command tries again, and
    /// so does the next machine.
    Failed {
        /// Human-readable.
        message: String,
    },
}

impl Cloud {
    /// Grows the volume of this profile to `size` GB, and waits for it. If the disk has that size
    /// already, only the file system may grow.
    ///
    /// # Errors
    /// If no volume exists, or several do; if it is larger already; and if the cloud fails.
    pub async fn resize_volume(&self, size: u64) -> Result<Resized, MachineError> {
        let observed = self.observe().await?;
        let volume = match observed.volumes.as_slice() {
            [] => return Err(MachineError::NoVolume),
            [volume] => volume,
            several => {
                return Err(Problem::SeveralVolumes {
                    ids: several.iter().map(|volume| volume.id).collect(),
                }
                .into());
            }
        };
        if size < volume.size {
            return Err(MachineError::Shrinks {
                name: volume.name.clone(),
                size: volume.size,
                wanted: size,
            });
        }
        if size > volume.size {
            let asked = self
                .client
                .volumes()
                .resize(volume.id, u32::try_from(size).unwrap_or(u32::MAX))
                .await;
            self.settled(Operation::GrowVolume, asked.map(|action| vec![action])).await?;
        }
        // Another server may have it since.
        let (now, pricing) = tokio::join!(self.observe(), self.client.pricing());
        let now = now?;
        let Some(grown) = now.volumes.iter().find(|found| found.id == volume.id) else {
            return Err(MachineError::NoVolume);
        };
        if grown.size < size {
            return Err(MachineError::NotGrown { name: grown.name.clone(), size: grown.size });
        }
        let file_system = self.grow_file_system(&now, grown).await;
        let pricing = pricing.ok();
        Ok(Resized {
            volume: volume_summary(grown, pricing.as_ref()),
            before: volume.size,
            file_system,
        })
    }

    async fn grow_file_system(&self, observed: &Observed, volume: &Volume) -> FileSystem {
        let holder = observed.servers.iter().find(|server| {
            volume.server == Some(server.id) && server.status == ServerStatus::Running
        });
        let Some((server, address)) = holder.and_then(|server| Some((server, server.address?)))
        else {
            return FileSystem::WhenAMachineIsMade;
        };
        let tunnel = match self.plain_login(server, address).await {
            Ok(tunnel) => tunnel,
            Err(error) => return FileSystem::Failed { message: with_causes(&error) },
        };
        let output = tunnel.exec(&format!("{GROW_SCRIPT} {}", volume.size), b"").await;
        tunnel.close().await;
        match output {
            Ok(output) if output.success() => FileSystem::Grown,
            Ok(output) => FileSystem::Failed {
                message: String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; "),
            },
            Err(error) => FileSystem::Failed { message: error.to_string() },
        }
    }
}
