//! A larger volume: its disk through the API, its file system on the machine, while everything
//! runs. Each step may be cut off: the same command goes on.

use super::observe::volume_summary;
use super::{Cloud, cloud};
use crate::bootstrap::GROW_SCRIPT;
use crate::error::MachineError;
use crate::observed::{Observed, ServerStatus, Volume};
use crate::plan::Problem;
use crate::provider::VolumeSummary;

/// What became of a volume.
#[derive(Debug, Clone, PartialEq)]
pub struct Resized {
    /// As it is now, priced.
    pub volume: VolumeSummary,
    /// GB that it had.
    pub before: u64,
    /// What became of its file system.
    pub file_system: FileSystem,
}

/// What became of the file system on a volume that has grown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileSystem {
    /// It has grown with it.
    Grown,
    /// There is no machine to do it now: it grows when one is made.
    WhenAMachineIsMade,
    /// The machine could not do it. The disk has its new size; the same command tries once more,
    /// and so does the next machine.
    Failed {
        /// Why, in words for a person.
        message: String,
    },
}

impl Cloud {
    /// Grows the volume of this profile to `size` GB, and waits for it. A size that it has already
    /// is no error: what is still to be done is.
    ///
    /// # Errors
    /// Where there is no volume, or several; where it is larger already; and where the cloud fails.
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
            self.settled("grow the volume", asked.map(|action| vec![action])).await?;
        }
        // Whose server it is on may have changed while it grew.
        let (now, pricing) = tokio::join!(self.observe(), self.client.pricing());
        let now = now?;
        let Some(grown) = now.volumes.iter().find(|found| found.id == volume.id) else {
            return Err(MachineError::NoVolume);
        };
        if grown.size < size {
            return Err(MachineError::NotGrown { name: grown.name.clone(), size: grown.size });
        }
        let file_system = self.grow_file_system(&now, grown).await;
        let pricing = pricing.map_err(cloud("tell its prices")).ok();
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
            Err(error) => return FileSystem::Failed { message: crate::with_causes(&error) },
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
