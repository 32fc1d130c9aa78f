//! The cost ledger: which servers and volumes existed when, who ended them and why, and what a
//! month costs by the cloud's own prices. Pure, except for the file.
//!
//! The cloud bills a server, with its primary IP address, by started hours from its creation, and
//! never more than the price of a month in a month. It bills a volume by the month, for the hours
//! that it existed. Months are those of UTC.

mod accounts;
mod entry;
mod file;
mod month;

use std::path::Path;

use api::{Bill, Purpose, ServerBill, VolumeBill};
use jiff::Timestamp;
use machine::{Billed, Summary, VolumeSummary};
use serde::{Deserialize, Serialize};

pub(crate) use self::accounts::Accounts;
pub(crate) use self::entry::money;
use self::entry::{HOUR, Server, Volume, micros};
pub use self::file::books_of;
pub use self::month::Month;
use crate::end::EndCause;

/// Entries are kept for this long after their end, in seconds: two years.
const KEPT_FOR: i64 = 2 * 366 * 24 * HOUR;

/// Servers and volumes of one profile, as this computer saw them. Times are seconds since 1970; a
/// `lease` is the seconds after which a machine that hears nothing ends itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    currency: Option<String>,
    servers: Vec<Server>,
    volumes: Vec<Volume>,
}

impl Ledger {
    /// The ledger in a profile's directory; empty if the file is missing or damaged.
    pub fn load(directory: &Path) -> Self {
        file::read(directory)
    }

    /// A machine exists now. An earlier one whose end was not seen is taken to have ended with its
    /// lease.
    pub fn machine_exists(&mut self, machine: &Summary, lease: i64, now: i64) {
        let Some(id) = machine.id else { return };
        let replaced =
            EndCause::unseen(format!("{} took its place; its end was not seen", machine.name));
        for other in self.machines().filter(|server| server.id != id && server.ended.is_none()) {
            other.ended_unseen(other.seen.saturating_add(lease), replaced.clone());
        }
        self.server_exists(machine, Purpose::Machine, now);
        if let Some(volume) = &machine.volume {
            self.volume_exists(volume, now);
        }
    }

    /// Servers with a lease, by which an unseen end can be estimated.
    fn machines(&mut self) -> impl Iterator<Item = &mut Server> {
        self.servers.iter_mut().filter(|server| server.purpose == Purpose::Machine)
    }

    /// Says nothing about other servers.
    fn server_exists(&mut self, machine: &Summary, purpose: Purpose, now: i64) {
        let Some(entry) = Server::of(machine, purpose, now) else { return };
        self.currency = machine.currency.clone().or(self.currency.take());
        if machine.currency.is_some() {
            // What was entered while the price list could not be read costs as much.
            self.servers.iter_mut().for_each(|server| server.complete_price(&entry));
        }
        match self.servers.iter_mut().find(|server| server.id == entry.id) {
            Some(server) => server.exists(now),
            None => self.servers.push(entry),
        }
        self.servers.retain(|server| server.ended.is_none_or(|ended| now - ended < KEPT_FOR));
        self.volumes.retain(|volume| volume.ended.is_none_or(|ended| now - ended < KEPT_FOR));
    }

    /// A server was deleted. This replaces an estimated end; after an end that was seen, it
    /// corrects the cause only.
    pub fn server_ended(&mut self, id: u64, cause: &EndCause, now: i64) {
        for server in self.servers.iter_mut().filter(|server| server.id == id) {
            server.ends(cause, now);
        }
    }

    /// No machine of the profile exists any more, as of now.
    pub fn machines_ended(&mut self, cause: &EndCause, now: i64) {
        for server in self.machines().filter(|server| server.ended.is_none()) {
            server.ends(cause, now);
        }
    }

    /// No machine of the profile exists any more, and its end was not seen: it ended with its
    /// lease, or now if the lease is not over.
    pub fn machines_ended_unseen(&mut self, cause: &EndCause, lease: i64, now: i64) {
        for server in self.machines().filter(|server| server.ended.is_none()) {
            server.ended_unseen(server.seen.saturating_add(lease).min(now), cause.clone());
        }
    }

    /// A report of the provider. `cause` is the actor and reason of the work that made it, for a
    /// deletion.
    pub fn post(&mut self, event: &Billed, cause: &EndCause, lease: i64, now: i64) {
        match event {
            Billed::Server { server, builds_image: true } => {
                self.server_exists(server, Purpose::ImageBuilder, now)
            }
            Billed::Server { server, builds_image: false } => {
                self.machine_exists(server, lease, now)
            }
            Billed::ServerGone { server, builds_image } => {
                let purpose = if *builds_image { Purpose::ImageBuilder } else { Purpose::Machine };
                let Some(id) = server.id else { return };
                let known = self.servers.iter().find(|known| known.id == id);
                // Another process may have seen its end earlier, with the cause.
                if known.is_some_and(|known| !known.is_open()) {
                    return;
                }
                if known.is_none_or(|known| known.ended.is_none()) {
                    self.server_exists(server, purpose, now);
                }
                self.server_ended(id, cause, now);
            }
            Billed::Volume(volume) => self.volume_exists(volume, now),
            Billed::VolumeGone(id) => {
                if let Some(volume) = self.volumes.iter_mut().rfind(|volume| volume.id == *id) {
                    volume.ends(now, cause.clone());
                    volume.seen = now;
                }
            }
            Billed::Only { servers, volumes } => self.only_exist(servers, volumes, lease, now),
        }
    }

    /// Ends all entries but these. Their ends were not seen and are now at the latest; a machine
    /// ended with its lease if that is over.
    fn only_exist(&mut self, servers: &[u64], volumes: &[u64], lease: i64, now: i64) {
        let cause = EndCause::unseen("it was gone when the cloud was asked".to_owned());
        for server in self
            .servers
            .iter_mut()
            .filter(|server| server.ended.is_none() && !servers.contains(&server.id))
        {
            let estimate = match server.purpose {
                Purpose::Machine => server.seen.saturating_add(lease).min(now),
                Purpose::ImageBuilder => now,
            };
            server.ended_unseen(estimate, cause.clone());
        }
        for volume in self
            .volumes
            .iter_mut()
            .filter(|volume| volume.ended.is_none() && !volumes.contains(&volume.id))
        {
            volume.ends(now, cause.clone());
        }
    }

    fn volume_exists(&mut self, volume: &VolumeSummary, now: i64) {
        // A profile has one volume: another one means that the former is gone.
        for other in self.volumes.iter_mut().filter(|known| {
            (known.id, known.size) != (volume.id, volume.size) && known.ended.is_none()
        }) {
            if other.id == volume.id {
                let grown = format!("it was resized to {} GB", volume.size);
                other.ends(now, EndCause::unseen(grown));
            } else {
                let replaced = format!("{} took its place; its end was not seen", volume.name);
                other.ends(other.seen, EndCause::unseen(replaced));
            }
        }
        let has_grown = self.volumes.iter().any(|known| known.id == volume.id);
        match self
            .volumes
            .iter_mut()
            .find(|known| (known.id, known.size) == (volume.id, volume.size))
        {
            Some(known) => {
                (known.seen, known.ended, known.end) = (now, None, None);
                if known.monthly == 0 {
                    known.monthly = micros(volume.price_monthly.unwrap_or(0.0));
                }
            }
            None => {
                let since = if has_grown { now } else { volume.created.unwrap_or(now) };
                self.volumes.push(Volume::of(volume, since, now));
            }
        }
    }

    /// What a month costs so far.
    pub fn bill(&self, month: Month, lease: i64, now: Timestamp) -> Bill {
        let now = now.as_second();
        let bounds = month.bounds();
        let servers: Vec<ServerBill> =
            self.servers.iter().filter_map(|server| server.bill(bounds, lease, now)).collect();
        let volumes: Vec<VolumeBill> =
            self.volumes.iter().filter_map(|volume| volume.bill(bounds, now)).collect();
        // From 0.0: the sum of no numbers at all is -0.0.
        let total = servers
            .iter()
            .map(|server| server.cost)
            .chain(volumes.iter().map(|volume| volume.cost))
            .fold(0.0, |sum, cost| sum + cost);
        let currency = self.currency.clone().unwrap_or_else(|| "EUR".to_owned());
        Bill { month: month.to_string(), currency, total, servers, volumes }
    }

    /// What a server has cost in all its months, net, with the currency.
    pub(crate) fn server_cost(&self, id: u64, lease: i64, now: Timestamp) -> Option<(f64, &str)> {
        let server = self.servers.iter().find(|server| server.id == id)?;
        let (mut cost, mut second) = (0.0, server.created);
        while second <= now.as_second() {
            let bounds = Month::of(Timestamp::from_second(second).ok()?).bounds();
            let bill = server.bill(bounds, lease, now.as_second());
            cost += bill.map_or(0.0, |bill| bill.cost);
            second = bounds.1;
        }
        Some((cost, self.currency.as_deref().unwrap_or("EUR")))
    }

    /// The price of a started hour of the last machine, in millionths.
    fn last_hourly(&self) -> Option<u64> {
        self.servers
            .iter()
            .rfind(|server| server.purpose == Purpose::Machine)
            .map(|server| server.hourly)
    }
}

#[cfg(test)]
mod tests;
