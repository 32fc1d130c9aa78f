//! What a run may cost and touch, decided before anything is created. Pure.

use jiff::Timestamp;
use serde_json::Value;

use super::reader::is_own;

/// For users.
pub const COST: &str = "three started hours of servers of at most 0.015 EUR net each (one for the \
 image, two for the main job), their addresses, an hour of a volume of 10 GB, and minutes of a \
 snapshot below 0.1 GB: at most 0.05 EUR net in all";
/// EUR net an hour.
const MOST_HOURLY: f64 = 0.015;
/// Number of the smallest types to name: one may be out of stock.
const MOST_TYPES: usize = 3;
/// Maximum number of servers that killed runs may have left; more indicate a bug in these tests.
const MOST_LEFT: usize = 2;
/// Younger ones may belong to a run elsewhere.
const YOUNG_SECONDS: i64 = 60 * 60;
/// As in the settings.
const LOCATIONS: [&str; 3] = ["fsn1", "nbg1", "hel1"];

/// Whether a run may begin in a project with these servers: it deletes by label, so it requires a
/// project without anything of value.
pub fn may_begin(servers: &[Value], now: Timestamp) -> Result<(), String> {
    let name = |server: &Value| server["name"].as_str().unwrap_or_default().to_owned();
    if let Some(other) = servers.iter().find(|server| !is_own(server)) {
        return Err(format!(
            "the project holds server {}, which is not of these tests; give them a project of \
             their own",
            name(other)
        ));
    }
    if servers.len() > MOST_LEFT {
        return Err(format!(
            "the project holds {} servers that earlier runs left; look what is wrong and delete \
             them by hand",
            servers.len()
        ));
    }
    let age = |server: &Value| {
        server["created"]
            .as_str()
            .and_then(|text| text.parse().ok())
            .map_or(0, |created: Timestamp| now.as_second() - created.as_second())
    };
    match servers.iter().find(|server| age(server) < YOUNG_SECONDS) {
        Some(young) => Err(format!(
            "server {} of another run is younger than an hour; wait until that run has ended, or \
             delete the server by hand",
            name(young)
        )),
        None => Ok(()),
    }
}

/// The smallest affordable types: by disk, then by price.
pub fn affordable(types: &[Value]) -> Result<Vec<String>, String> {
    let mut found: Vec<(u64, f64, &str)> = Vec::new();
    for kind in types.iter().filter(|kind| kind["architecture"] == "x86") {
        let prices = kind["prices"].as_array().into_iter().flatten();
        let here =
            prices.filter(|price| LOCATIONS.iter().any(|location| price["location"] == *location));
        let hourly = here
            .filter_map(|price| price["price_hourly"]["net"].as_str()?.parse().ok())
            .reduce(f64::max);
        if let (Some(disk), Some(hourly), Some(name)) =
            (kind["disk"].as_u64(), hourly, kind["name"].as_str())
            && hourly <= MOST_HOURLY
        {
            found.push((disk, hourly, name));
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0).then(one.1.total_cmp(&other.1)));
    match found.as_slice() {
        [] => Err(format!("no server type costs at most {MOST_HOURLY} EUR net an hour")),
        found => Ok(found.iter().take(MOST_TYPES).map(|(_, _, name)| (*name).to_owned()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::OWNER;
    use super::*;

    fn server(owner: &str, created: &str) -> Value {
        json!({
            "name": "s",
            "created": created,
            "labels": {"managed-by": "dockbridge", "dockbridge-owner": owner},
        })
    }

    #[test]
    fn a_run_begins_only_in_a_project_without_anything_of_value() {
        let now: Timestamp = "2026-01-02T12:00:00Z".parse().unwrap();
        let (old, young) = ("2026-01-02T09:00:00Z", "2026-01-02T11:30:00Z");
        assert_eq!(may_begin(&[], now), Ok(()));
        assert_eq!(
            may_begin(&[server(OWNER, old)], now),
            Ok(()),
            "what a killed run left is removed"
        );
        for (servers, expected) in [
            (vec![server("abcdefghjkmn", old)], "not of these tests"),
            (vec![json!({"name": "s", "created": old, "labels": {}})], "not of these tests"),
            (vec![server(OWNER, old); 3], "3 servers that earlier runs left"),
            (vec![server(OWNER, young)], "of another run"),
            (vec![server(OWNER, "never")], "of another run"),
        ] {
            let why = may_begin(&servers, now).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
    }

    #[test]
    fn only_the_smallest_and_cheapest_types_are_used() {
        let kind = |name: &str, architecture: &str, disk: u64, prices: &[(&str, &str)]| {
            let prices: Vec<Value> = prices
                .iter()
                .map(|(place, net)| json!({"location": place, "price_hourly": {"net": net}}))
                .collect();
            json!({"name": name, "architecture": architecture, "disk": disk, "prices": prices})
        };
        let types = [
            kind("dear", "x86", 20, &[("fsn1", "0.0151")]),
            kind("dear-somewhere", "x86", 20, &[("fsn1", "0.01"), ("hel1", "0.5")]),
            kind("far", "x86", 20, &[("sin", "0.001")]),
            kind("arm", "arm", 20, &[("fsn1", "0.001")]),
            kind("big", "x86", 80, &[("fsn1", "0.001")]),
            kind("b", "x86", 40, &[("fsn1", "0.015")]),
            kind("a", "x86", 40, &[("fsn1", "0.01"), ("sin", "9")]),
            kind("bigger", "x86", 160, &[("fsn1", "0.001")]),
        ];
        assert_eq!(affordable(&types).unwrap(), ["a", "b", "big"]);
        assert!(affordable(&types[..1]).is_err());
    }
}
