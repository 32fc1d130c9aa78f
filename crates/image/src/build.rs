//! A build from start to end: find out what is wanted, look for an equal snapshot, else make one,
//! and remove everything else. `builder.rs` carries the steps out; `disk_image.rs` and
//! `machine_image.rs` know the two kinds of images.
//!
//! Each step may be cut off anywhere: the next build of the same image finds by labels what exists
//! and continues from it. The user can interrupt waiting, but not a request that creates something,
//! or dockbridge would not know what was created.

use hetzner::Client;
use tokio_util::sync::CancellationToken;

use crate::builder::Builder;
use crate::disk_image::DiskBuild;
use crate::error::{BusyBuild, ImageError};
use crate::event::{Phase, Report};
use crate::labels::Recipe;
use crate::lock::Lock;
use crate::machine_image::MachineBuild;
use crate::order::{Built, Content, Order};

/// Builds an image, unless an equal one exists. When this returns nothing remains except the
/// snapshot, or the error says so.
pub async fn build(
    client: &Client,
    order: &Order,
    report: &Report<'_>,
    cancel: &CancellationToken,
) -> Result<Built, ImageError> {
    let prepare = async {
        Ok::<_, ImageError>(match &order.content {
            Content::Disk(disk) => Kind::Disk(DiskBuild::prepare(order, disk, report).await?),
            Content::Machine(image) => {
                Kind::Machine(Box::new(MachineBuild::prepare(client, order, image).await?))
            }
        })
    };
    let kind = tokio::select! {
        kind = prepare => kind?,
        () = cancel.cancelled() => return Err(ImageError::Interrupted),
    };
    let (source, version) = match &kind {
        Kind::Disk(disk) => (disk.source(), order.version.clone()),
        Kind::Machine(machine) => (machine.source(), Some(machine.version()?)),
    };
    let recipe = Recipe {
        name: order.name.clone(),
        os: order.os.clone(),
        version,
        schematic: order.schematic.clone(),
        architecture: order.architecture.clone(),
        source,
    };
    let busy = || ImageError::Busy(BusyBuild::OnThisComputer);
    let _lock = Lock::try_take(&order.locks, &recipe.key())?.ok_or_else(busy)?;
    let builder = Builder::new(client, order, report, cancel, recipe);
    let outcome = to_snapshot(&builder, &kind).await;
    match (outcome, builder.clean_up().await) {
        (outcome, Ok(())) => outcome,
        (Ok(_), Err(error)) => {
            Err(ImageError::NotCleanedUp { because: None, source: Box::new(error) })
        }
        // If nothing was created yet, the failed cleanup is no second error.
        (Err(because), Err(_)) if !builder.has_begun() => Err(because),
        (Err(because), Err(error)) => Err(ImageError::NotCleanedUp {
            because: Some(Box::new(because)),
            source: Box::new(error),
        }),
    }
}

/// The kind of the image.
enum Kind<'a> {
    Disk(DiskBuild<'a>),
    Machine(Box<MachineBuild>),
}

async fn to_snapshot(builder: &Builder<'_>, kind: &Kind<'_>) -> Result<Built, ImageError> {
    builder.phase(Phase::LookUp, None);
    let version = builder.recipe.version.clone();
    if let Some(image) = builder.equal_snapshot().await? {
        return Ok(Built { image, existed: true, version, written: None });
    }
    let (image, written) = match kind {
        Kind::Disk(disk) => {
            let (image, written) = disk.to_snapshot(builder).await?;
            (image, Some(written))
        }
        Kind::Machine(machine) => (machine.to_snapshot(builder).await?, None),
    };
    Ok(Built { image, existed: false, version, written })
}
