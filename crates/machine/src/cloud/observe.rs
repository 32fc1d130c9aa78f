//! One look at the cloud, turned into what decisions need. What does not carry our labels is
//! dropped here and never seen again.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hetzner::{Architecture, ImageStatus, ImageType, Pricing, Query};
use jiff::Timestamp;
use tunnel::Fingerprint;

use super::{Cloud, cloud};
use crate::choice::{Candidate, Kind};
use crate::error::MachineError;
use crate::identity::{HOST_KEY, IMAGE, MACHINE_IMAGE, NEXT_HOST_KEY, ROLE, owner_selector};
use crate::observed::{Catalogue, Observed, Offer, Server, ServerStatus, ServerType, Volume};
use crate::plan::ImageSetting;
use crate::provider::{Summary, UsedImage, VolumeSummary};

/// Hetzner bills started hours, each counted from the server's creation (docs.hetzner.com, "Cloud
/// billing FAQ").
const BILLED_UNIT_SECONDS: u64 = 3_600;

impl Cloud {
    /// Everything of this identity, in four requests.
    pub async fn observe(&self) -> Result<Observed, MachineError> {
        let (mut observed, key, firewall) = tokio::try_join!(
            self.servers_and_volumes(),
            self.find_login_key(),
            self.find_firewall()
        )?;
        (observed.key, observed.firewall) = (key, firewall);
        Ok(observed)
    }

    /// The same, when the login key and the firewall are known already: two requests.
    pub(super) async fn observe_again(&self, known: &Observed) -> Result<Observed, MachineError> {
        match (known.key, known.firewall) {
            (Some(_), Some(_)) => {
                let observed = self.servers_and_volumes().await?;
                Ok(Observed { key: known.key, firewall: known.firewall, ..observed })
            }
            _ => self.observe().await,
        }
    }

    /// What bills, in two requests, and one more where a server's status does not say whether it
    /// passes by itself.
    pub(super) async fn servers_and_volumes(&self) -> Result<Observed, MachineError> {
        let identity = &self.options.identity;
        let ours = Query::labels(identity.selector());
        let (servers, volumes) = tokio::try_join!(
            async { self.client.servers().list(&ours).await.map_err(cloud("list the servers")) },
            async { self.client.volumes().list(&ours).await.map_err(cloud("list the volumes")) },
        )?;
        let mut servers: Vec<Server> = servers
            .into_iter()
            .filter(|server| identity.owns(&server.labels))
            .map(server)
            .collect();
        let volumes: Vec<Volume> = volumes
            .into_iter()
            .filter(|volume| identity.owns(&volume.labels))
            .map(volume)
            .collect();
        for server in &mut servers {
            let lacks_its_volume = volumes.iter().any(|volume| volume.server.is_none());
            let may_pass = server.status == ServerStatus::Off
                || (server.status == ServerStatus::Running && lacks_its_volume);
            if may_pass && !server.busy {
                let running = self.client.servers().running_actions(server.id).await;
                server.busy = !running.map_err(cloud("list the actions of the server"))?.is_empty();
            }
        }
        Ok(Observed { at: self.now(), servers, volumes, key: None, firewall: None })
    }

    pub(super) async fn find_login_key(&self) -> Result<Option<u64>, MachineError> {
        let login = self.options.login.public_key();
        // A project holds each key once, whatever its name: one that the user uploaded serves as
        // well.
        let is_login = |key: &hetzner::SshKey| {
            crate::host_key::parse_public(&key.public_key)
                .is_ok_and(|found| found.key_data() == login.key_data())
        };
        let keys = self
            .client
            .ssh_keys()
            .list(&Query::default())
            .await
            .map_err(cloud("list the SSH keys"))?;
        self.learn_logins(&keys);
        Ok(keys.iter().find(|key| is_login(key)).map(|key| key.id))
    }

    async fn find_firewall(&self) -> Result<Option<u64>, MachineError> {
        let identity = &self.options.identity;
        let ours = Query::labels(identity.selector());
        let firewalls =
            self.client.firewalls().list(&ours).await.map_err(cloud("list the firewalls"))?;
        Ok(firewalls
            .into_iter()
            .find(|firewall| identity.owns(&firewall.labels))
            .map(|firewall| firewall.id))
    }

    /// What can be ordered.
    pub(super) async fn catalogue(&self) -> Result<Catalogue, MachineError> {
        let (server_types, plain, own) = tokio::try_join!(
            async {
                self.client
                    .server_types()
                    .list(&Query::default())
                    .await
                    .map_err(cloud("list the server types"))
            },
            self.plain_images(),
            self.own_images(),
        )?;
        // A location where nothing is sold cannot be used, so the types name all that matter.
        let locations: BTreeMap<u64, String> = server_types
            .iter()
            .flat_map(|found| &found.locations)
            .map(|offer| (offer.id, offer.name.clone()))
            .collect();
        let now = Timestamp::now();
        let mut images: BTreeMap<String, Vec<Candidate>> = BTreeMap::new();
        for (kind, image) in plain
            .iter()
            .map(|image| (Kind::Plain, image))
            .chain(own.iter().map(|image| (Kind::Own, image)))
        {
            images.entry(image.architecture.to_string()).or_default().push(candidate(kind, image));
        }
        Ok(Catalogue {
            server_types: server_types.into_iter().map(|found| server_type(found, now)).collect(),
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
        found.map_err(cloud("list the images"))
    }

    /// Snapshots of this owner's that machines can be made from, newest first, where they are
    /// wanted.
    async fn own_images(&self) -> Result<Vec<hetzner::Image>, MachineError> {
        if self.options.spec.image != ImageSetting::Auto {
            return Ok(Vec::new());
        }
        let owner = &self.options.identity.owner;
        let selector = format!("{},{ROLE}={IMAGE},{MACHINE_IMAGE}", owner_selector(owner));
        let query = Query { image_type: vec![ImageType::Snapshot], ..Query::labels(selector) };
        let mut images =
            self.client.images().list(&query).await.map_err(cloud("list the images"))?;
        images.retain(|image| {
            let is_image = image.labels.get(ROLE).is_some_and(|role| role == IMAGE);
            let is_ours =
                owner.owns(&image.labels) && is_image && image.labels.contains_key(MACHINE_IMAGE);
            is_ours && image.status == ImageStatus::Available
        });
        images.sort_by_key(|image| std::cmp::Reverse((image.created, image.id)));
        Ok(images)
    }

    /// A server as a person wants to see it; with prices where they are known.
    pub(super) fn summary(
        &self,
        server: &Server,
        observed: &Observed,
        pricing: Option<&Pricing>,
    ) -> Summary {
        Summary {
            volume: observed.volumes.first().map(|volume| volume_summary(volume, pricing)),
            image: server.image.clone().map(|(id, name)| {
                let because = self.options.wakes.history().why(server.id).map(str::to_owned);
                UsedImage { id, name, because }
            }),
            ..priced(server, pricing)
        }
    }

    /// The volumes of this identity, priced.
    pub async fn volumes(&self) -> Result<Vec<VolumeSummary>, MachineError> {
        let pricing = self.client.pricing().await.map_err(cloud("tell its prices"))?;
        let observed = self.observe().await?;
        Ok(observed.volumes.iter().map(|volume| volume_summary(volume, Some(&pricing))).collect())
    }

    /// The servers of this identity, priced.
    pub async fn servers(&self) -> Result<Vec<Summary>, MachineError> {
        let pricing = self.client.pricing().await.map_err(cloud("tell its prices"))?;
        let observed = self.observe().await?;
        Ok(observed
            .servers
            .iter()
            .map(|server| self.summary(server, &observed, Some(&pricing)))
            .collect())
    }
}

pub(super) fn address_price<'a>(
    pricing: &'a Pricing,
    location: &str,
) -> Option<&'a hetzner::IpPrice> {
    let ipv4 = pricing.primary_ips.iter().find(|kind| kind.kind == "ipv4")?;
    ipv4.prices.iter().find(|price| price.location == location)
}

/// Net price of a month for so many GB.
#[expect(clippy::cast_precision_loss, reason = "sizes are thousands of GB")]
pub(super) fn volume_price(pricing: &Pricing, size: u64) -> Option<f64> {
    Some(euros(&pricing.volume.price_per_gb_month.net)? * size as f64)
}

pub(super) fn volume_summary(volume: &Volume, pricing: Option<&Pricing>) -> VolumeSummary {
    VolumeSummary {
        id: volume.id,
        name: volume.name.clone(),
        size: volume.size,
        location: volume.location.clone(),
        server: volume.server,
        price_monthly: pricing.and_then(|pricing| volume_price(pricing, volume.size)),
        created: None,
    }
}

/// A server as the books want it: with the price of its address where the price list is known,
/// without its volume.
pub(crate) fn priced_server(found: &hetzner::Server, pricing: Option<&Pricing>) -> Summary {
    priced(&server(found.clone()), pricing)
}

/// A volume as the books want it.
pub(crate) fn priced_volume(found: &hetzner::Volume, pricing: Option<&Pricing>) -> VolumeSummary {
    VolumeSummary {
        created: Some(found.created.as_second()),
        ..volume_summary(&volume(found.clone()), pricing)
    }
}

/// A server with its address, priced.
fn priced(server: &Server, pricing: Option<&Pricing>) -> Summary {
    let address = pricing.and_then(|pricing| address_price(pricing, &server.location));
    let hourly = address.and_then(|price| euros(&price.price_hourly.net)).unwrap_or(0.0);
    let monthly = address.and_then(|price| euros(&price.price_monthly.net)).unwrap_or(0.0);
    Summary {
        id: Some(server.id),
        name: server.name.clone(),
        address: server.address,
        status: server.status,
        busy: server.busy,
        server_type: Some(server.server_type.clone()),
        location: Some(server.location.clone()),
        created: Some(server.created),
        price_hourly: server.price_hourly.map(|price| price + hourly),
        price_monthly: server.price_monthly.map(|price| price + monthly),
        currency: pricing.map(|pricing| pricing.currency.clone()),
        billed_unit_seconds: Some(BILLED_UNIT_SECONDS),
        volume: None,
        image: None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "prices are far below 2^52 millionths")]
pub(super) fn euros(amount: &hetzner::Amount) -> Option<f64> {
    amount.micros().map(|micros| micros as f64 / 1e6)
}

fn candidate(kind: Kind, image: &hetzner::Image) -> Candidate {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole GB, of which a disk has thousands"
    )]
    let disk = image.disk_size.ceil() as u64;
    Candidate { id: image.id, name: image_name(image), kind, disk }
}

/// Snapshots have none.
fn image_name(image: &hetzner::Image) -> String {
    image.name.clone().unwrap_or_else(|| format!("snapshot {}", image.id))
}

pub(super) fn server(server: hetzner::Server) -> Server {
    let price = server.server_type.price_at(&server.location.name);
    let price_hourly = price.and_then(|price| euros(&price.price_hourly.net));
    let price_monthly = price.and_then(|price| euros(&price.price_monthly.net));
    Server {
        id: server.id,
        name: server.name,
        status: status(&server.status),
        busy: server.locked,
        address: server.public_net.ipv4.map(|address| IpAddr::V4(address.ip)),
        location: server.location.name,
        server_type: server.server_type.name,
        image: server.image.map(|image| (image.id, image_name(&image))),
        volumes: server.volumes,
        host_keys: [HOST_KEY, NEXT_HOST_KEY]
            .iter()
            .filter_map(|label| Fingerprint::from_label(server.labels.get(*label)?).ok())
            .collect(),
        labels: server.labels,
        created: server.created.as_second(),
        price_hourly,
        price_monthly,
    }
}

pub(super) fn status(status: &hetzner::ServerStatus) -> ServerStatus {
    match status {
        hetzner::ServerStatus::Running => ServerStatus::Running,
        hetzner::ServerStatus::Initializing | hetzner::ServerStatus::Starting => {
            ServerStatus::Starting
        }
        hetzner::ServerStatus::Stopping => ServerStatus::Stopping,
        hetzner::ServerStatus::Off => ServerStatus::Off,
        hetzner::ServerStatus::Deleting => ServerStatus::Deleting,
        _ => ServerStatus::Other,
    }
}

fn volume(volume: hetzner::Volume) -> Volume {
    Volume {
        id: volume.id,
        name: volume.name,
        location: volume.location.name,
        size: volume.size.into(),
        server: volume.server,
    }
}

fn server_type(found: hetzner::ServerType, now: Timestamp) -> ServerType {
    let architecture = match &found.architecture {
        Architecture::X86 => "x86".to_owned(),
        other => other.to_string(),
    };
    let hourly =
        |location: &str| found.price_at(location).and_then(|price| price.price_hourly.net.micros());
    let sold = found.locations.iter().filter(|offer| !offer.is_withdrawn(now));
    let offers = sold
        .map(|sold| {
            (sold.name.clone(), Offer { available: sold.available, hourly: hourly(&sold.name) })
        })
        .collect();
    ServerType { name: found.name, architecture, disk: found.disk.into(), offers }
}
