//! The cloud's price list, kept for a while: a machine whose prices cannot be read now is counted
//! by those that were read last.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hetzner::Pricing;
use tokio::time::{Instant, timeout};

use super::Cloud;
use super::observe::{address_price, euros, volume_price};
use crate::provider::Summary;

/// Prices change a few times a year, and then for new servers.
const FRESH_FOR: Duration = Duration::from_secs(60 * 60);

/// A machine is not kept waiting for longer for what it costs.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// The price list as it was read last.
#[derive(Debug, Default)]
pub(super) struct PriceList(Mutex<Option<(Instant, Arc<Pricing>)>>);

impl Cloud {
    /// The price list; `None` if it could never be read.
    pub(super) async fn prices(&self) -> Option<Arc<Pricing>> {
        let known = self.prices.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((read, pricing)) = &known
            && read.elapsed() < FRESH_FOR
        {
            return Some(pricing.clone());
        }
        match self.client.pricing().await {
            Ok(pricing) => {
                let pricing = Arc::new(pricing);
                let now = Some((Instant::now(), pricing.clone()));
                *self.prices.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
                Some(pricing)
            }
            Err(error) => {
                tracing::warn!(
                    error = crate::with_causes(&error),
                    "the cloud's prices cannot be read"
                );
                known.map(|(_, pricing)| pricing)
            }
        }
    }

    /// The price list for a machine that somebody waits for: what cannot be read soon is added
    /// later.
    pub(super) async fn prices_soon(&self) -> Option<Arc<Pricing>> {
        match timeout(LONGEST_WAIT, self.prices()).await {
            Ok(pricing) => pricing,
            Err(_) => self.known_prices(),
        }
    }

    /// The price list as it was read last, without a request.
    pub(super) fn known_prices(&self) -> Option<Arc<Pricing>> {
        self.prices
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
            .map(|(_, pricing)| pricing)
    }

    /// A machine whose summary was made without the price list, with it.
    pub(super) async fn add_prices(&self, machine: &Summary) -> Option<Summary> {
        let pricing = self.prices().await?;
        let mut priced = machine.clone();
        if machine.currency.is_none() {
            let address =
                machine.location.as_deref().and_then(|location| address_price(&pricing, location));
            let plus = |price: Option<f64>, net: Option<f64>| {
                price.map(|price| price + net.unwrap_or(0.0))
            };
            priced.price_hourly = plus(
                machine.price_hourly,
                address.and_then(|price| euros(&price.price_hourly.net)),
            );
            priced.price_monthly = plus(
                machine.price_monthly,
                address.and_then(|price| euros(&price.price_monthly.net)),
            );
            priced.currency = Some(pricing.currency.clone());
        }
        if let Some(volume) = &mut priced.volume {
            volume.price_monthly = volume_price(&pricing, volume.size);
        }
        Some(priced)
    }
}
