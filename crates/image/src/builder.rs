//! The steps that builds of all kinds share: look for an equal snapshot, make a snapshot of a
//! server's disk, remove everything else. `build_server.rs` adds the server. Does not know what is
//! on the disk.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hetzner::{Action, Client, Image, ImageStatus, ImageType, Labels, Query};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::error::ImageError;
use crate::event::{Event, Phase, Report};
use crate::labels::{self, BUILD, Recipe};
use crate::operation::Operation;
use crate::order::Order;
use crate::orphans;

/// Copying a full disk of the smallest types has taken an hour.
const LONGEST_SNAPSHOT: Duration = Duration::from_secs(2 * 60 * 60);
/// Between two polls of something that the cloud does.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// How often the work is repeated after its connection broke. Each time it starts from the
/// beginning.
pub(crate) const MOST_CONNECTIONS: u32 = 3;

/// A build in progress.
pub(crate) struct Builder<'a> {
    pub(crate) client: &'a Client,
    pub(crate) order: &'a Order,
    pub(crate) report: &'a Report<'a>,
    pub(crate) recipe: Recipe,
    cancel: &'a CancellationToken,
    /// Something was created, or may have been.
    begun: AtomicBool,
    /// A snapshot that this build has started and that may be incomplete.
    begun_image: Mutex<Option<u64>>,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(
        client: &'a Client,
        order: &'a Order,
        report: &'a Report<'a>,
        cancel: &'a CancellationToken,
        recipe: Recipe,
    ) -> Self {
        Self {
            client,
            order,
            report,
            recipe,
            cancel,
            begun: AtomicBool::default(),
            begun_image: Mutex::default(),
        }
    }

    pub(crate) fn phase(&self, phase: Phase, detail: Option<String>) {
        (self.report)(Event::Phase { phase, detail });
    }

    pub(crate) fn note(&self, message: String) {
        (self.report)(Event::Note { message });
    }

    /// Waits for an action of the cloud, unless the user interrupts.
    pub(crate) async fn settled(
        &self,
        operation: Operation,
        begun: hetzner::Result<Action>,
    ) -> Result<(), ImageError> {
        let action = begun.map_err(ImageError::cloud(operation))?;
        self.until(async {
            self.client.wait(vec![action]).await.map_err(ImageError::cloud(operation))
        })
        .await
    }

    /// Waits, unless the user interrupts.
    pub(crate) async fn until<T>(
        &self,
        waiting: impl Future<Output = Result<T, ImageError>>,
    ) -> Result<T, ImageError> {
        tokio::select! {
            outcome = waiting => outcome,
            () = self.cancel.cancelled() => Err(ImageError::Interrupted),
        }
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.cancel.is_cancelled()
    }

    pub(crate) async fn pause(&self) -> Result<(), ImageError> {
        self.until(async {
            sleep(POLL_INTERVAL).await;
            Ok(())
        })
        .await
    }

    /// From here on something may have been created.
    pub(crate) fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    /// A snapshot of the same build, of now or earlier. One that is still being made belongs to a
    /// build that was cut off after it had written everything.
    pub(crate) async fn equal_snapshot(&self) -> Result<Option<Image>, ImageError> {
        let selector = format!(
            "{},{BUILD}={}",
            labels::snapshot_selector(&self.order.owner),
            self.recipe.key()
        );
        let query = Query { image_type: vec![ImageType::Snapshot], ..Query::labels(selector) };
        let begun = Instant::now();
        loop {
            let found = self.client.images().list(&query).await;
            let mut equal = found.map_err(ImageError::cloud(Operation::ListImages))?;
            equal.retain(|image| {
                labels::is_own_snapshot(&self.order.owner, &image.labels)
                    && image.labels.get(BUILD) == Some(&self.recipe.key())
            });
            equal.sort_by_key(|image| image.status != ImageStatus::Available);
            match equal.into_iter().next() {
                Some(image) if image.status == ImageStatus::Available => return Ok(Some(image)),
                Some(image)
                    if image.status == ImageStatus::Creating
                        && begun.elapsed() < LONGEST_SNAPSHOT =>
                {
                    let detail = format!("waiting for {}, which an earlier build began", image.id);
                    self.phase(Phase::Snapshot, Some(detail));
                    self.pause().await?;
                }
                _ => return Ok(None),
            }
        }
    }

    /// Makes a snapshot of the disk of a server that is off.
    pub(crate) async fn snapshot(&self, server: u64, labels: &Labels) -> Result<Image, ImageError> {
        self.phase(Phase::Snapshot, None);
        let created =
            self.client.servers().create_image(server, &self.recipe.description(), labels).await;
        let created = match created {
            Ok(created) => created,
            // The cloud may be making it anyway; its labels then identify it.
            Err(error) if error.is_lost_reply() => {
                let made = self.equal_snapshot().await?;
                return made.ok_or_else(|| ImageError::cloud(Operation::CreateSnapshot)(error));
            }
            Err(error) => return Err(ImageError::cloud(Operation::CreateSnapshot)(error)),
        };
        *self.begun_image() = Some(created.image.id);
        self.until(async {
            let waited = self.client.wait_at_most(vec![created.action], LONGEST_SNAPSHOT).await;
            waited.map_err(ImageError::cloud(Operation::CreateSnapshot))
        })
        .await?;
        let id = created.image.id;
        let read = self.client.images().get(id).await;
        match read.map_err(ImageError::cloud(Operation::ReadSnapshot))? {
            Some(image) if image.status == ImageStatus::Available => {
                self.begun_image().take();
                Ok(image)
            }
            Some(image) => Err(ImageError::Snapshot { id, status: image.status.to_string() }),
            None => Err(ImageError::Snapshot { id, status: "gone".to_owned() }),
        }
    }

    /// Removes everything else that this build, or an earlier one of the same image, has created.
    /// It is found by labels, since a reply may have been lost.
    pub(crate) async fn clean_up(&self) -> Result<(), ImageError> {
        let unfinished = self.begun_image().take();
        if let Some(id) = unfinished {
            orphans::delete_image(self.client, id).await?;
        }
        let selector = format!(
            "{},{BUILD}={}",
            labels::builder_selector(&self.order.owner),
            self.recipe.key()
        );
        orphans::remove_all(self.client, &self.order.owner, &self.order.books, &selector, || {
            self.phase(Phase::CleanUp, None)
        })
        .await
    }

    fn begun_image(&self) -> MutexGuard<'_, Option<u64>> {
        self.begun_image.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
