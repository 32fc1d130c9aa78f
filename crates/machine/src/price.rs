//! What servers, addresses and volumes cost, by the cloud's price list.

use hetzner::Pricing;

use crate::observed::{Server, Volume};
use api::{Summary, VolumeSummary};

/// Hetzner bills started hours, each counted from the server's creation (docs.hetzner.com, "Cloud
/// billing FAQ").
const BILLED_UNIT_SECONDS: u64 = 3_600;

/// The price of an IPv4 address in a location.
pub(crate) fn address_price<'a>(
    pricing: &'a Pricing,
    location: &str,
) -> Option<&'a hetzner::IpPrice> {
    let ipv4 = pricing.primary_ips.iter().find(|kind| kind.kind == "ipv4")?;
    ipv4.prices.iter().find(|price| price.location == location)
}

/// Net price of a month for a volume of this size in GB.
#[expect(clippy::cast_precision_loss, reason = "sizes are thousands of GB")]
pub(crate) fn volume_price(pricing: &Pricing, size: u64) -> Option<f64> {
    Some(euros(&pricing.volume.price_per_gb_month.net)? * size as f64)
}

pub(crate) fn volume_summary(volume: &Volume, pricing: Option<&Pricing>) -> VolumeSummary {
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

/// A server without its volume. Without a price list the price lacks that of its address.
pub(crate) fn server_summary(server: &Server, pricing: Option<&Pricing>) -> Summary {
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

/// A summary that was made without the price list, with prices.
pub(crate) fn with_prices(machine: &Summary, pricing: &Pricing) -> Summary {
    let mut priced = machine.clone();
    if machine.currency.is_none() {
        let address =
            machine.location.as_deref().and_then(|location| address_price(pricing, location));
        let plus =
            |price: Option<f64>, net: Option<f64>| price.map(|price| price + net.unwrap_or(0.0));
        priced.price_hourly =
            plus(machine.price_hourly, address.and_then(|price| euros(&price.price_hourly.net)));
        priced.price_monthly =
            plus(machine.price_monthly, address.and_then(|price| euros(&price.price_monthly.net)));
        priced.currency = Some(pricing.currency.clone());
    }
    if let Some(volume) = &mut priced.volume {
        volume.price_monthly = volume_price(pricing, volume.size);
    }
    priced
}

#[expect(clippy::cast_precision_loss, reason = "prices are far below 2^52 millionths")]
pub(crate) fn euros(amount: &hetzner::Amount) -> Option<f64> {
    amount.micros().map(|micros| micros as f64 / 1e6)
}
