//! Creates what is missing, down the ladder until the cloud has a server in stock.

use std::sync::Arc;

use hetzner::{CreatedServer, Pricing};
use jiff::Timestamp;
use tokio::time::Instant;

use super::boot_timing::{Made, Stopwatch};
use super::creation::Creation;
use super::new_server::{Requested, ServerOrder};
use super::prerequisites::NewVolumeIn;
use super::project::Cloud;
use crate::causes::with_causes;
use crate::convert;
use crate::error::MachineError;
use crate::image_choice::{ImageChoice, choose};
use crate::ladder::Rung;
use crate::observed::{Observed, Server, Volume};
use crate::provider::Observer;
use crate::spec::ImageSetting;
use api::Phase;

/// One descent of the ladder.
pub(super) struct Provisioning<'a> {
    pub(super) cloud: &'a Cloud,
    pub(super) observed: &'a Observed,
    /// The volume, where one exists; all rungs are then in its location.
    pub(super) volume: Option<Volume>,
    pub(super) ladder: &'a [Rung],
    pub(super) stopwatch: &'a Stopwatch,
    pub(super) observer: &'a dyn Observer,
}

/// A server that the cloud has begun to create.
pub(super) struct Created {
    /// What exists now, by the cloud's replies.
    pub(super) observed: Observed,
    /// What its boot will be a measurement of.
    pub(super) made: Made,
    /// What the cloud still does.
    pub(super) creation: Creation,
}

/// What the whole descent needs.
struct Prerequisites {
    key: u64,
    firewall: u64,
    pricing: Option<Arc<Pricing>>,
}

/// How one rung ends.
enum OnRung {
    Created(Box<Created>),
    AnotherClientWasFaster,
    /// The location takes no new volume now.
    LocationFull,
    /// No server of this type here, or the wake was called off.
    NoServer,
}

impl Provisioning<'_> {
    /// Creates a server. `None` if another client was faster, or the wake was called off. A volume
    /// that was created for it and that no server came to use is deleted: it would bill for
    /// nothing.
    pub(super) async fn run(&self) -> Result<Option<Created>, MachineError> {
        let outcome = Box::pin(self.descend()).await;
        if outcome.is_err() {
            self.cloud.try_delete_fresh_volume().await;
        }
        outcome
    }

    async fn descend(&self) -> Result<Option<Created>, MachineError> {
        let cloud = self.cloud;
        let (key, firewall, pricing) = tokio::join!(
            cloud.login_key(self.observed),
            cloud.firewall(self.observed),
            cloud.prices.soon(&cloud.client)
        );
        let needed = Prerequisites { key: key?, firewall: firewall?, pricing };
        let mut full: Vec<&str> = Vec::new();
        for rung in self.ladder {
            self.leave_location(&rung.location).await?;
            if self.observer.is_called_off() {
                break;
            }
            if full.contains(&rung.location.as_str()) {
                continue;
            }
            match Box::pin(self.on_rung(rung, &needed)).await? {
                OnRung::Created(created) => return Ok(Some(*created)),
                OnRung::AnotherClientWasFaster => return Ok(None),
                OnRung::LocationFull => full.push(&rung.location),
                OnRung::NoServer => {}
            }
        }
        cloud.delete_fresh_volume().await?;
        if self.observer.is_called_off() {
            return Ok(None);
        }
        let tried = |rung: &Rung| format!("{} in {}", rung.server_type, rung.location);
        Err(MachineError::OutOfStock { tried: self.ladder.iter().map(tried).collect() })
    }

    /// A volume pins its server to a location, so one that was created for another is deleted.
    async fn leave_location(&self, next: &str) -> Result<(), MachineError> {
        let fresh = self.cloud.fresh_volume.get();
        if self.volume.is_none() && fresh.is_some_and(|volume| volume.location != next) {
            self.cloud.delete_fresh_volume().await?;
        }
        Ok(())
    }

    async fn on_rung(&self, rung: &Rung, needed: &Prerequisites) -> Result<OnRung, MachineError> {
        let cloud = self.cloud;
        self.observer.stage(Phase::Create, Some(described(rung, self.ladder)));
        let fresh = || cloud.fresh_volume.get().filter(|volume| volume.location == rung.location);
        let volume = match self.volume.clone().or_else(fresh) {
            Some(volume) => volume,
            None => match cloud.new_volume(&rung.location).await? {
                NewVolumeIn::Made(volume) => volume,
                NewVolumeIn::Full => return Ok(OnRung::LocationFull),
                NewVolumeIn::MadeByAnother => return Ok(OnRung::AnotherClientWasFaster),
            },
        };
        // Each image is refused once at most.
        for _ in &rung.images {
            let choice = self.choice(rung).filter(|_| !self.observer.is_called_off());
            let Some(choice) = choice else { break };
            self.stopwatch.start();
            let Prerequisites { key, firewall, .. } = *needed;
            let order = ServerOrder { rung, choice: &choice, key, firewall, volume: volume.id };
            match cloud.request_server(order).await? {
                Requested::Created(created) => {
                    let created = self.created(*created, rung, choice, volume, needed);
                    return Ok(OnRung::Created(Box::new(created)));
                }
                Requested::AnotherClientWasFaster => return Ok(OnRung::AnotherClientWasFaster),
                Requested::OutOfStock => break,
                // The next choice then avoids it.
                Requested::ImageRefused(error) => {
                    let (image, error) = (&choice.image.name, with_causes(&error));
                    tracing::warn!(image, error, "the cloud creates no server from this image");
                    cloud.options.boot_history.failed(choice.image.id);
                }
            }
        }
        Ok(OnRung::NoServer)
    }

    fn choice(&self, rung: &Rung) -> Option<ImageChoice> {
        let history = self.cloud.options.boot_history.history();
        choose(&rung.images, &rung.location, &history, Timestamp::now())
    }

    fn created(
        &self,
        created: CreatedServer,
        rung: &Rung,
        choice: ImageChoice,
        volume: Volume,
        needed: &Prerequisites,
    ) -> Created {
        let actions = created.actions().iter().map(|action| action.id).collect();
        // Its first actions run, whatever its status says.
        let server = Server { busy: true, ..convert::server(created.server) };
        let made = self.made(server.id, rung, choice);
        let observed = Observed {
            at: self.cloud.now(),
            servers: vec![server],
            volumes: vec![volume],
            key: Some(needed.key),
            firewall: Some(needed.firewall),
        };
        let pricing = needed.pricing.as_deref();
        let summary = self.cloud.summary(&observed.servers[0], &observed, pricing);
        self.observer.created(&summary);
        let creation = Creation { server: made.server, actions, begun: Instant::now() };
        Created { observed, made, creation }
    }

    fn made(&self, server: u64, rung: &Rung, choice: ImageChoice) -> Made {
        let Rung { server_type, location, images, .. } = rung;
        let made = Made {
            server,
            had_another: images.iter().any(|image| image.kind != choice.image.kind),
            choice,
            server_type: server_type.clone(),
            location: location.clone(),
            formats_volume: self.volume.is_none(),
        };
        if self.cloud.options.spec.image == ImageSetting::Auto {
            self.cloud.chose(&made);
        }
        made
    }
}

/// A rung for a user. Names the price if a cheaper type is out of stock.
fn described(rung: &Rung, ladder: &[Rung]) -> String {
    let Rung { server_type, location, offer, .. } = rung;
    let refused = ladder
        .iter()
        .take_while(|other| *other != rung)
        .find(|other| other.offer.is_far_cheaper_than(*offer));
    match (refused, offer.hourly) {
        (Some(cheaper), Some(hourly)) => {
            let price = format!("{}.{:04}", hourly / 1_000_000, hourly % 1_000_000 / 100);
            format!(
                "{server_type} in {location} at {price} an hour, since {} is out of stock",
                cheaper.server_type
            )
        }
        _ => format!("{server_type} in {location}"),
    }
}
