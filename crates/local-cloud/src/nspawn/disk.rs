//! The disk of a server: a writable layer in the state folder over the base system, so that it
//! takes milliseconds to make and survives power off. Also what is remembered of the server beside
//! it, and copies of disks (snapshots). Does not mount anything: a running machine does, in its own
//! mount namespace, so that nothing is left when it dies.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::raw_disk::RawDisk;
use super::tool::{During, failure, run};
use crate::hypervisor::{Failure, ImageSource, InboundRule};

/// What is remembered of a server.
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
    /// Size of the disk, in GB.
    #[serde(default = "smallest_disk")]
    pub(super) disk: u64,
    /// The root below the writable layer.
    pub(super) base: PathBuf,
    /// See [`InboundRule`].
    pub(super) firewall: Option<Vec<Rule>>,
}

/// What the smallest server types have; records of older versions do not tell.
fn smallest_disk() -> u64 {
    40
}

/// [`InboundRule`], written down.
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

/// The folder of one server.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    folder: PathBuf,
}

impl Disk {
    pub(super) fn of(state: &Path, server: u64) -> Disk {
        Disk { folder: state.join("servers").join(server.to_string()) }
    }

    /// What the machine writes.
    pub(super) fn upper(&self) -> PathBuf {
        self.folder.join("upper")
    }

    /// The kernel's own, of the overlay.
    pub(super) fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// Where the machine sees the whole disk, in its own mount namespace; empty for everybody else.
    pub(super) fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// The disk as a block device: written by a rescue system, or copied from such a snapshot.
    pub(super) fn raw(&self) -> RawDisk {
        RawDisk::at(self.folder.join("disk.img"))
    }

    /// The folder of the rescue system while it runs.
    pub(super) fn rescue(&self) -> PathBuf {
        self.folder.join("rescue")
    }

    /// The data for cloud-init.
    pub(super) fn seed(&self) -> PathBuf {
        self.folder.join("seed")
    }

    /// What the machine printed since it was last started.
    pub(super) fn console(&self) -> PathBuf {
        self.folder.join("console.log")
    }

    pub(super) fn write(&self, record: &Record) -> Result<(), Failure> {
        let text = serde_json::to_vec_pretty(record).during("write down the server")?;
        std::fs::write(self.folder.join("server.json"), text).during("write down the server")
    }

    /// Makes the disk, from the base or from a copy; returns the root that it lies over.
    pub(super) async fn make(
        &self,
        state: &Path,
        base: &Path,
        image: &ImageSource,
    ) -> Result<PathBuf, Failure> {
        self.remove().await?;
        for folder in [self.work(), self.root(), self.seed()] {
            std::fs::create_dir_all(&folder).during(format!("make {}", folder.display()))?;
        }
        match image {
            ImageSource::Base => {
                std::fs::create_dir_all(self.upper()).during("make the disk")?;
                Ok(base.to_owned())
            }
            ImageSource::Snapshot(image) => {
                let folder = image_folder(state, *image);
                RawDisk::at(folder.join("disk.img")).copy_to(&self.raw()).await?;
                let below = std::fs::read_to_string(folder.join("base"))
                    .during(format!("read image {image}"))?;
                let below = PathBuf::from(below.trim());
                if !below.is_dir() {
                    return Err(failure(
                        format!("make a disk from image {image}"),
                        format!(
                            "the base system that it was taken from is gone: {}",
                            below.display()
                        ),
                    ));
                }
                copy(&folder.join("upper"), &self.upper()).await?;
                Ok(below)
            }
        }
    }

    /// Removes disk and data.
    pub(super) async fn remove(&self) -> Result<(), Failure> {
        remove_tree(&self.folder).await
    }
}

/// The servers that the state folder holds.
pub(super) fn records(state: &Path) -> Vec<Record> {
    let folders = std::fs::read_dir(state.join("servers")).into_iter().flatten().flatten();
    folders
        .filter_map(|folder| {
            serde_json::from_slice(&std::fs::read(folder.path().join("server.json")).ok()?).ok()
        })
        .collect()
}

/// Copies the disk of a server to an image; returns how much it weighs, with the base system below.
pub(super) async fn snapshot(
    state: &Path,
    server: u64,
    base: &Path,
    image: u64,
) -> Result<u64, Failure> {
    let folder = image_folder(state, image);
    remove_tree(&folder).await?;
    std::fs::create_dir_all(&folder).during("make an image")?;
    let disk = Disk::of(state, server);
    std::fs::write(folder.join("base"), base.display().to_string())
        .during("write down the image")?;
    if disk.raw().is_written() {
        std::fs::create_dir(folder.join("upper")).during("make an image")?;
        let copy = RawDisk::at(folder.join("disk.img"));
        disk.raw().copy_to(&copy).await?;
        return Ok(copy.weight());
    }
    copy(&disk.upper(), &folder.join("upper")).await?;
    Ok(weight(&folder).await? + weight(base).await?)
}

/// Removes such a copy.
pub(super) async fn delete_snapshot(state: &Path, image: u64) -> Result<(), Failure> {
    remove_tree(&image_folder(state, image)).await
}

fn image_folder(state: &Path, image: u64) -> PathBuf {
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

async fn weight(folder: &Path) -> Result<u64, Failure> {
    let args = [Path::new("-s"), Path::new("-x"), Path::new("--block-size=1"), folder];
    let said = run("weigh a disk", "du", &args).await?;
    said.split_whitespace()
        .next()
        .and_then(|word| word.parse().ok())
        .ok_or_else(|| failure("weigh a disk", "du told no number"))
}

async fn remove_tree(path: &Path) -> Result<(), Failure> {
    match tokio::fs::remove_dir_all(path).await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.during(format!("remove {}", path.display())),
    }
}
