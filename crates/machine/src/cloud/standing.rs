//! Lists everything of one owner that is billed now, in all profiles, with its price: servers,
//! volumes, snapshots and unused addresses. Changes nothing.

use hetzner::{Client, ImageType, Query};

use crate::convert::{priced_server, priced_volume};
use crate::error::MachineError;
use crate::identity::{Owner, PROFILE, builds_image, owner_selector};
use crate::operation::Operation;
use crate::price::{address_price, euros};
use api::{Owned, Standing, Stored};

/// Lists everything of this owner that is billed, in five requests. Drops resources without the
/// owner's labels.
///
/// # Errors
/// If the cloud fails to answer one of them.
pub async fn standing(client: &Client, owner: &Owner) -> Result<Standing, MachineError> {
    let own = Query::labels(owner_selector(owner));
    let snapshots =
        Query { image_type: vec![ImageType::Snapshot], ..Query::labels(owner_selector(owner)) };
    let failed = MachineError::cloud;
    let (servers, volumes, addresses, images, pricing) = tokio::try_join!(
        async { client.servers().list(&own).await.map_err(failed(Operation::ListServers)) },
        async { client.volumes().list(&own).await.map_err(failed(Operation::ListVolumes)) },
        async { client.primary_ips().list(&own).await.map_err(failed(Operation::ListPrimaryIps)) },
        async { client.images().list(&snapshots).await.map_err(failed(Operation::ListImages)) },
        async { client.pricing().await.map_err(failed(Operation::ReadPrices)) },
    )?;
    let servers = servers.iter().filter(|server| owner.owns(&server.labels));
    let (builders, machines): (Vec<_>, Vec<_>) =
        servers.partition(|server| builds_image(&server.labels));
    let owned = |server: &&hetzner::Server| Owned {
        profile: server.labels.get(PROFILE).cloned(),
        thing: priced_server(server, Some(&pricing)),
    };
    // An address does not contain its location, so the dearest location counts.
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
