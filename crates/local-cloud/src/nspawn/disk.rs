//! The disk of a server: a writable layer in the state directory over the base system, which takes
//! milliseconds to create and survives power off. Also the server's record, and copies of disks
//! (snapshots). Mounts nothing: a running machine mounts its disk in its own mount namespace, so
//! that nothing is left when it dies.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::raw_disk::RawDisk;
use super::tool::{During, failure, run};
use crate::hypervisor::{Failure, ImageSource, InboundRule};

/// The saved record of a server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) user_data: Option<String>,
    pub(super) ssh_keys: Vec<String>,
    pub(super) availability_zone: String,
    pub(super) region: String,
    /// Last octet.
    pub(super) host: u8,
    /// Size of the disk in GB.
    #[serde(default = "smallest_disk")]
    pub(super) disk: u64,
    /// Whether it is a machine for arm64 by emulation.
    #[serde(default)]
    pub(super) emulated: bool,
    /// The root below the writable layer.
    pub(super) base: PathBuf,
    /// See [`InboundRule`].
    pub(super) firewall: Option<Vec<Rule>>,
}

/// Disk size of the smallest server types; records of older versions lack it.
fn smallest_disk() -> u64 {
    40
}

/// [`InboundRule`] in serialized form.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Rule {
    pub(super) protocol: String,
    pub(super) ports: Option<(u16, u16)>,
    pub(super) sources: Vec<String>,
}

impl From<InboundRule> for Rule {
    fn from(rule: InboundRule) -> Rule {
        Rule { protocol: rule.protocol, ports: rule.ports, sources: rule.sources }
    }
}

/// The directory of one server.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    directory: PathBuf,
}

impl Disk {
    pub(super) fn of(state: &Path, server: u64) -> Disk {
        Disk { directory: state.join("servers").join(server.to_string()) }
    }

    /// What the machine writes.
    pub(super) fn upper(&self) -> PathBuf {
        self.directory.join("upper")
    }

    /// The overlay's working directory.
    pub(super) fn work(&self) -> PathBuf {
        self.directory.join("work")
    }

    /// Where the machine sees the whole disk, in its own mount namespace; empty for all other
    /// processes.
    pub(super) fn root(&self) -> PathBuf {
        self.directory.join("root")
    }

    /// The disk as a block device: written by a rescue system, or copied from such a snapshot.
    pub(super) fn raw(&self) -> RawDisk {
        RawDisk::at(self.directory.join("disk.img"))
    }

    /// The directory of the rescue system while it runs.
    pub(super) fn rescue(&self) -> PathBuf {
        self.directory.join("rescue")
    }

    /// The data for cloud-init.
    pub(super) fn seed(&self) -> PathBuf {
        self.directory.join("seed")
    }

    /// Console output since the machine was last started.
    pub(super) fn console(&self) -> PathBuf {
        self.directory.join("console.log")
    }

    pub(super) fn write(&self, record: &Record) -> Result<(), Failure> {
        let text = serde_json::to_vec_pretty(record).during("save the server's record")?;
        std::fs::write(self.directory.join("server.json"), text).during("save the server's record")
    }

    /// Creates the disk, from the base or from a copy; returns the root below it.
    pub(super) async fn make(
        &self,
        state: &Path,
        base: &Path,
        image: &ImageSource,
    ) -> Result<PathBuf, Failure> {
        self.remove().await?;
        for directory in [self.work(), self.root(), self.seed()] {
            std::fs::create_dir_all(&directory).during(format!("make {}", directory.display()))?;
        }
        match image {
            ImageSource::Base => {
                std::fs::create_dir_all(self.upper()).during("make the disk")?;
                Ok(base.to_owned())
            }
            ImageSource::Snapshot(image) => {
                let directory = image_directory(state, *image);
                RawDisk::at(directory.join("disk.img")).copy_to(&self.raw()).await?;
                let below = std::fs::read_to_string(directory.join("base"))
                    .during(format!("read image {image}"))?;
                let below = PathBuf::from(below.trim());
                if !below.is_dir() {
                    return Err(failure(
                        format!("make a disk from image {image}"),
                        format!("its base system does not exist any more: {}", below.display()),
                    ));
                }
                copy(&directory.join("upper"), &self.upper()).await?;
                Ok(below)
            }
        }
    }

    /// Removes disk and data.
    pub(super) async fn remove(&self) -> Result<(), Failure> {
        remove_tree(&self.directory).await
    }
}

/// The servers in the state directory.
pub(super) fn records(state: &Path) -> Vec<Record> {
    let directories = std::fs::read_dir(state.join("servers")).into_iter().flatten().flatten();
    directories
        .filter_map(|directory| {
            serde_json::from_slice(&std::fs::read(directory.path().join("server.json")).ok()?).ok()
        })
        .collect()
}

/// Copies the disk of a server to an image; returns its size in bytes, including the base system
/// below.
pub(super) async fn snapshot(
    state: &Path,
    server: u64,
    base: &Path,
    image: u64,
) -> Result<u64, Failure> {
    let directory = image_directory(state, image);
    remove_tree(&directory).await?;
    std::fs::create_dir_all(&directory).during("make an image")?;
    let disk = Disk::of(state, server);
    std::fs::write(directory.join("base"), base.display().to_string())
        .during("save the image's record")?;
    if disk.raw().is_written() {
        std::fs::create_dir(directory.join("upper")).during("make an image")?;
        let copy = RawDisk::at(directory.join("disk.img"));
        disk.raw().copy_to(&copy).await?;
        return Ok(copy.weight());
    }
    copy(&disk.upper(), &directory.join("upper")).await?;
    Ok(weight(&directory).await? + weight(base).await?)
}

/// Deletes such a copy.
pub(super) async fn delete_snapshot(state: &Path, image: u64) -> Result<(), Failure> {
    remove_tree(&image_directory(state, image)).await
}

fn image_directory(state: &Path, image: u64) -> PathBuf {
    state.join("images").join(image.to_string())
}

/// With owners, attributes and the overlay's marks for removed files.
async fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let args = [
        Path::new("-a"),
        Path::new("--reflink=auto"),
        Path::new("--sparse=auto"),
        Path::new("-T"),
        from,
        to,
    ];
    run("copy a disk", "cp", &args).await.map(drop)
}

async fn weight(directory: &Path) -> Result<u64, Failure> {
    let args = [Path::new("-s"), Path::new("-x"), Path::new("--block-size=1"), directory];
    let said = run("measure a disk", "du", &args).await?;
    said.split_whitespace()
        .next()
        .and_then(|word| word.parse().ok())
        .ok_or_else(|| failure("measure a disk", "du printed no number"))
}

async fn remove_tree(path: &Path) -> Result<(), Failure> {
    match tokio::fs::remove_dir_all(path).await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.during(format!("remove {}", path.display())),
    }
}
