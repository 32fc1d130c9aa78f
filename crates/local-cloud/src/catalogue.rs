//! What can be ordered: locations, server types, system images and prices, from a file next to the
//! code. It never changes while the cloud runs.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::options::Stock;

/// The catalogue as of 2026-09-29, prices without VAT.
const FILE: &str = include_str!("catalogue/catalogue.json");

#[derive(Debug, Deserialize)]
pub(crate) struct Catalogue {
    pub(crate) locations: Vec<Entry>,
    pub(crate) server_types: Vec<Entry>,
    pub(crate) images: Vec<Entry>,
    datacenters: Vec<Datacenter>,
    pricing: Value,
    /// Whether answers include what the API removed in 2026.
    #[serde(skip)]
    pub(crate) removed_properties: bool,
}

/// One object as the API shows it, with the two fields that it is found by.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Value")]
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) json: Value,
}

/// The API has no data centers any more, except for the names that old clients expect in servers.
#[derive(Debug, Deserialize)]
struct Datacenter {
    id: u64,
    name: String,
    location: String,
}

/// Why a server type is unavailable at a location.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotSold {
    /// Sold nowhere any more.
    Withdrawn,
    /// Not sold there.
    NotHere,
}

impl TryFrom<Value> for Entry {
    type Error = &'static str;

    fn try_from(json: Value) -> Result<Entry, Self::Error> {
        let id = json["id"].as_u64().ok_or("an entry without an id")?;
        let name = json["name"].as_str().ok_or("an entry without a name")?.to_owned();
        Ok(Entry { id, name, json })
    }
}

impl Entry {
    pub(crate) fn text(&self, field: &str) -> &str {
        self.json[field].as_str().unwrap_or_default()
    }

    pub(crate) fn number(&self, field: &str) -> u64 {
        self.json[field].as_u64().unwrap_or_default()
    }
}

impl Catalogue {
    pub(crate) fn built_in() -> Result<Catalogue, serde_json::Error> {
        serde_json::from_str(FILE)
    }

    /// Applies the options.
    pub(crate) fn shown_as(mut self, stock: Stock, removed_properties: bool) -> Catalogue {
        self.removed_properties = removed_properties;
        for entry in self.server_types.iter_mut().chain(&mut self.images) {
            if let Some(json) = entry.json.as_object_mut().filter(|_| !removed_properties) {
                json.remove("deprecated");
            }
        }
        if stock == Stock::Captured {
            let scarce =
                self.server_types.iter_mut().filter(|t| t.text("category") == "cost_optimized");
            let places = scarce.filter_map(|t| t.json["locations"].as_array_mut()).flatten();
            places.for_each(|place| place["available"] = json!(false));
        }
        self
    }

    pub(crate) fn location(&self, id: u64) -> Option<&Entry> {
        self.locations.iter().find(|l| l.id == id)
    }

    pub(crate) fn server_type(&self, id: u64) -> Option<&Entry> {
        self.server_types.iter().find(|t| t.id == id)
    }

    pub(crate) fn image(&self, id: u64) -> Option<&Entry> {
        self.images.iter().find(|i| i.id == id)
    }

    /// The location of a data center, by name or id.
    pub(crate) fn location_of_datacenter(&self, name_or_id: &str) -> Option<&Entry> {
        let found = self
            .datacenters
            .iter()
            .find(|d| d.name == name_or_id || d.id.to_string() == name_or_id)?;
        self.locations.iter().find(|l| l.name == found.location)
    }

    /// The zone name that the metadata service reports.
    pub(crate) fn availability_zone(&self, location: &Entry) -> &str {
        self.datacenters.iter().find(|d| d.location == location.name).map_or("", |d| &d.name)
    }

    /// Whether a server type can be ordered at a location now.
    pub(crate) fn sold(
        &self,
        server_type: &Entry,
        location: &str,
        now: Timestamp,
    ) -> Result<(), NotSold> {
        let offers = |place: &Value| {
            let until = place["deprecation"]["unavailable_after"]
                .as_str()
                .and_then(|t| t.parse::<Timestamp>().ok());
            until.is_none_or(|t| now <= t)
        };
        let places =
            server_type.json["locations"].as_array().map(Vec::as_slice).unwrap_or_default();
        if !places.iter().any(offers) {
            Err(NotSold::Withdrawn)
        } else if !places.iter().any(|p| p["name"] == location && offers(p)) {
            Err(NotSold::NotHere)
        } else {
            Ok(())
        }
    }

    /// Monthly traffic included in a server of this type at a location, in bytes.
    pub(crate) fn included_traffic(&self, server_type: &Entry, location: &str) -> Value {
        let prices = server_type.json["prices"].as_array().map(Vec::as_slice).unwrap_or_default();
        prices
            .iter()
            .find(|p| p["location"] == location)
            .map_or(Value::Null, |p| p["included_traffic"].clone())
    }

    /// The former `datacenter` object of a location, in servers and primary IPs until July 2026.
    pub(crate) fn datacenter_json(&self, location: &Entry) -> Value {
        let Some(datacenter) = self.datacenters.iter().find(|d| d.location == location.name) else {
            return Value::Null;
        };
        let here: Vec<u64> = self
            .server_types
            .iter()
            .filter(|t| {
                t.json["locations"].as_array().is_some_and(|l| {
                    l.iter().any(|p| p["name"] == location.name && p["available"] == true)
                })
            })
            .map(|t| t.id)
            .collect();
        json!({
            "id": datacenter.id,
            "name": datacenter.name,
            "description": location.text("description"),
            "location": location.json,
            "server_types": {"supported": here, "available": here, "available_for_migration": here},
        })
    }

    /// Prices of addresses of this kind, by location.
    pub(crate) fn address_prices(&self, kind: &str) -> Value {
        let kinds = self.pricing["primary_ips"].as_array().into_iter().flatten();
        kinds
            .filter(|prices| prices["type"] == kind)
            .map(|prices| prices["prices"].clone())
            .next()
            .unwrap_or_default()
    }

    /// Net price of one GB of volume for a month.
    pub(crate) fn volume_price(&self) -> f64 {
        self.pricing["volume"]["price_per_gb_month"]["net"]
            .as_str()
            .and_then(|price| price.parse().ok())
            .unwrap_or(0.0)
    }

    /// `GET /pricing`; the server types' prices are those of the types themselves.
    pub(crate) fn pricing_json(&self) -> Value {
        let mut pricing = self.pricing.clone();
        pricing["server_types"] = self
            .server_types
            .iter()
            .map(|t| json!({"id": t.id, "name": t.name, "prices": t.json["prices"]}))
            .collect::<Vec<_>>()
            .into();
        pricing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    #[test]
    fn a_type_is_sold_where_it_is_not_withdrawn() {
        let catalogue = Catalogue::built_in().unwrap();
        let named = |name: &str| catalogue.server_types.iter().find(|t| t.name == name).unwrap();
        let now = at("2026-10-01T00:00:00Z");
        assert_eq!(catalogue.sold(named("cx23"), "fsn1", now), Ok(()));
        assert_eq!(catalogue.sold(named("cx23"), "ash", now), Err(NotSold::NotHere));
        assert_eq!(catalogue.sold(named("cpx21"), "fsn1", now), Err(NotSold::NotHere));
        assert_eq!(catalogue.sold(named("cpx21"), "fsn1", at("2025-11-01T00:00:00Z")), Ok(()));
        assert_eq!(catalogue.sold(named("cpx21"), "ash", now), Ok(()));
        assert_eq!(catalogue.sold(named("cx22"), "fsn1", now), Err(NotSold::Withdrawn));
    }

    #[test]
    fn the_captured_stock_has_no_cheap_types_but_sells_them() {
        let catalogue = Catalogue::built_in().unwrap().shown_as(Stock::Captured, false);
        let available = |name: &str| {
            let kind = catalogue.server_types.iter().find(|t| t.name == name).unwrap();
            kind.json["locations"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|l| l["available"] == true)
                .count()
        };
        assert_eq!(["cx23", "cx53", "cax11", "cax41"].map(available), [0; 4]);
        assert_eq!(["cpx22", "ccx13"].map(available), [4, 6]);
        let cx23 = catalogue.server_types.iter().find(|t| t.name == "cx23").unwrap();
        assert_eq!(catalogue.sold(cx23, "fsn1", at("2026-10-01T00:00:00Z")), Ok(()));
    }

    #[test]
    fn every_entry_is_complete() {
        let catalogue = Catalogue::built_in().unwrap();
        for kind in &catalogue.server_types {
            for key in ["architecture", "description", "category", "cpu_type", "storage_type"] {
                assert!(!kind.text(key).is_empty(), "{} has no {key}", kind.name);
            }
            assert!(kind.number("disk") >= 40 && kind.number("cores") >= 1, "{}", kind.name);
            assert!(
                kind.json.get("deprecated").is_some(),
                "old clients cannot decode {} without `deprecated`",
                kind.name
            );
        }
        for location in &catalogue.locations {
            assert!(
                !catalogue.availability_zone(location).is_empty(),
                "{} has no zone",
                location.name
            );
        }
        assert_eq!(catalogue.location_of_datacenter("fsn1-dc14").unwrap().name, "fsn1");
    }
}
