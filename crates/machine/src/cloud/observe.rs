//! Observes the cloud: everything of one identity, and what can be ordered. Resources without
//! dockbridge's labels are dropped here.

use std::collections::BTreeMap;

use hetzner::{ImageStatus, ImageType, Pricing, Query};
use jiff::Timestamp;

use super::project::Cloud;
use crate::convert;
use crate::error::MachineError;
use crate::host_key::parse_public;
use crate::identity::{IMAGE, MACHINE_IMAGE, ROLE, owner_selector};
use crate::image_choice::{Candidate, ImageKind};
use crate::observed::{Catalogue, Observed, Server, Volume};
use crate::operation::Operation;
use crate::price::{server_summary, volume_summary};
use crate::spec::ImageSetting;
use api::ServerStatus;
use api::{Summary, UsedImage, VolumeSummary};

impl Cloud {
    /// Everything of this identity, in four requests. If several fail, the error is always that of
    /// the first: a rejected token has one message.
    pub async fn observe(&self) -> Result<Observed, MachineError> {
        let (observed, key, firewall) =
            tokio::join!(self.servers_and_volumes(), self.find_login_key(), self.find_firewall());
        let observed = observed?;
        Ok(Observed { key: key?, firewall: firewall?, ..observed })
    }

    /// Like [`Cloud::observe`], in two requests if login key and firewall are already known.
    pub(super) async fn observe_again(&self, known: &Observed) -> Result<Observed, MachineError> {
        match (known.key, known.firewall) {
            (Some(_), Some(_)) => {
                let observed = self.servers_and_volumes().await?;
                Ok(Observed { key: known.key, firewall: known.firewall, ..observed })
            }
            _ => self.observe().await,
        }
    }

    /// What is billed, in two requests, and one more for each server whose status may be temporary.
    pub(super) async fn servers_and_volumes(&self) -> Result<Observed, MachineError> {
        let identity = &self.options.identity;
        let own = Query::labels(identity.selector());
        let failed = MachineError::cloud;
        let (servers, volumes) = (self.client.servers(), self.client.volumes());
        let (servers, volumes) = tokio::join!(servers.list(&own), volumes.list(&own));
        let servers = servers.map_err(failed(Operation::ListServers))?;
        let volumes = volumes.map_err(failed(Operation::ListVolumes))?;
        let mut servers: Vec<Server> = servers
            .into_iter()
            .filter(|server| identity.owns(&server.labels))
            .map(convert::server)
            .collect();
        let volumes: Vec<Volume> = volumes
            .into_iter()
            .filter(|volume| identity.owns(&volume.labels))
            .map(convert::volume)
            .collect();
        for server in &mut servers {
            let lacks_its_volume = volumes.iter().any(|volume| volume.server.is_none());
            let may_pass = server.status == ServerStatus::Off
                || (server.status == ServerStatus::Running && lacks_its_volume);
            if may_pass && !server.busy {
                let running = self.client.servers().running_actions(server.id).await;
                let running = running.map_err(failed(Operation::ListServerActions))?;
                server.busy = !running.is_empty();
            }
        }
        Ok(Observed { at: self.now(), servers, volumes, key: None, firewall: None })
    }

    /// This computer's login key in the project. A project holds each key once, whatever its name,
    /// so a key that the user uploaded serves as well.
    pub(super) async fn find_login_key(&self) -> Result<Option<u64>, MachineError> {
        let login = self.options.login.public_key();
        let is_login = |key: &hetzner::SshKey| {
            parse_public(&key.public_key).is_ok_and(|found| found.key_data() == login.key_data())
        };
        let keys = self.client.ssh_keys().list(&Query::default()).await;
        let keys = keys.map_err(MachineError::cloud(Operation::ListSshKeys))?;
        self.learn_logins(&keys);
        Ok(keys.iter().find(|key| is_login(key)).map(|key| key.id))
    }

    async fn find_firewall(&self) -> Result<Option<u64>, MachineError> {
        let identity = &self.options.identity;
        let own = Query::labels(identity.selector());
        let firewalls = self.client.firewalls().list(&own).await;
        let firewalls = firewalls.map_err(MachineError::cloud(Operation::ListFirewalls))?;
        let found = firewalls.into_iter().find(|firewall| identity.owns(&firewall.labels));
        Ok(found.map(|firewall| firewall.id))
    }

    /// What can be ordered.
    pub(super) async fn catalogue(&self) -> Result<Catalogue, MachineError> {
        let (server_types, plain, own) = tokio::try_join!(
            async {
                let listed = self.client.server_types().list(&Query::default()).await;
                listed.map_err(MachineError::cloud(Operation::ListServerTypes))
            },
            self.plain_images(),
            self.own_images(),
        )?;
        // The server types name all locations that matter: where none is sold, no server can be.
        let locations: BTreeMap<u64, String> = server_types
            .iter()
            .flat_map(|found| &found.locations)
            .map(|offer| (offer.id, offer.name.clone()))
            .collect();
        let now = Timestamp::now();
        let mut images: BTreeMap<String, Vec<Candidate>> = BTreeMap::new();
        let plain = plain.iter().map(|image| (ImageKind::Plain, image));
        for (kind, image) in plain.chain(own.iter().map(|image| (ImageKind::Own, image))) {
            let of_architecture = images.entry(image.architecture.to_string()).or_default();
            of_architecture.push(convert::candidate(kind, image));
        }
        Ok(Catalogue {
            server_types: server_types
                .into_iter()
                .map(|found| convert::server_type(found, now))
                .collect(),
            locations: locations.into_values().collect(),
            images,
        })
    }

    async fn plain_images(&self) -> Result<Vec<hetzner::Image>, MachineError> {
        let setting = &self.options.spec.image;
        let images = self.client.images();
        let found = match setting {
            ImageSetting::Id(id) => images.get(*id).await.map(|image| image.into_iter().collect()),
            ImageSetting::Named(_) | ImageSetting::Auto => {
                images.list(&Query::named(setting.name())).await
            }
        };
        found.map_err(MachineError::cloud(Operation::ListImages))
    }

    /// This owner's snapshots that machines can be made from, newest first, if the settings ask for
    /// them.
    async fn own_images(&self) -> Result<Vec<hetzner::Image>, MachineError> {
        if self.options.spec.image != ImageSetting::Auto {
            return Ok(Vec::new());
        }
        let owner = &self.options.identity.owner;
        let selector = format!("{},{ROLE}={IMAGE},{MACHINE_IMAGE}", owner_selector(owner));
        let query = Query { image_type: vec![ImageType::Snapshot], ..Query::labels(selector) };
        let images = self.client.images().list(&query).await;
        let mut images = images.map_err(MachineError::cloud(Operation::ListImages))?;
        images.retain(|image| {
            let is_image = image.labels.get(ROLE).is_some_and(|role| role == IMAGE);
            let is_own =
                owner.owns(&image.labels) && is_image && image.labels.contains_key(MACHINE_IMAGE);
            is_own && image.status == ImageStatus::Available
        });
        images.sort_by_key(|image| std::cmp::Reverse((image.created, image.id)));
        Ok(images)
    }

    /// A server with its volume, for a user; with prices if the price list is given.
    pub(super) fn summary(
        &self,
        server: &Server,
        observed: &Observed,
        pricing: Option<&Pricing>,
    ) -> Summary {
        let history = self.options.boot_history.history();
        Summary {
            volume: observed.volumes.first().map(|volume| volume_summary(volume, pricing)),
            image: server.image.clone().map(|(id, name)| {
                let because = history.why(server.id).map(str::to_owned);
                UsedImage { id, name, because }
            }),
            ..server_summary(server, pricing)
        }
    }

    /// The volumes of this identity, with prices.
    pub async fn volumes(&self) -> Result<Vec<VolumeSummary>, MachineError> {
        let pricing = self.client.pricing().await;
        let pricing = pricing.map_err(MachineError::cloud(Operation::ReadPrices))?;
        let observed = self.observe().await?;
        Ok(observed.volumes.iter().map(|volume| volume_summary(volume, Some(&pricing))).collect())
    }

    /// The servers of this identity, with prices.
    pub async fn servers(&self) -> Result<Vec<Summary>, MachineError> {
        let pricing = self.client.pricing().await;
        let pricing = pricing.map_err(MachineError::cloud(Operation::ReadPrices))?;
        let observed = self.observe().await?;
        let summary = |server| self.summary(server, &observed, Some(&pricing));
        Ok(observed.servers.iter().map(summary).collect())
    }
}
