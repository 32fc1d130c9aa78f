//! The cloud's price list, kept for an hour. If it cannot be read, the last one is used.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hetzner::{Client, Pricing};
use tokio::time::{Instant, timeout};

use crate::causes::with_causes;

/// Prices change a few times a year, and then for new servers.
const FRESH_FOR: Duration = Duration::from_secs(60 * 60);

/// A machine does not wait longer for its price.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// The price list as it was read last.
#[derive(Debug, Default)]
pub(super) struct PriceList(Mutex<Option<(Instant, Arc<Pricing>)>>);

impl PriceList {
    /// The price list; `None` if it could never be read.
    pub(super) async fn get(&self, client: &Client) -> Option<Arc<Pricing>> {
        let known = self.read();
        if let Some((read, pricing)) = &known
            && read.elapsed() < FRESH_FOR
        {
            return Some(pricing.clone());
        }
        match client.pricing().await {
            Ok(pricing) => {
                let pricing = Arc::new(pricing);
                let now = Some((Instant::now(), pricing.clone()));
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
                Some(pricing)
            }
            Err(error) => {
                tracing::warn!(error = with_causes(&error), "the cloud's prices cannot be read");
                known.map(|(_, pricing)| pricing)
            }
        }
    }

    /// The price list for a machine that a client waits for: if it cannot be read soon, the prices
    /// are added later.
    pub(super) async fn soon(&self, client: &Client) -> Option<Arc<Pricing>> {
        match timeout(LONGEST_WAIT, self.get(client)).await {
            Ok(pricing) => pricing,
            Err(_) => self.known(),
        }
    }

    /// The price list as it was read last, without a request.
    pub(super) fn known(&self) -> Option<Arc<Pricing>> {
        self.read().map(|(_, pricing)| pricing)
    }

    fn read(&self) -> Option<(Instant, Arc<Pricing>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
