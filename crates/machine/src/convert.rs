//! Turns answers of the cloud's API into what decisions need.

use std::net::IpAddr;

use hetzner::{Architecture, Pricing};
use jiff::Timestamp;
use tunnel::Fingerprint;

use crate::identity::{HOST_KEY, NEXT_HOST_KEY};
use crate::image_choice::{Candidate, ImageKind};
use crate::observed::{Offer, Server, ServerType, Volume};
use crate::price::{euros, server_summary, volume_summary};
use api::ServerStatus;
use api::{Summary, VolumeSummary};

pub(crate) fn server(server: hetzner::Server) -> Server {
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

/// A server for the ledger: without its volume, and without the price of its address where the
/// price list is not known.
pub(crate) fn priced_server(found: &hetzner::Server, pricing: Option<&Pricing>) -> Summary {
    server_summary(&server(found.clone()), pricing)
}

/// A volume for the ledger.
pub(crate) fn priced_volume(found: &hetzner::Volume, pricing: Option<&Pricing>) -> VolumeSummary {
    VolumeSummary {
        created: Some(found.created.as_second()),
        ..volume_summary(&volume(found.clone()), pricing)
    }
}

pub(crate) fn status(status: &hetzner::ServerStatus) -> ServerStatus {
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

pub(crate) fn volume(volume: hetzner::Volume) -> Volume {
    Volume {
        id: volume.id,
        name: volume.name,
        location: volume.location.name,
        size: volume.size.into(),
        server: volume.server,
    }
}

pub(crate) fn server_type(found: hetzner::ServerType, now: Timestamp) -> ServerType {
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

pub(crate) fn candidate(kind: ImageKind, image: &hetzner::Image) -> Candidate {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole GB, of which a disk has thousands"
    )]
    let disk = image.disk_size.ceil() as u64;
    Candidate { id: image.id, name: image_name(image), kind, disk }
}

/// Snapshots have no name.
fn image_name(image: &hetzner::Image) -> String {
    image.name.clone().unwrap_or_else(|| format!("snapshot {}", image.id))
}
