//! Which server is used for a build: the smallest disk first, because a snapshot fits only on disks
//! that are at least as large as its own; then the price. Pure.

use hetzner::{Architecture, ServerType};
use jiff::Timestamp;

/// A server type in a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rung {
    pub(crate) server_type: String,
    pub(crate) location: String,
    /// GB.
    pub(crate) disk: u32,
}

/// Requirements on a server.
#[derive(Debug, Clone)]
pub(crate) struct Wanted<'a> {
    pub(crate) architecture: &'a Architecture,
    /// GB that the disk needs at least.
    pub(crate) disk: u64,
    /// Locations in order of preference.
    pub(crate) locations: &'a [String],
    /// Only these types, in this order, instead of all by disk and price.
    pub(crate) only: &'a [String],
}

/// The rungs, best first. Among equals, rungs that the cloud believes to be out of stock come last,
/// since the belief may be wrong.
pub(crate) fn ladder(wanted: &Wanted<'_>, types: &[ServerType], now: Timestamp) -> Vec<Rung> {
    let mut rungs = Vec::new();
    for kind in types.iter().filter(|kind| {
        kind.architecture == *wanted.architecture && u64::from(kind.disk) >= wanted.disk
    }) {
        let preference = wanted.only.iter().position(|name| *name == kind.name);
        if !wanted.only.is_empty() && preference.is_none() {
            continue;
        }
        for (place, location) in wanted.locations.iter().enumerate() {
            let sold = kind.locations.iter().find(|sold| sold.name == *location);
            let Some(sold) = sold.filter(|sold| {
                sold.deprecation.as_ref().is_none_or(|until| now <= until.unavailable_after)
            }) else {
                continue;
            };
            let price = kind
                .price_at(location)
                .and_then(|price| price.price_hourly.net.micros())
                .unwrap_or(u64::MAX);
            let rung = Rung {
                server_type: kind.name.clone(),
                location: location.clone(),
                disk: kind.disk,
            };
            rungs.push(((preference, kind.disk, !sold.available, price, place), rung));
        }
    }
    rungs.sort_by_key(|rung| rung.0);
    rungs.into_iter().map(|(_, rung)| rung).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types() -> Vec<ServerType> {
        let kind = |name: &str, arch: &str, disk: u32, price: &str, places: &[(&str, bool)]| {
            let prices: Vec<_> = places
                .iter()
                .map(|(place, _)| {
                    let price = serde_json::json!({"net": price, "gross": price});
                    serde_json::json!({"location": place, "price_hourly": price,
                        "price_monthly": price})
                })
                .collect();
            let locations: Vec<_> = places
                .iter()
                .map(|(place, stock)| {
                    serde_json::json!({"id": 1, "name": place,
                    "available": stock})
                })
                .collect();
            serde_json::from_value(serde_json::json!({
                "id": 1, "name": name, "cores": 2, "memory": 4.0, "disk": disk, "prices": prices,
                "cpu_type": "shared", "architecture": arch,
                "locations": locations,
            }))
            .unwrap()
        };
        vec![
            kind("big-cheap", "x86", 80, "0.001", &[("fsn1", true)]),
            kind("dear", "x86", 40, "0.009", &[("fsn1", true), ("nbg1", true)]),
            kind("cheap", "x86", 40, "0.005", &[("nbg1", true), ("fsn1", false)]),
            kind("arm", "arm", 40, "0.001", &[("fsn1", true)]),
        ]
    }

    fn names(disk: u64, only: &[&str]) -> Vec<String> {
        let locations = ["fsn1", "nbg1"].map(str::to_owned);
        let only: Vec<String> = only.iter().map(|name| (*name).to_owned()).collect();
        let wanted =
            Wanted { architecture: &Architecture::X86, disk, locations: &locations, only: &only };
        ladder(&wanted, &types(), Timestamp::UNIX_EPOCH)
            .into_iter()
            .map(|rung| format!("{} {}", rung.server_type, rung.location))
            .collect()
    }

    #[test]
    fn smallest_disk_comes_first_then_stock_then_the_price() {
        assert_eq!(
            names(0, &[]),
            ["cheap nbg1", "dear fsn1", "dear nbg1", "cheap fsn1", "big-cheap fsn1"]
        );
    }

    #[test]
    fn disk_that_is_too_small_is_left_out() {
        assert_eq!(names(41, &[]), ["big-cheap fsn1"]);
        assert_eq!(names(81, &[]), Vec::<String>::new());
    }

    #[test]
    fn named_types_come_in_the_given_order() {
        assert_eq!(
            names(0, &["big-cheap", "dear", "arm"]),
            ["big-cheap fsn1", "dear fsn1", "dear nbg1"]
        );
    }
}
