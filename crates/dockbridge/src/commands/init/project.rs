//! What the cloud says of a project and of what dockbridge would order there: servers and volumes,
//! server types with prices and stock, the volume. Only looks.

use hetzner::{Amount, Client, Location, Pricing, Query, ServerType, Volume};
use jiff::Timestamp;
use machine::{Identity, Owner};

use crate::resolved::Resolved;

/// Marks a price where the type is not in stock. The cloud's word for it is only a hint.
const SOLD_OUT: &str = "*";

/// A project as it is now.
pub struct Project {
    locations: Vec<Location>,
    server_types: Vec<ServerType>,
    pricing: Pricing,
    servers: usize,
    volumes: usize,
    /// How many of both carry this owner's labels.
    own: usize,
    /// The volume of this profile, if there is one.
    volume: Option<Volume>,
}

impl Project {
    /// Asks the cloud, four questions at once.
    pub async fn look(
        client: &Client,
        locations: Vec<Location>,
        resolved: &Resolved,
        owner: Option<Owner>,
    ) -> hetzner::Result<Self> {
        let all = Query::default();
        let (servers, volumes, types) = (client.servers(), client.volumes(), client.server_types());
        let (server_types, pricing, servers, volumes) = tokio::try_join!(
            types.list(&all),
            client.pricing(),
            servers.list(&all),
            volumes.list(&all)
        )?;
        let is_own = |labels| owner.as_ref().is_some_and(|owner| owner.owns(labels));
        let own = servers.iter().filter(|server| is_own(&server.labels)).count()
            + volumes.iter().filter(|volume| is_own(&volume.labels)).count();
        let identity =
            owner.clone().map(|owner| Identity { profile: resolved.profile.clone(), owner });
        let of_profile =
            |volume: &&Volume| identity.as_ref().is_some_and(|own| own.owns(&volume.labels));
        let volume = volumes.iter().find(of_profile).cloned();
        let (servers, volumes) = (servers.len(), volumes.len());
        Ok(Self { locations, server_types, pricing, servers, volumes, own, volume })
    }

    /// Where the volume of this profile is, if there is one: machines are made there alone.
    pub fn volume_location(&self) -> Option<&str> {
        self.volume.as_ref().map(|volume| volume.location.name.as_str())
    }

    /// The names of all locations.
    pub fn locations(&self) -> Vec<&str> {
        self.locations.iter().map(|location| location.name.as_str()).collect()
    }

    /// For the user, at most 80 columns wide with up to five locations.
    pub fn lines(&self, resolved: &Resolved) -> Vec<String> {
        let count = |number: usize, what: &str| {
            format!("{number} {what}{}", if number == 1 { "" } else { "s" })
        };
        let mut lines = vec![format!(
            "The project has {} and {}; {} of them this owner's.",
            count(self.servers, "server"),
            count(self.volumes, "volume"),
            match self.own {
                0 => "none".to_owned(),
                own => own.to_string(),
            }
        )];
        let hetzner = &resolved.settings.hetzner;
        let locations = match self.volume_location() {
            Some(location) => vec![location.to_owned()],
            None => hetzner.locations.clone(),
        };
        lines.extend(self.ladder(&hetzner.server_types, &locations));
        lines.extend(self.volume_lines(hetzner.volume_size));
        lines
    }

    /// The server types with the price of a started hour, address included, where they are sold.
    fn ladder(&self, server_types: &[String], locations: &[String]) -> Vec<String> {
        let header = locations.iter().map(|location| format!("{location} "));
        let mut lines = vec![
            format!(
                "A machine bills by the started hour while it exists, net in {}:",
                self.pricing.currency
            ),
            format!("  {:<10}{}", "", row(header)).trim_end().to_owned(),
        ];
        for name in server_types {
            let found = self.server_types.iter().find(|found| found.name == *name);
            let cells = locations.iter().map(|location| match found {
                Some(server_type) => self.cell(server_type, location),
                None => "unknown ".to_owned(),
            });
            let line = format!("  {name:<10}{}", row(cells));
            lines.push(match found {
                Some(found) => format!("{line} {} cores, {} GB", found.cores, found.memory),
                None => line.trim_end().to_owned(),
            });
        }
        if lines.iter().any(|line| line.contains(SOLD_OUT)) {
            lines.push(format!(
                "  {SOLD_OUT} sold out there now: the next type or location is tried"
            ));
        }
        lines
    }

    /// One column wider than its text: the last one marks what is sold out.
    fn cell(&self, server_type: &ServerType, location: &str) -> String {
        let now = Timestamp::now();
        let offer = server_type.locations.iter().find(|offer| offer.name == location);
        match (offer, server_type.price_at(location)) {
            (Some(offer), Some(price)) if !offer.is_withdrawn(now) => {
                let mark = if offer.available { " " } else { SOLD_OUT };
                let price = self.hourly(&price.price_hourly.net, location);
                price.map_or_else(|| format!("?{mark}"), |price| format!("{price:.4}{mark}"))
            }
            _ => "- ".to_owned(),
        }
    }

    fn hourly(&self, server: &Amount, location: &str) -> Option<f64> {
        let addresses = self.pricing.primary_ips.iter().find(|kind| kind.kind == "ipv4");
        let address = addresses
            .and_then(|kind| kind.prices.iter().find(|price| price.location == location))
            .and_then(|price| price.price_hourly.net.micros());
        Some(units(server.micros()?.saturating_add(address.unwrap_or(0))))
    }

    fn volume_lines(&self, size: u64) -> Vec<String> {
        let currency = &self.pricing.currency;
        let per_gigabyte = self.pricing.volume.price_per_gb_month.net.micros();
        let price = |size: u64| {
            let price = per_gigabyte.map(|price| units(price.saturating_mul(size)));
            price
                .map_or_else(String::new, |price| format!(" for {price:.2} {currency} net a month"))
        };
        let first = match &self.volume {
            Some(volume) => format!(
                "The volume has {} GB in {}{}.",
                volume.size,
                volume.location.name,
                price(volume.size.into())
            ),
            None => format!("The volume will have {size} GB{}.", price(size)),
        };
        vec![first, "It stays when a machine goes, until `dockbridge volume delete`.".to_owned()]
    }
}

fn row(cells: impl Iterator<Item = String>) -> String {
    cells.map(|cell| format!("{cell:>10}")).collect()
}

#[expect(clippy::cast_precision_loss, reason = "prices are far below 2^52 millionths")]
fn units(micros: u64) -> f64 {
    micros as f64 / 1e6
}
