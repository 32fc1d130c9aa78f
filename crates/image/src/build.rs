//! A build from its beginning to its end: know what is wanted, look for an equal snapshot, else
//! make one, leave nothing behind. What is done is told by `steps`, and by `written` and `prepared`
//! for the two kinds of images.
//!
//! Each step may be cut off anywhere: the next build of the same image finds by labels what there
//! is and goes on from it. Waiting can be interrupted by the person; what makes something cannot,
//! or we would not know what was made.

use std::path::PathBuf;
use std::time::Duration;

use agent_proto::image::{Checksum, Compression, Format, Written};
use hetzner::{Client, Image};
use machine::{Books, Owner};
use tokio_util::sync::CancellationToken;

use crate::error::ImageError;
use crate::event::{Phase, Report};
use crate::labels::{Name, Recipe};
use crate::lock::Lock;
use crate::source::Source;
use crate::steps::Build;
use crate::{prepared, written};

/// What is to be built, and how.
#[derive(Debug, Clone)]
pub struct Order {
    /// Whose image.
    pub owner: Owner,
    /// What it is called.
    pub name: Name,
    /// The operating system.
    pub os: Name,
    /// Its version, where there is one. That of an image of our own follows from what is in it.
    pub version: Option<Name>,
    /// Talos' schematic.
    pub schematic: Option<String>,
    /// What it runs on.
    pub architecture: hetzner::Architecture,
    /// What is in it.
    pub content: Content,
    /// Locations in order of preference.
    pub locations: Vec<String>,
    /// Only these types, in this order; empty for the one with the smallest disk, then the
    /// cheapest.
    pub server_types: Vec<String>,
    /// How long the server, or its rescue system, may take to answer.
    pub answer_timeout: Duration,
    /// Folder of the agent's binaries, one of which writes disks.
    pub agents: PathBuf,
    /// Folder for the locks that keep builds of one image apart.
    pub locks: PathBuf,
    /// Where each server that is made or deleted is reported.
    pub books: Books,
}

/// What is in an image.
#[derive(Debug, Clone)]
pub enum Content {
    /// A disk image, written to the disk by the rescue system.
    Disk(DiskImage),
    /// What our own machines begin as, prepared on a server that runs it.
    Machine(MachineImage),
}

/// A disk image.
#[derive(Debug, Clone)]
pub struct DiskImage {
    /// Where it comes from.
    pub source: Source,
    /// How it is compressed.
    pub compression: Compression,
    /// What it is then.
    pub format: Format,
    /// What the source has to be.
    pub checksum: Option<Checksum>,
    /// A source that sends nothing for so long has stalled.
    pub stall_timeout: Duration,
}

/// What our own machines begin as.
#[derive(Debug, Clone)]
pub struct MachineImage {
    /// Name of the cloud's image that it begins with.
    pub base: String,
    /// How long after boot a client has to have found a machine, in seconds.
    pub boot_lease_seconds: u64,
}

/// An image that there is.
#[derive(Debug, Clone)]
pub struct Built {
    /// The snapshot.
    pub image: Image,
    /// It was there already.
    pub existed: bool,
    /// Its version, where it has one.
    pub version: Option<Name>,
    /// What was written, where a disk was.
    pub written: Option<Written>,
}

/// Builds an image, unless there is an equal one. When this returns nothing is left but the
/// snapshot, or the error says so.
pub async fn build(
    client: &Client,
    order: &Order,
    report: &Report<'_>,
    cancel: &CancellationToken,
) -> Result<Built, ImageError> {
    let begun = async {
        Ok::<_, ImageError>(match &order.content {
            Content::Disk(disk) => {
                Way::Written(written::Writing::begin(order, disk, report).await?)
            }
            Content::Machine(image) => {
                Way::Prepared(Box::new(prepared::Preparation::begin(client, order, image).await?))
            }
        })
    };
    let way = tokio::select! {
        way = begun => way?,
        () = cancel.cancelled() => return Err(ImageError::Interrupted),
    };
    let (source, version) = match &way {
        Way::Written(writing) => (writing.source(), order.version.clone()),
        Way::Prepared(preparation) => (preparation.source(), Some(preparation.version()?)),
    };
    let recipe = Recipe {
        name: order.name.clone(),
        os: order.os.clone(),
        version,
        schematic: order.schematic.clone(),
        architecture: order.architecture.clone(),
        source,
    };
    let busy = || ImageError::Busy { by: "by another dockbridge on this computer".to_owned() };
    let _lock = Lock::try_take(&order.locks, &recipe.key())?.ok_or_else(busy)?;
    let build = Build::new(client, order, report, cancel, recipe);
    let outcome = to_snapshot(&build, &way).await;
    match (outcome, build.clean_up().await) {
        (outcome, Ok(())) => outcome,
        (Ok(_), Err(error)) => Err(ImageError::LeftOver { because: None, source: Box::new(error) }),
        // Where nothing was made yet there is no second thing to tell.
        (Err(because), Err(_)) if !build.has_begun() => Err(because),
        (Err(because), Err(error)) => {
            Err(ImageError::LeftOver { because: Some(Box::new(because)), source: Box::new(error) })
        }
    }
}

/// How the disk comes to be what it should be.
enum Way<'a> {
    Written(written::Writing<'a>),
    Prepared(Box<prepared::Preparation>),
}

async fn to_snapshot(build: &Build<'_>, way: &Way<'_>) -> Result<Built, ImageError> {
    build.phase(Phase::LookUp, None);
    let version = build.recipe.version.clone();
    if let Some(image) = build.equal_snapshot().await? {
        return Ok(Built { image, existed: true, version, written: None });
    }
    let (image, written) = match way {
        Way::Written(writing) => {
            writing.to_snapshot(build).await.map(|(image, written)| (image, Some(written)))?
        }
        Way::Prepared(preparation) => (preparation.to_snapshot(build).await?, None),
    };
    Ok(Built { image, existed: false, version, written })
}
