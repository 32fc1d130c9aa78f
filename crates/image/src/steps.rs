//! What builds of all kinds do with the cloud: look for an equal snapshot, have a key, take over or
//! make a server, keep its disk as a snapshot, remove what was made on the way. Knows nothing of
//! what comes onto the disk.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hetzner::{
    Action, Client, Image, ImageStatus, ImageType, Labels, NewServer, Query, Server, ServerStatus,
};
use jiff::Timestamp;
use russh::keys::PrivateKey;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::build::Order;
use crate::error::{ImageError, cloud};
use crate::event::{Event, Phase, Report};
use crate::labels::{self, BUILD, HOST, Recipe};
use crate::ladder::{Wanted, ladder};
use crate::{left_over, lock, wall};

/// Copying a full disk of the smallest types was seen to take an hour.
const LONGEST_SNAPSHOT: Duration = Duration::from_secs(2 * 60 * 60);
/// A build does not wait longer for what its server costs.
const LONGEST_PRICES: Duration = Duration::from_secs(3);
/// Between two looks at something that passes by itself.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// What another action has to end within before we take over its server.
const LONGEST_LOCK: Duration = Duration::from_secs(10 * 60);
/// A build elsewhere cannot be asked whether it lives; none takes longer.
pub(crate) const LONGEST_BUILD: Duration = Duration::from_secs(6 * 60 * 60);

/// How often a path that broke in the middle of the work is made anew: the work begins from the
/// start each time.
pub(crate) const MOST_PATHS: u32 = 3;

/// What a server begins as.
#[derive(Debug)]
pub(crate) struct Blank {
    /// The image's id.
    pub(crate) image: u64,
    /// GB that the disk has at least.
    pub(crate) disk: u64,
    /// With it the server starts at once; without, it stays off.
    pub(crate) user_data: Option<String>,
}

/// What a server needs before it is made.
pub(crate) struct Footing {
    /// The key that lets this build in.
    pub(crate) key: u64,
    firewall: u64,
}

/// A build under way.
pub(crate) struct Build<'a> {
    pub(crate) client: &'a Client,
    pub(crate) order: &'a Order,
    pub(crate) report: &'a Report<'a>,
    pub(crate) recipe: Recipe,
    cancel: &'a CancellationToken,
    /// Something was made, or may have been.
    begun: AtomicBool,
    /// A snapshot that this build began and that is not known to be whole.
    begun_image: Mutex<Option<u64>>,
}

impl<'a> Build<'a> {
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

    /// Waits for what the cloud does; a person may end the waiting.
    pub(crate) async fn settled(
        &self,
        what: &'static str,
        begun: hetzner::Result<Action>,
    ) -> Result<(), ImageError> {
        let action = begun.map_err(cloud(what))?;
        self.until(async { self.client.wait(vec![action]).await.map_err(cloud(what)) }).await
    }

    pub(crate) async fn until<T>(
        &self,
        waiting: impl Future<Output = Result<T, ImageError>>,
    ) -> Result<T, ImageError> {
        tokio::select! {
            outcome = waiting => outcome,
            () = self.cancel.cancelled() => Err(ImageError::Interrupted),
        }
    }

    async fn pause(&self) -> Result<(), ImageError> {
        tokio::select! {
            () = sleep(LOOK_AGAIN) => Ok(()),
            () = self.cancel.cancelled() => Err(ImageError::Interrupted),
        }
    }

    /// A snapshot of the same build, of now or long ago. One that is being made belongs to a build
    /// that was cut off after all of it was written.
    pub(crate) async fn equal_snapshot(&self) -> Result<Option<Image>, ImageError> {
        let selector = format!(
            "{},{BUILD}={}",
            labels::snapshot_selector(&self.order.owner),
            self.recipe.key()
        );
        let query = Query { image_type: vec![ImageType::Snapshot], ..Query::labels(selector) };
        let begun = Instant::now();
        loop {
            let found =
                self.client.images().list(&query).await.map_err(cloud("list the images"))?;
            let mut equal: Vec<Image> = found
                .into_iter()
                .filter(|image| {
                    labels::is_our_snapshot(&self.order.owner, &image.labels)
                        && image.labels.get(BUILD) == Some(&self.recipe.key())
                })
                .collect();
            equal.sort_by_key(|image| image.status != ImageStatus::Available);
            match equal.into_iter().next() {
                Some(image) if image.status == ImageStatus::Available => return Ok(Some(image)),
                Some(image)
                    if image.status == ImageStatus::Creating
                        && begun.elapsed() < LONGEST_SNAPSHOT =>
                {
                    self.phase(
                        Phase::Snapshot,
                        Some(format!("waiting for {}, which an earlier build began", image.id)),
                    );
                    self.pause().await?;
                }
                _ => return Ok(None),
            }
        }
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    /// Stores the key and puts up the firewall.
    pub(crate) async fn footing(&self, key: &PrivateKey) -> Result<Footing, ImageError> {
        self.begun.store(true, Ordering::Relaxed);
        let key = self.store_key(key).await?;
        let (owner, labels) =
            (&self.order.owner, self.recipe.builder_labels(&self.order.owner, &lock::host()));
        let firewall =
            wall::stand(self.client, owner, &self.recipe.builder_name(owner), &labels).await?;
        Ok(Footing { key, firewall })
    }

    async fn store_key(&self, key: &PrivateKey) -> Result<u64, ImageError> {
        let name = self.recipe.builder_name(&self.order.owner);
        let keys = self.client.ssh_keys();
        // The private half of one that an earlier build left is lost.
        if let Some(old) = keys.by_name(&name).await.map_err(cloud("look for an old key"))?
            && labels::is_our_builder(&self.order.owner, &old.labels)
        {
            keys.delete(old.id).await.map_err(cloud("delete an old key"))?;
        }
        let public = key.public_key().to_openssh().map_err(ImageError::Key)?;
        let labels = self.recipe.builder_labels(&self.order.owner, &lock::host());
        Ok(keys.create(&name, &public, &labels).await.map_err(cloud("store the key"))?.id)
    }

    /// The server that an earlier build left, whose hour is paid.
    pub(crate) async fn left_server(
        &self,
        footing: &Footing,
    ) -> Result<Option<Server>, ImageError> {
        let name = self.recipe.builder_name(&self.order.owner);
        let begun = Instant::now();
        while let Some(left) =
            self.client.servers().by_name(&name).await.map_err(cloud("look for a server"))?
        {
            if !labels::is_our_builder(&self.order.owner, &left.labels) {
                return Err(ImageError::Busy {
                    by: format!("or server {} has its name by chance", left.id),
                });
            }
            if left.labels.get(HOST) != Some(&lock::host()) && age(&left) < LONGEST_BUILD {
                return Err(ImageError::Busy {
                    by: format!("on server {} by another computer", left.id),
                });
            }
            let settled = !left.locked
                && !matches!(left.status, ServerStatus::Deleting | ServerStatus::Initializing);
            if settled {
                self.phase(
                    Phase::Create,
                    Some(format!("taking over server {} of an earlier build", left.id)),
                );
                self.order.books.server(&left, prices(self.client).await.as_ref());
                wall::ensure_before(self.client, footing.firewall, &left).await?;
                return Ok(Some(left));
            }
            if begun.elapsed() > LONGEST_LOCK {
                return Err(ImageError::Busy {
                    by: format!("and server {} stays locked", left.id),
                });
            }
            self.pause().await?;
        }
        Ok(None)
    }

    /// A new server, with the key of this build for root.
    pub(crate) async fn create(
        &self,
        footing: &Footing,
        blank: &Blank,
    ) -> Result<Server, ImageError> {
        let types = self
            .client
            .server_types()
            .list(&Query::default())
            .await
            .map_err(cloud("list the server types"))?;
        let disk = blank.disk;
        let wanted = Wanted {
            architecture: &self.order.architecture,
            disk,
            locations: &self.order.locations,
            only: &self.order.server_types,
        };
        let rungs = ladder(&wanted, &types, Timestamp::now());
        if rungs.is_empty() {
            let architecture = self.order.architecture.to_string();
            let (only, locations) = (self.order.server_types.clone(), self.order.locations.clone());
            return Err(ImageError::NoServerType { architecture, only, disk, locations });
        }
        let labels = self.recipe.builder_labels(&self.order.owner, &lock::host());
        for rung in &rungs {
            if self.cancel.is_cancelled() {
                return Err(ImageError::Interrupted);
            }
            self.phase(
                Phase::Create,
                Some(format!(
                    "{} in {}, disk of {} GB",
                    rung.server_type, rung.location, rung.disk
                )),
            );
            let new = NewServer {
                name: self.recipe.builder_name(&self.order.owner),
                server_type: rung.server_type.clone(),
                image: blank.image.to_string(),
                location: Some(rung.location.clone()),
                ssh_keys: vec![footing.key],
                firewalls: vec![footing.firewall],
                labels: labels.clone(),
                user_data: blank.user_data.clone(),
                start_after_create: blank.user_data.is_some(),
                ..NewServer::default()
            };
            match self.client.servers().create(&new).await {
                Ok(created) => {
                    self.order.books.server(&created.server, prices(self.client).await.as_ref());
                    let actions = created.actions();
                    self.until(async {
                        self.client.wait(actions).await.map_err(cloud("make the server"))
                    })
                    .await?;
                    return Ok(created.server);
                }
                Err(error) if error.is_stock_out() => {
                    self.note(format!("{} is out of stock in {}", rung.server_type, rung.location))
                }
                Err(error) => return Err(cloud("make the server")(error)),
            }
        }
        Err(ImageError::OutOfStock {
            tried: rungs
                .iter()
                .map(|rung| format!("{} in {}", rung.server_type, rung.location))
                .collect(),
        })
    }

    pub(crate) async fn power_off(&self, id: u64) -> Result<(), ImageError> {
        let gone =
            || ImageError::ServerGone { what: format!("server {id} does not exist any more") };
        let server = self
            .client
            .servers()
            .get(id)
            .await
            .map_err(cloud("look at the server"))?
            .ok_or_else(gone)?;
        if server.status == ServerStatus::Off {
            return Ok(());
        }
        self.settled("power the server off", self.client.servers().power_off(id).await).await
    }

    /// Keeps the disk of a server that is off.
    pub(crate) async fn snapshot(&self, server: u64, labels: &Labels) -> Result<Image, ImageError> {
        self.phase(Phase::Snapshot, None);
        let created =
            self.client.servers().create_image(server, &self.recipe.description(), labels).await;
        let created = match created {
            Ok(created) => created,
            // It may be in the making all the same; then its labels tell.
            Err(error) if error.is_lost_reply() => {
                return self
                    .equal_snapshot()
                    .await?
                    .ok_or_else(|| cloud("make the snapshot")(error));
            }
            Err(error) => return Err(cloud("make the snapshot")(error)),
        };
        *self.begun_image.lock().unwrap_or_else(PoisonError::into_inner) = Some(created.image.id);
        self.until(async {
            self.client
                .wait_at_most(vec![created.action], LONGEST_SNAPSHOT)
                .await
                .map_err(cloud("make the snapshot"))
        })
        .await?;
        let id = created.image.id;
        let image = self.client.images().get(id).await.map_err(cloud("look at the snapshot"))?;
        match image {
            Some(image) if image.status == ImageStatus::Available => {
                self.begun_image.lock().unwrap_or_else(PoisonError::into_inner).take();
                Ok(image)
            }
            Some(image) => Err(ImageError::Snapshot { id, status: image.status.to_string() }),
            None => Err(ImageError::Snapshot { id, status: "gone".to_owned() }),
        }
    }

    /// Removes whatever this build, or an earlier one of the same image, made on its way; found by
    /// labels, for a reply may have been lost.
    pub(crate) async fn clean_up(&self) -> Result<(), ImageError> {
        let half_made = self.begun_image.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(id) = half_made {
            left_over::delete_image(self.client, id).await?;
        }
        let selector = format!(
            "{},{BUILD}={}",
            labels::builder_selector(&self.order.owner),
            self.recipe.key()
        );
        left_over::remove_all(self.client, &self.order.owner, &self.order.books, &selector, || {
            self.phase(Phase::CleanUp, None)
        })
        .await
    }
}

/// The price list for the books. A build does not fail for it: without one the address is missing
/// in the price.
pub(crate) async fn prices(client: &Client) -> Option<hetzner::Pricing> {
    match timeout(LONGEST_PRICES, client.pricing()).await {
        Ok(Ok(pricing)) => Some(pricing),
        _ => {
            tracing::warn!("the cloud's prices cannot be read");
            None
        }
    }
}

pub(crate) fn age(server: &Server) -> Duration {
    Duration::try_from(Timestamp::now().duration_since(server.created)).unwrap_or_default()
}
