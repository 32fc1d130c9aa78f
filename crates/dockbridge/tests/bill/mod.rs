//! What `cost --json` and the cloud's own bill have in common.

use serde_json::Value;

/// Ids, started hours and price in millionths of each server, in the order of ids.
pub fn servers(bill: &Value, price: &str) -> Vec<(u64, u64, u64)> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "prices are small and positive"
    )]
    let micros = |price: &Value| (price.as_f64().unwrap() * 1e6).round() as u64;
    let each = bill["servers"].as_array().unwrap().iter();
    let mut all: Vec<_> = each
        .map(|server| {
            (
                server["id"].as_u64().unwrap(),
                server["hours"].as_u64().unwrap(),
                micros(&server[price]),
            )
        })
        .collect();
    all.sort_unstable();
    all
}
