//! The price list, for the ledger.

use std::time::Duration;

use hetzner::{Client, Pricing};
use tokio::time::timeout;

/// A build does not wait longer for the price of its server.
const LONGEST_PRICES: Duration = Duration::from_secs(3);

/// The price list. A build does not fail without it: the price then lacks that of the address.
pub(crate) async fn prices(client: &Client) -> Option<Pricing> {
    match timeout(LONGEST_PRICES, client.pricing()).await {
        Ok(Ok(pricing)) => Some(pricing),
        _ => {
            tracing::warn!("the cloud's prices cannot be read");
            None
        }
    }
}
