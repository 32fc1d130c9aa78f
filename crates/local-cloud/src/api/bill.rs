//! The cost of a project's servers and volumes at the catalogue's prices, as Hetzner bills them:
//! each started hour of a server from its creation, with its address, and the share of the month
//! for each started hour of a volume. For tests of programs that keep their own books; Hetzner has
//! no such request.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::catalogue::Catalogue;
use crate::state::{Id, Progress, Project, Resource, Server, Volume};

const HOUR: i64 = 3_600;

/// The bill of one project, deleted resources included. Prices are net, in the catalogue's
/// currency.
pub(super) fn of(project: &Project, catalogue: &Catalogue, now: Timestamp) -> Value {
    let servers: Vec<Value> = project
        .past_servers
        .iter()
        .chain(project.servers.values())
        .map(|kept| server(project, catalogue, kept, now))
        .collect();
    let volumes: Vec<Value> =
        project.volumes.values().map(|kept| volume(catalogue, kept, now)).collect();
    json!({ "servers": servers, "volumes": volumes })
}

fn server(project: &Project, catalogue: &Catalogue, server: &Server, now: Timestamp) -> Value {
    let location = catalogue.location(server.location).map_or("", |location| &location.name);
    let hours = started_hours(server.created, end(project, server.id).unwrap_or(now));
    let hourly = catalogue
        .server_type(server.server_type)
        .map_or(0.0, |kind| net(&kind.json["prices"], location));
    let address =
        server.ipv4.as_ref().map_or(0.0, |_| net(&catalogue.address_prices("ipv4"), location));
    json!({
        "id": server.id,
        "name": server.name,
        "hours": hours,
        "hourly": hourly + address,
        "net": (hourly + address) * hours as f64,
    })
}

fn volume(catalogue: &Catalogue, volume: &Volume, now: Timestamp) -> Value {
    let monthly = catalogue.volume_price() * volume.size as f64;
    let hours = started_hours(volume.created, now);
    json!({ "id": volume.id, "size": volume.size, "hours": hours, "monthly": monthly })
}

/// When its deletion finished; an existing server has no end.
fn end(project: &Project, server: Id) -> Option<Timestamp> {
    let deletions = project
        .actions
        .values()
        .filter(|action| action.command == "delete_server" && action.progress == Progress::Success);
    deletions
        .filter(|action| action.resources.contains(&Resource::Server(server)))
        .find_map(|action| action.finished)
}

fn started_hours(from: Timestamp, until: Timestamp) -> i64 {
    let seconds = until.as_second() - from.as_second();
    (seconds / HOUR + i64::from(seconds % HOUR != 0)).max(1)
}

fn net(prices: &Value, location: &str) -> f64 {
    let here = prices.as_array().into_iter().flatten().find(|price| price["location"] == location);
    here.and_then(|price| price["price_hourly"]["net"].as_str()?.parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_rounded_up_and_prices_are_those_of_the_place() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(
            [0, 1, 3_600, 3_601].map(|lived| started_hours(at(5), at(5 + lived))),
            [1, 1, 1, 2]
        );
        let catalogue = Catalogue::built_in().unwrap();
        let cx23 = catalogue.server_types.iter().find(|kind| kind.name == "cx23").unwrap();
        assert!(
            net(&cx23.json["prices"], "fsn1") > 0.0
                && net(&catalogue.address_prices("ipv4"), "fsn1") > 0.0
        );
        assert!(net(&cx23.json["prices"], "nowhere") == 0.0 && catalogue.volume_price() > 0.0);
    }
}
