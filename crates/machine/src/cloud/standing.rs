//! What bills now: every server, volume, snapshot and unused address of one owner, of all profiles,
//! with its price. Nothing is made or changed.

use hetzner::{Client, ImageType, Query};

use super::cloud;
use super::observe::{address_price, euros, priced_server, priced_volume};
use crate::error::MachineError;
use crate::identity::{IMAGE_BUILDER, Owner, PROFILE, ROLE, owner_selector};
use crate::provider::{Summary, VolumeSummary};

/// Everything of one owner that bills.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Standing {
    /// Of all prices, as an ISO 4217 code.
    pub currency: String,
    /// Machines of all profiles.
    pub machines: Vec<Owned<Summary>>,
    /// Servers on which images are built.
    pub builders: Vec<Owned<Summary>>,
    /// Volumes of all profiles.
    pub volumes: Vec<Owned<VolumeSummary>>,
    /// IPv4 addresses that no server has.
    pub addresses: Vec<Stored>,
    /// Snapshots.
    pub snapshots: Vec<Stored>,
}

/// Something with the profile that its labels name.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Owned<T> {
    /// `None` where the labels name none.
    pub profile: Option<String>,
    /// What it is.
    #[serde(flatten)]
    pub thing: T,
}

/// Something that is billed for being kept.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Stored {
    /// The cloud's id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Net price of a month, where it is known.
    pub price_monthly: Option<f64>,
}

impl Standing {
    /// Nothing bills.
    pub fn is_empty(&self) -> bool {
        let Self { currency: _, machines, builders, volumes, addresses, snapshots } = self;
        machines.is_empty()
            && builders.is_empty()
            && volumes.is_empty()
            && addresses.is_empty()
            && snapshots.is_empty()
    }
}

/// Asks the cloud for everything of this owner that bills, in five requests. What does not carry
/// the owner's labels is dropped.
///
/// # Errors
/// Where the cloud does not answer one of them.
pub async fn standing(client: &Client, owner: &Owner) -> Result<Standing, MachineError> {
    let ours = Query::labels(owner_selector(owner));
    let snapshots =
        Query { image_type: vec![ImageType::Snapshot], ..Query::labels(owner_selector(owner)) };
    let (servers, volumes, addresses, images, pricing) = tokio::try_join!(
        async { client.servers().list(&ours).await.map_err(cloud("list the servers")) },
        async { client.volumes().list(&ours).await.map_err(cloud("list the volumes")) },
        async { client.primary_ips().list(&ours).await.map_err(cloud("list the primary IPs")) },
        async { client.images().list(&snapshots).await.map_err(cloud("list the images")) },
        async { client.pricing().await.map_err(cloud("tell its prices")) },
    )?;
    let servers = servers.iter().filter(|server| owner.owns(&server.labels));
    let (builders, machines): (Vec<_>, Vec<_>) = servers
        .partition(|server| server.labels.get(ROLE).is_some_and(|role| role == IMAGE_BUILDER));
    let owned = |server: &&hetzner::Server| Owned {
        profile: server.labels.get(PROFILE).cloned(),
        thing: priced_server(server, Some(&pricing)),
    };
    // An address does not say where it is: the dearest location is taken.
    let of_an_address =
        pricing.primary_ips.iter().filter(|kind| kind.kind == "ipv4").flat_map(|kind| &kind.prices);
    let of_an_address = of_an_address
        .filter_map(|price| address_price(&pricing, &price.location))
        .filter_map(|price| euros(&price.price_monthly.net))
        .reduce(f64::max);
    let per_gb = euros(&pricing.image.price_per_gb_month.net);
    Ok(Standing {
        currency: pricing.currency.clone(),
        machines: machines.iter().map(owned).collect(),
        builders: builders.iter().map(owned).collect(),
        volumes: volumes
            .iter()
            .filter(|volume| owner.owns(&volume.labels))
            .map(|volume| Owned {
                profile: volume.labels.get(PROFILE).cloned(),
                thing: priced_volume(volume, Some(&pricing)),
            })
            .collect(),
        addresses: addresses
            .into_iter()
            .filter(|address| {
                owner.owns(&address.labels)
                    && address.assignee_id.is_none()
                    && address.kind == "ipv4"
            })
            .map(|address| Stored {
                id: address.id,
                name: address.name,
                price_monthly: of_an_address,
            })
            .collect(),
        snapshots: images
            .into_iter()
            .filter(|image| owner.owns(&image.labels))
            .map(|image| Stored {
                id: image.id,
                price_monthly: image.image_size.zip(per_gb).map(|(size, price)| size * price),
                name: image.name.unwrap_or(image.description),
            })
            .collect(),
    })
}
