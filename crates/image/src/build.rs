//! A build from its beginning to its end: look for an equal snapshot, make or take over a server, write its disk, make the snapshot, leave nothing behind.
//!
//! Each step may be cut off anywhere: the next build of the same image finds by labels what there is and goes on from it. Waiting can be interrupted by the
//! person; what makes something cannot, or we would not know what was made.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_proto::image::{Checksum, Compression, Format, Written};
use hetzner::{Action, Client, Image, ImageStatus, ImageType, NewServer, Query, Server, ServerStatus};
use jiff::Timestamp;
use machine::Owner;
use russh::keys::PrivateKey;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::error::{ImageError, cloud};
use crate::event::{Event, Meter, Phase, Report};
use crate::labels::{self, BUILD, HOST, Name, Recipe};
use crate::ladder::{Wanted, ladder};
use crate::lock::{self, Lock};
use crate::source::{self, Identified, Source};
use crate::{left_over, rescue, wall, write};

/// Copying a full disk of the smallest types was seen to take an hour.
const LONGEST_SNAPSHOT: Duration = Duration::from_secs(2 * 60 * 60);
/// Between two looks at something that passes by itself.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// What another action has to end within before we take over its server.
const LONGEST_LOCK: Duration = Duration::from_secs(10 * 60);
/// How often a path that broke in mid-write is made anew: the writing begins from the start each time.
const MOST_PATHS: u32 = 3;
/// A build elsewhere cannot be asked whether it lives; none takes longer.
pub(crate) const LONGEST_BUILD: Duration = Duration::from_secs(6 * 60 * 60);

/// What is to be built, and how.
#[derive(Debug, Clone)]
pub struct Order {
    /// Whose image.
    pub owner: Owner,
    /// What it is called.
    pub name: Name,
    /// The operating system.
    pub os: Name,
    /// Its version, where there is one.
    pub version: Option<Name>,
    /// Talos' schematic.
    pub schematic: Option<String>,
    /// What it runs on.
    pub architecture: hetzner::Architecture,
    /// Where it comes from.
    pub source: Source,
    /// How it is compressed.
    pub compression: Compression,
    /// What it is then.
    pub format: Format,
    /// What the source has to be.
    pub checksum: Option<Checksum>,
    /// Locations in order of preference.
    pub locations: Vec<String>,
    /// Only these types, in this order; empty for the one with the smallest disk, then the cheapest.
    pub server_types: Vec<String>,
    /// How long the rescue system may take to answer.
    pub rescue_timeout: Duration,
    /// A source that sends nothing for so long has stalled.
    pub stall_timeout: Duration,
    /// Folder of the agent's binaries, one of which writes.
    pub agents: PathBuf,
    /// Folder for the locks that keep builds of one image apart.
    pub locks: PathBuf,
}

/// An image that there is.
#[derive(Debug, Clone)]
pub struct Built {
    /// The snapshot.
    pub image: Image,
    /// What was written; `None` if the snapshot was there already.
    pub written: Option<Written>,
}

/// Builds an image, unless there is an equal one. When this returns nothing is left but the snapshot, or the error says so.
pub async fn build(client: &Client, order: &Order, report: &Report<'_>, cancel: &CancellationToken) -> Result<Built, ImageError> {
    let meter = Meter::new(Phase::Hash);
    let begun = Instant::now();
    if matches!(order.source, Source::File(_)) {
        report(Event::Phase { phase: Phase::Hash, detail: None });
    }
    let looked = source::identify(&order.source, order.checksum.as_ref(), |read, total| {
        report(meter.progress(read, Some(total), begun.elapsed()));
    });
    let source = tokio::select! {
        source = looked => source?,
        () = cancel.cancelled() => return Err(ImageError::Interrupted),
    };
    let recipe = Recipe {
        name: order.name.clone(),
        os: order.os.clone(),
        version: order.version.clone(),
        schematic: order.schematic.clone(),
        architecture: order.architecture.clone(),
        source: source.text.clone(),
    };
    let writer = rescue::writer(&order.agents, &order.architecture).await?;
    let busy = || ImageError::Busy { by: "by another dockbridge on this computer".to_owned() };
    let _lock = Lock::try_take(&order.locks, &recipe.key())?.ok_or_else(busy)?;
    let build =
        Build { client, order, report, cancel, recipe, source, writer, begun: AtomicBool::default(), begun_image: Mutex::default() };
    let outcome = build.to_snapshot().await;
    match (outcome, build.clean_up().await) {
        (outcome, Ok(())) => outcome,
        (Ok(_), Err(error)) => Err(ImageError::LeftOver { because: None, source: Box::new(error) }),
        // Where nothing was made yet there is no second thing to tell.
        (Err(because), Err(_)) if !build.begun.load(Ordering::Relaxed) => Err(because),
        (Err(because), Err(error)) => Err(ImageError::LeftOver { because: Some(Box::new(because)), source: Box::new(error) }),
    }
}

struct Build<'a> {
    client: &'a Client,
    order: &'a Order,
    report: &'a Report<'a>,
    cancel: &'a CancellationToken,
    recipe: Recipe,
    source: Identified,
    writer: Vec<u8>,
    /// Something was made, or may have been.
    begun: AtomicBool,
    /// A snapshot that this build began and that is not known to be whole.
    begun_image: Mutex<Option<u64>>,
}

impl Build<'_> {
    fn phase(&self, phase: Phase, detail: Option<String>) {
        (self.report)(Event::Phase { phase, detail });
    }

    fn note(&self, message: String) {
        (self.report)(Event::Note { message });
    }

    async fn to_snapshot(&self) -> Result<Built, ImageError> {
        self.phase(Phase::LookUp, None);
        if let Some(image) = self.equal_snapshot().await? {
            return Ok(Built { image, written: None });
        }
        let key = Arc::new(machine::generate_key("dockbridge image build").map_err(ImageError::Key)?);
        self.begun.store(true, Ordering::Relaxed);
        let key_id = self.store_key(&key).await?;
        let server = self.server(key_id, self.firewall().await?).await?;
        self.boot_rescue(&server, key_id).await?;
        let written = self.write(&server, &key).await?;
        self.power_off(server.id).await?;
        let image = self.snapshot(server.id, &written).await?;
        Ok(Built { image, written: Some(written) })
    }

    /// Waits for what the cloud does; a person may end the waiting.
    async fn settled(&self, what: &'static str, begun: hetzner::Result<Action>) -> Result<(), ImageError> {
        let action = begun.map_err(cloud(what))?;
        self.until(async { self.client.wait(vec![action]).await.map_err(cloud(what)) }).await
    }

    async fn until<T>(&self, waiting: impl Future<Output = Result<T, ImageError>>) -> Result<T, ImageError> {
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

    /// A snapshot of the same build, of now or long ago. One that is being made belongs to a build that was cut off after all of it was written.
    async fn equal_snapshot(&self) -> Result<Option<Image>, ImageError> {
        let selector = format!("{},{BUILD}={}", labels::snapshot_selector(&self.order.owner), self.recipe.key());
        let query = Query { image_type: vec![ImageType::Snapshot], ..Query::labels(selector) };
        let begun = Instant::now();
        loop {
            let found = self.client.images().list(&query).await.map_err(cloud("list the images"))?;
            let mut equal: Vec<Image> = found
                .into_iter()
                .filter(|image| {
                    labels::is_our_snapshot(&self.order.owner, &image.labels) && image.labels.get(BUILD) == Some(&self.recipe.key())
                })
                .collect();
            equal.sort_by_key(|image| image.status != ImageStatus::Available);
            match equal.into_iter().next() {
                Some(image) if image.status == ImageStatus::Available => return Ok(Some(image)),
                Some(image) if image.status == ImageStatus::Creating && begun.elapsed() < LONGEST_SNAPSHOT => {
                    self.phase(Phase::Snapshot, Some(format!("waiting for {}, which an earlier build began", image.id)));
                    self.pause().await?;
                }
                _ => return Ok(None),
            }
        }
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

    async fn firewall(&self) -> Result<u64, ImageError> {
        let (owner, labels) = (&self.order.owner, self.recipe.builder_labels(&self.order.owner, &lock::host()));
        wall::stand(self.client, owner, &self.recipe.builder_name(owner), &labels).await
    }

    /// The server to build on, off: one that an earlier build left, whose hour is paid, or a new one.
    async fn server(&self, key: u64, firewall: u64) -> Result<Server, ImageError> {
        let name = self.recipe.builder_name(&self.order.owner);
        let begun = Instant::now();
        while let Some(left) = self.client.servers().by_name(&name).await.map_err(cloud("look for a server"))? {
            if !labels::is_our_builder(&self.order.owner, &left.labels) {
                return Err(ImageError::Busy { by: format!("or server {} has its name by chance", left.id) });
            }
            if left.labels.get(HOST) != Some(&lock::host()) && age(&left) < LONGEST_BUILD {
                return Err(ImageError::Busy { by: format!("on server {} by another computer", left.id) });
            }
            let settled = !left.locked && !matches!(left.status, ServerStatus::Deleting | ServerStatus::Initializing);
            if settled {
                self.phase(Phase::Create, Some(format!("taking over server {} of an earlier build", left.id)));
                wall::ensure_before(self.client, firewall, &left).await?;
                return Ok(left);
            }
            if begun.elapsed() > LONGEST_LOCK {
                return Err(ImageError::Busy { by: format!("and server {} stays locked", left.id) });
            }
            self.pause().await?;
        }
        self.create(name, key, firewall).await
    }

    async fn create(&self, name: String, key: u64, firewall: u64) -> Result<Server, ImageError> {
        let (types, image) = tokio::try_join!(
            async { self.client.server_types().list(&Query::default()).await.map_err(cloud("list the server types")) },
            self.system_image(),
        )?;
        let disk = self.least_disk();
        let wanted =
            Wanted { architecture: &self.order.architecture, disk, locations: &self.order.locations, only: &self.order.server_types };
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
            self.phase(Phase::Create, Some(format!("{} in {}, disk of {} GB", rung.server_type, rung.location, rung.disk)));
            let new = NewServer {
                name: name.clone(),
                server_type: rung.server_type.clone(),
                image: image.to_string(),
                location: Some(rung.location.clone()),
                ssh_keys: vec![key],
                firewalls: vec![firewall],
                labels: labels.clone(),
                start_after_create: false,
                ..NewServer::default()
            };
            match self.client.servers().create(&new).await {
                Ok(created) => {
                    let actions = created.actions();
                    self.until(async { self.client.wait(actions).await.map_err(cloud("make the server")) }).await?;
                    return Ok(created.server);
                }
                Err(error) if error.is_stock_out() => self.note(format!("{} is out of stock in {}", rung.server_type, rung.location)),
                Err(error) => return Err(cloud("make the server")(error)),
            }
        }
        Err(ImageError::OutOfStock { tried: rungs.iter().map(|rung| format!("{} in {}", rung.server_type, rung.location)).collect() })
    }

    /// GB that the disk has at least. What is compressed tells only when it is there.
    fn least_disk(&self) -> u64 {
        let is_raw = self.order.compression == Compression::None && self.order.format == Format::Raw;
        self.source.length.filter(|_| is_raw).map_or(0, |length| length.div_ceil(1_000_000_000))
    }

    /// What the server is made from; all of it is overwritten.
    async fn system_image(&self) -> Result<u64, ImageError> {
        let query = Query { architecture: Some(self.order.architecture.clone()), image_type: vec![ImageType::System], ..Query::default() };
        let mut images = self.client.images().list(&query).await.map_err(cloud("list the images"))?;
        images.retain(|image| image.status == ImageStatus::Available && image.architecture == self.order.architecture);
        images.sort_by_key(|image| (!image.rapid_deploy, image.os_flavor != "debian"));
        let none = || ImageError::NoSystemImage { architecture: self.order.architecture.to_string() };
        images.first().map(|image| image.id).ok_or_else(none)
    }

    async fn boot_rescue(&self, server: &Server, key: u64) -> Result<(), ImageError> {
        self.phase(Phase::Rescue, Some(format!("server {}", server.id)));
        let servers = self.client.servers();
        self.power_off(server.id).await?;
        self.settled("enable the rescue system", servers.enable_rescue(server.id, &[key]).await).await?;
        self.settled("start the server", servers.power_on(server.id).await).await
    }

    async fn power_off(&self, id: u64) -> Result<(), ImageError> {
        let gone = || ImageError::ServerGone { what: format!("server {id} does not exist any more") };
        let server = self.client.servers().get(id).await.map_err(cloud("look at the server"))?.ok_or_else(gone)?;
        if server.status == ServerStatus::Off {
            return Ok(());
        }
        self.settled("power the server off", self.client.servers().power_off(id).await).await
    }

    async fn write(&self, server: &Server, key: &Arc<PrivateKey>) -> Result<Written, ImageError> {
        let pins = tunnel::Pins::default();
        let mut broken = 0;
        loop {
            let limit = self.order.rescue_timeout;
            let connected = self.until(rescue::connect(self.client, server, key, &pins, limit)).await?;
            let written = self.until(write::write(&connected, &self.writer, self.order, &self.source, self.report)).await;
            connected.close().await;
            match written {
                Err(ImageError::Lost { last, .. }) => {
                    broken += 1;
                    if broken == MOST_PATHS {
                        return Err(ImageError::Lost { times: broken, last });
                    }
                    self.note(format!("the connection to the rescue system broke: {last}; once more from the beginning"));
                    self.phase(Phase::Rescue, Some("connecting again".to_owned()));
                }
                outcome => return outcome,
            }
        }
    }

    async fn snapshot(&self, server: u64, written: &Written) -> Result<Image, ImageError> {
        self.phase(Phase::Snapshot, None);
        let labels = self.recipe.labels(&self.order.owner, &written.source_sha256, &written.image_sha256);
        let created = self.client.servers().create_image(server, &self.recipe.description(), &labels).await;
        let created = match created {
            Ok(created) => created,
            // It may be in the making all the same; then its labels tell.
            Err(error) if error.is_lost_reply() => {
                return self.equal_snapshot().await?.ok_or_else(|| cloud("make the snapshot")(error));
            }
            Err(error) => return Err(cloud("make the snapshot")(error)),
        };
        *self.begun_image.lock().unwrap_or_else(PoisonError::into_inner) = Some(created.image.id);
        self.until(async { self.client.wait_at_most(vec![created.action], LONGEST_SNAPSHOT).await.map_err(cloud("make the snapshot")) })
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

    /// Removes whatever this build, or an earlier one of the same image, made on its way; found by labels, for a reply may have been lost.
    async fn clean_up(&self) -> Result<(), ImageError> {
        let half_made = self.begun_image.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(id) = half_made {
            left_over::delete_image(self.client, id).await?;
        }
        let selector = format!("{},{BUILD}={}", labels::builder_selector(&self.order.owner), self.recipe.key());
        left_over::remove_all(self.client, &self.order.owner, &selector, || self.phase(Phase::CleanUp, None)).await
    }
}

pub(crate) fn age(server: &Server) -> Duration {
    Duration::try_from(Timestamp::now().duration_since(server.created)).unwrap_or_default()
}
