//! Making what is missing, down the ladder until the cloud has one in stock.

use std::sync::{MutexGuard, PoisonError};

use hetzner::{
    CreatedServer, Direction, FirewallRule, NewFirewall, NewServer, NewVolume, Protocol,
};
use jiff::Timestamp;
use tokio::time::Instant;

use super::creation::Creation;
use super::observe::server;
use super::trial::{Made, Stopwatch};
use super::{Cloud, cloud};
use crate::bootstrap::Bootstrap;
use crate::choice::{Choice, Kind, choose};
use crate::error::MachineError;
use crate::host_key::HostKey;
use crate::identity::{HOST_KEY, login_label};
use crate::observed::{Observed, Server, Volume};
use crate::plan::{ImageSetting, Rung};
use crate::provider::{Observer, Phase};

/// A server that the cloud has begun to create.
pub(super) struct Created {
    /// What is there now, as far as the cloud's replies say.
    pub(super) observed: Observed,
    /// What is to be learned from it.
    pub(super) made: Made,
    /// What the cloud goes on doing.
    pub(super) creation: Creation,
}

/// What became of one rung.
enum Tried {
    /// It is being made; or somebody else was faster.
    Made(Option<Box<CreatedServer>>),
    /// The next rung, please.
    OutOfStock,
    /// The cloud will not make it from this image.
    Refused(MachineError),
}

/// What became of a new volume.
enum NewVolumeIn {
    Made(Volume),
    /// The location takes none now.
    Full,
    /// Another client was faster.
    MadeByAnother,
}

/// A rung for a user, who hears of it when a far dearer one than the preferred has to be taken.
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

/// What a firewall of ours lets in: TCP 22.
pub fn only_ssh() -> Vec<FirewallRule> {
    vec![FirewallRule {
        direction: Direction::In,
        protocol: Protocol::Tcp,
        port: Some("22".to_owned()),
        source_ips: vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()],
        destination_ips: Vec::new(),
        description: Some("SSH".to_owned()),
    }]
}

fn is_uniqueness(error: &MachineError) -> bool {
    matches!(error, MachineError::Cloud { source, .. } if source.is_uniqueness())
}

impl Cloud {
    /// Makes what is missing. A volume that was made for it and that no server came to use is taken
    /// back: it would bill for nothing.
    pub(super) async fn create(
        &self,
        observed: &Observed,
        volume: Option<Volume>,
        ladder: &[Rung],
        stopwatch: &Stopwatch,
        observer: &dyn Observer,
    ) -> Result<Option<Created>, MachineError> {
        let outcome = Box::pin(self.descend(observed, volume, ladder, stopwatch, observer)).await;
        if outcome.is_err() {
            self.take_back_unused().await;
        }
        outcome
    }

    async fn descend(
        &self,
        observed: &Observed,
        volume: Option<Volume>,
        ladder: &[Rung],
        stopwatch: &Stopwatch,
        observer: &dyn Observer,
    ) -> Result<Option<Created>, MachineError> {
        let (key, firewall, pricing) =
            tokio::join!(self.login_key(observed), self.firewall(observed), self.prices_soon());
        let (key, firewall) = (key?, firewall?);
        let existing = volume;
        // Locations that take no volume now.
        let mut full: Vec<&str> = Vec::new();
        // Made by this very call and never attached: the only volume that may be taken back.
        let mut fresh: Option<Volume> = None;
        for rung in ladder {
            if let Some(volume) = fresh.take_if(|volume| volume.location != rung.location) {
                self.take_back(&volume).await?;
            }
            if observer.is_called_off() {
                break;
            }
            if full.contains(&rung.location.as_str()) {
                continue;
            }
            observer.stage(Phase::Create, Some(described(rung, ladder)));
            let fresh_volume = existing.is_none();
            let volume = match existing.as_ref().or(fresh.as_ref()) {
                Some(volume) => volume.clone(),
                None => match self.new_volume(&rung.location).await? {
                    NewVolumeIn::Made(made) => fresh.insert(made).clone(),
                    NewVolumeIn::Full => {
                        full.push(&rung.location);
                        continue;
                    }
                    NewVolumeIn::MadeByAnother => return Ok(None),
                },
            };
            // Each is refused once at most.
            for _ in &rung.images {
                let Some(choice) = self.choice(rung).filter(|_| !observer.is_called_off()) else {
                    break;
                };
                stopwatch.start();
                match self.new_server(rung, &choice, key, firewall, volume.id).await? {
                    Tried::Made(None) => return Ok(None),
                    Tried::Made(Some(created)) => {
                        let actions = created.actions().iter().map(|action| action.id).collect();
                        // Its first actions run, whatever its status says.
                        let server = Server { busy: true, ..server(created.server) };
                        let made = self.made(server.id, rung, choice, fresh_volume);
                        let (at, volumes) = (self.now(), vec![volume]);
                        let observed = Observed {
                            at,
                            servers: vec![server],
                            volumes,
                            key: Some(key),
                            firewall: Some(firewall),
                        };
                        observer.created(&self.summary(
                            &observed.servers[0],
                            &observed,
                            pricing.as_deref(),
                        ));
                        let creation =
                            Creation { server: made.server, actions, begun: Instant::now() };
                        return Ok(Some(Created { observed, made, creation }));
                    }
                    Tried::OutOfStock => break,
                    // It is left alone from here on, so that the next choice is another one.
                    Tried::Refused(error) => {
                        tracing::warn!(
                            image = choice.image.name,
                            error = crate::with_causes(&error),
                            "the cloud makes no server from this image"
                        );
                        self.options.wakes.failed(choice.image.id);
                    }
                }
            }
        }
        if let Some(volume) = fresh {
            self.take_back(&volume).await?;
        }
        if observer.is_called_off() {
            return Ok(None);
        }
        Err(MachineError::OutOfStock {
            tried: ladder
                .iter()
                .map(|rung| format!("{} in {}", rung.server_type, rung.location))
                .collect(),
        })
    }

    fn choice(&self, rung: &Rung) -> Option<Choice> {
        choose(&rung.images, &rung.location, &self.options.wakes.history(), Timestamp::now())
    }

    fn made(&self, server: u64, rung: &Rung, choice: Choice, fresh_volume: bool) -> Made {
        let Rung { server_type, location, images, .. } = rung;
        let had_another = images.iter().any(|image| image.kind != choice.image.kind);
        let (server_type, location) = (server_type.clone(), location.clone());
        let made = Made { server, choice, had_another, server_type, location, fresh_volume };
        if self.options.spec.image == ImageSetting::Auto {
            self.chose(&made);
        }
        made
    }

    async fn login_key(&self, observed: &Observed) -> Result<u64, MachineError> {
        if let Some(id) = observed.key {
            return Ok(id);
        }
        // One for all profiles of this computer: a project holds each key once.
        match self.new_login_key().await {
            Ok(id) => Ok(id),
            // Another client of ours was faster; its key is the same.
            Err(error) if is_uniqueness(&error) => self.observe().await?.key.ok_or(error),
            Err(error) => Err(error),
        }
    }

    async fn firewall(&self, observed: &Observed) -> Result<u64, MachineError> {
        if let Some(id) = observed.firewall {
            return Ok(id);
        }
        let identity = &self.options.identity;
        let new = NewFirewall {
            name: identity.name(),
            rules: only_ssh(),
            labels: identity.labels("firewall"),
            apply_to: Vec::new(),
        };
        match self.client.firewalls().create(&new).await {
            Ok(created) => Ok(created.firewall.id),
            Err(error) if error.is_uniqueness() => {
                let again = self.observe().await?;
                again.firewall.ok_or(MachineError::Cloud {
                    what: "create the firewall",
                    source: Box::new(error),
                })
            }
            Err(error) => Err(cloud("create the firewall")(error)),
        }
    }

    async fn new_volume(&self, location: &str) -> Result<NewVolumeIn, MachineError> {
        let identity = &self.options.identity;
        let size = self.options.spec.volume_size;
        let new = NewVolume {
            name: identity.name(),
            size: u32::try_from(size).unwrap_or(u32::MAX),
            location: location.to_owned(),
            format: None,
            labels: identity.labels("data"),
        };
        match self.client.volumes().create(&new).await {
            Ok(created) => {
                let volume = &created.volume;
                let made = Volume {
                    id: volume.id,
                    name: volume.name.clone(),
                    location: location.to_owned(),
                    size,
                    server: None,
                };
                *self.unused() = Some(made.clone());
                self.options.books.volume(volume, self.prices_soon().await.as_deref());
                self.settled("create the volume", Ok(created.actions())).await?;
                Ok(NewVolumeIn::Made(made))
            }
            Err(error) if error.is_location_full() => {
                tracing::info!(
                    location,
                    error = crate::with_causes(&error),
                    "no room for a volume"
                );
                Ok(NewVolumeIn::Full)
            }
            Err(error) if error.is_uniqueness() && self.observe().await?.volumes.len() == 1 => {
                Ok(NewVolumeIn::MadeByAnother)
            }
            Err(error) => Err(cloud("create the volume")(error)),
        }
    }

    async fn take_back(&self, volume: &Volume) -> Result<(), MachineError> {
        self.unused().take_if(|unused| unused.id == volume.id);
        let current =
            self.client.volumes().get(volume.id).await.map_err(cloud("look at the new volume"))?;
        match current {
            // Another client attached it meanwhile: it is in use and stays.
            Some(current) if current.server.is_some() => Ok(()),
            Some(current) => {
                self.client
                    .volumes()
                    .delete(volume.id)
                    .await
                    .map_err(cloud("take back the new volume"))?;
                self.options.books.volume_gone(volume.id, &current.labels);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Takes back the volume that this process made and never asked for a server with. One that
    /// stays bills, and `status` shows it.
    pub(super) async fn take_back_unused(&self) {
        let Some(volume) = self.unused().take() else { return };
        match self.take_back(&volume).await {
            Ok(()) => tracing::info!(
                volume = volume.id,
                "the new volume is taken back: no server came to use it"
            ),
            Err(error) => {
                tracing::warn!(
                    volume = volume.id,
                    error = crate::with_causes(&error),
                    "the new volume stays, and bills"
                );
            }
        }
    }

    fn unused(&self) -> MutexGuard<'_, Option<Volume>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn new_server(
        &self,
        rung: &Rung,
        choice: &Choice,
        key: u64,
        firewall: u64,
        volume: u64,
    ) -> Result<Tried, MachineError> {
        let identity = &self.options.identity;
        let host_key = HostKey::generate().map_err(MachineError::Key)?;
        let mut labels = identity.labels("machine");
        labels.insert(HOST_KEY.to_owned(), host_key.fingerprint().to_label());
        // Each computer of this owner may log in with a key of its own.
        let others = self.logins.known();
        labels.extend([login_label(&self.own_login())]);
        labels.extend(others.iter().map(|login| login_label(&login.fingerprint())));
        let bootstrap = Bootstrap {
            volume,
            host_key: &host_key,
            boot_lease_seconds: self.options.spec.boot_lease_seconds,
            port_window: self.options.port_windows.claim(identity),
        };
        let new = NewServer {
            name: identity.name(),
            server_type: rung.server_type.clone(),
            image: choice.image.id.to_string(),
            location: Some(rung.location.clone()),
            ssh_keys: std::iter::once(key).chain(others.iter().map(|login| login.id)).collect(),
            volumes: vec![volume],
            firewalls: vec![firewall],
            user_data: Some(bootstrap.user_data()?),
            labels,
            ..NewServer::default()
        };
        // From here on a server may use the volume, also where the reply is lost or nobody waits
        // for it any more.
        let unused = self.unused().take_if(|unused| unused.id == volume);
        let created = self.client.servers().create(&new).await;
        if let Err(hetzner::Error::Api(_)) = &created
            && created.as_ref().is_err_and(|error| !error.is_lost_reply())
        {
            *self.unused() = unused;
        }
        match created {
            Ok(created) => Ok(Tried::Made(Some(Box::new(created)))),
            Err(error) if error.is_stock_out() => {
                tracing::info!(
                    server_type = rung.server_type,
                    location = rung.location,
                    "out of stock"
                );
                Ok(Tried::OutOfStock)
            }
            // Another client of ours was faster, which shows as a name in use or as a volume in
            // use: the next look finds its server. A stranger's server of that name is told.
            Err(error) => {
                let is_alone = self.observe().await?.servers.is_empty();
                let is_own = choice.image.kind == Kind::Own
                    && rung.images.iter().any(|image| image.kind == Kind::Plain);
                match is_alone {
                    false => Ok(Tried::Made(None)),
                    // A snapshot may have been deleted since it was listed.
                    true if is_own && error.is_invalid() => {
                        Ok(Tried::Refused(cloud("create the server")(error)))
                    }
                    true => Err(cloud("create the server")(error)),
                }
            }
        }
    }
}
