//! What ran when, and what it costs by the cloud's own prices. Pure but for the file at the end.
//!
//! A server is billed by started hours from its creation, its address with it, and never more than
//! the price of a month in a month. A volume is billed by the month, for the hours that it existed.
//! Months are those of UTC.

mod accounts;
mod bill;
mod file;

use std::path::Path;

use jiff::Timestamp;
use machine::{Billed, Summary, VolumeSummary};
use serde::{Deserialize, Serialize};

pub(crate) use self::accounts::Accounts;
pub use self::bill::{Bill, Month, ServerBill, VolumeBill};
pub use self::file::books_of;

const HOUR: i64 = 3_600;
/// Entries are kept for so long after their end, in seconds: two years.
const KEPT_FOR: i64 = 2 * 366 * 24 * HOUR;

/// Everything that was seen to run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    currency: Option<String>,
    servers: Vec<Server>,
    volumes: Vec<Volume>,
}

/// A server with its address. Times in seconds since 1970, money in millionths.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Server {
    id: u64,
    name: String,
    server_type: String,
    location: String,
    created: i64,
    seen: i64,
    ended: Option<i64>,
    unit_seconds: i64,
    hourly: u64,
    monthly: Option<u64>,
    /// The price list could not be read yet: the address is missing in the prices.
    #[serde(default)]
    lacks_address: bool,
    #[serde(default)]
    purpose: Purpose,
}

/// What a server is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The machine of a profile, which has a lease.
    #[default]
    Machine,
    /// An image is built on it. It has no lease: it bills until it is deleted.
    ImageBuilder,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Volume {
    id: u64,
    name: String,
    size: u64,
    location: String,
    since: i64,
    seen: i64,
    ended: Option<i64>,
    monthly: u64,
}

impl Ledger {
    /// What is kept in a profile's folder. One that is missing or was damaged is empty.
    pub fn load(folder: &Path) -> Self {
        file::read(folder)
    }

    /// A machine is there now. One that was there before it and was not seen to end is taken to
    /// have ended with its lease.
    fn sees(&mut self, machine: &Summary, lease: i64, now: i64) {
        let Some(id) = machine.id else { return };
        for other in self.machines().filter(|server| server.id != id && server.ended.is_none()) {
            other.ended = Some(other.seen.saturating_add(lease));
        }
        self.enters(machine, Purpose::Machine, now);
        if let Some(volume) = &machine.volume {
            self.sees_volume(volume, now);
        }
    }

    /// Machines, whose ends are known by their leases.
    fn machines(&mut self) -> impl Iterator<Item = &mut Server> {
        self.servers.iter_mut().filter(|server| server.purpose == Purpose::Machine)
    }

    /// A server is there now. Nothing follows for others.
    fn enters(&mut self, machine: &Summary, purpose: Purpose, now: i64) {
        let (Some(id), Some(created), Some(hourly), Some(unit)) =
            (machine.id, machine.created, machine.price_hourly, machine.billed_unit_seconds)
        else {
            return;
        };
        self.currency = machine.currency.clone().or(self.currency.take());
        match self.servers.iter_mut().find(|server| server.id == id) {
            Some(server) => (server.seen, server.ended) = (now, None),
            None => self.servers.push(Server {
                id,
                name: machine.name.clone(),
                server_type: machine.server_type.clone().unwrap_or_default(),
                location: machine.location.clone().unwrap_or_default(),
                created,
                seen: now,
                ended: None,
                unit_seconds: i64::try_from(unit).unwrap_or(HOUR).max(1),
                hourly: micros(hourly),
                monthly: machine.price_monthly.map(micros),
                lacks_address: machine.currency.is_none(),
                purpose,
            }),
        }
        if machine.currency.is_some() {
            self.completes_prices(machine, hourly);
        }
        self.servers.retain(|server| server.ended.is_none_or(|ended| now - ended < KEPT_FOR));
        self.volumes.retain(|volume| volume.ended.is_none_or(|ended| now - ended < KEPT_FOR));
    }

    /// The price list can be read: what was entered without it, and is like this machine, costs as
    /// much as it does.
    fn completes_prices(&mut self, machine: &Summary, hourly: f64) {
        let alike = |server: &Server| {
            let kind = (machine.server_type.as_deref(), machine.location.as_deref());
            (Some(server.server_type.as_str()), Some(server.location.as_str())) == kind
        };
        for server in self.servers.iter_mut().filter(|server| server.lacks_address && alike(server))
        {
            (server.hourly, server.monthly) = (micros(hourly), machine.price_monthly.map(micros));
            server.lacks_address = false;
        }
    }

    /// One server is there no more. An end that was estimated until now gives way to this one.
    fn one_ends(&mut self, id: u64, now: i64) {
        let is_open = |server: &Server| server.ended.is_none_or(|ended| ended > server.seen);
        for server in self.servers.iter_mut().filter(|server| server.id == id && is_open(server)) {
            (server.seen, server.ended) = (now, Some(now));
        }
    }

    /// A volume is there no more.
    fn volume_ends(&mut self, id: u64, now: i64) {
        if let Some(volume) = self.volumes.iter_mut().rfind(|volume| volume.id == id) {
            (volume.seen, volume.ended) = (now, Some(now));
        }
    }

    /// What the provider reports, for a lease of so many seconds.
    fn posts(&mut self, event: &Billed, lease: i64, now: i64) {
        match event {
            Billed::Server { server, builds_image: true } => {
                self.enters(server, Purpose::ImageBuilder, now)
            }
            Billed::Server { server, builds_image: false } => self.sees(server, lease, now),
            Billed::ServerGone { server, builds_image } => {
                let purpose = if *builds_image { Purpose::ImageBuilder } else { Purpose::Machine };
                let ended = server
                    .id
                    .and_then(|id| self.servers.iter().find(|known| known.id == id))
                    .and_then(|known| known.ended);
                // Its end may have been seen by another process, sooner.
                if ended.is_none() {
                    self.enters(server, purpose, now);
                }
                if let Some(id) = server.id {
                    self.one_ends(id, now);
                }
            }
            Billed::Volume(volume) => self.sees_volume(volume, now),
            Billed::VolumeGone(id) => self.volume_ends(*id, now),
            Billed::Only { servers, volumes } => self.keeps_only(servers, volumes, lease, now),
        }
    }

    /// All that exists is known. What is gone went unseen, at the latest now; a machine ends with
    /// its lease.
    fn keeps_only(&mut self, servers: &[u64], volumes: &[u64], lease: i64, now: i64) {
        for server in self
            .servers
            .iter_mut()
            .filter(|server| server.ended.is_none() && !servers.contains(&server.id))
        {
            let until = if server.purpose == Purpose::Machine {
                server.seen.saturating_add(lease).min(now)
            } else {
                now
            };
            server.ended = Some(until.max(server.seen));
        }
        for volume in self
            .volumes
            .iter_mut()
            .filter(|volume| volume.ended.is_none() && !volumes.contains(&volume.id))
        {
            volume.ended = Some(now);
        }
    }

    fn sees_volume(&mut self, volume: &VolumeSummary, now: i64) {
        let monthly = micros(volume.price_monthly.unwrap_or(0.0));
        // A profile has one volume: another one means that the former is gone.
        for other in self.volumes.iter_mut().filter(|known| {
            (known.id, known.size) != (volume.id, volume.size) && known.ended.is_none()
        }) {
            other.ended = Some(if other.id == volume.id { now } else { other.seen });
        }
        let has_grown = self.volumes.iter().any(|known| known.id == volume.id);
        match self
            .volumes
            .iter_mut()
            .find(|known| (known.id, known.size) == (volume.id, volume.size))
        {
            Some(known) => {
                (known.seen, known.ended) = (now, None);
                if known.monthly == 0 {
                    known.monthly = monthly;
                }
            }
            None => self.volumes.push(Volume {
                id: volume.id,
                name: volume.name.clone(),
                size: volume.size,
                location: volume.location.clone(),
                since: if has_grown { now } else { volume.created.unwrap_or(now) },
                seen: now,
                ended: None,
                monthly,
            }),
        }
    }

    /// No machine is there any more.
    fn ends(&mut self, now: i64) {
        for server in self.machines().filter(|server| server.ended.is_none()) {
            (server.seen, server.ended) = (now, Some(now));
        }
    }

    /// No machine is there any more, and nobody saw it go: its end is taken for that of its lease,
    /// if that is over.
    fn loses(&mut self, lease: i64, now: i64) {
        for server in self.machines().filter(|server| server.ended.is_none()) {
            server.ended = Some(server.seen.saturating_add(lease).min(now).max(server.seen));
        }
    }

    /// What a month costs so far, for a lease of so many seconds.
    pub fn bill(&self, month: Month, lease: i64, now: Timestamp) -> Bill {
        let now = now.as_second();
        let (begins, ends) = month.bounds();
        let servers: Vec<ServerBill> = self
            .servers
            .iter()
            .filter_map(|server| server.bill((begins, ends), lease, now))
            .collect();
        let volumes: Vec<VolumeBill> =
            self.volumes.iter().filter_map(|volume| volume.bill((begins, ends), now)).collect();
        // From 0.0: the sum of no numbers at all is -0.0.
        let total = servers
            .iter()
            .map(|server| server.cost)
            .chain(volumes.iter().map(|volume| volume.cost))
            .fold(0.0, |sum, cost| sum + cost);
        let currency = self.currency.clone().unwrap_or_else(|| "EUR".to_owned());
        Bill { month: month.to_string(), currency, total, servers, volumes }
    }

    /// What a started hour of the last server cost.
    fn last_hourly(&self) -> Option<u64> {
        self.servers
            .iter()
            .rfind(|server| server.purpose == Purpose::Machine)
            .map(|server| server.hourly)
    }
}

impl Server {
    fn bill(&self, (begins, ends): (i64, i64), lease: i64, now: i64) -> Option<ServerBill> {
        let unheard =
            self.purpose == Purpose::Machine && self.ended.is_none() && now - self.seen > lease;
        let until =
            if unheard { self.seen.saturating_add(lease) } else { self.ended.unwrap_or(now) };
        let lived = until.saturating_sub(self.created).max(1);
        let units = lived.div_euclid(self.unit_seconds) + i64::from(lived % self.unit_seconds != 0);
        let before = |moment: i64| {
            (moment - self.created).div_euclid(self.unit_seconds)
                + i64::from((moment - self.created) % self.unit_seconds != 0)
        };
        let first = before(begins).clamp(0, units);
        let hours =
            u64::try_from(before(ends).clamp(0, units) - first).ok().filter(|hours| *hours > 0)?;
        let cost = hours.saturating_mul(self.hourly);
        let at = |second| Timestamp::from_second(second).unwrap_or(Timestamp::MAX);
        Some(ServerBill {
            id: self.id,
            name: self.name.clone(),
            server_type: self.server_type.clone(),
            location: self.location.clone(),
            from: at(self.created),
            until: (unheard || self.ended.is_some()).then(|| at(until)),
            estimated: unheard || self.ended.is_some_and(|ended| ended > self.seen),
            purpose: self.purpose,
            hours,
            hourly: money(self.hourly),
            cost: money(self.monthly.map_or(cost, |most| cost.min(most))),
        })
    }
}

impl Volume {
    fn bill(&self, (begins, ends): (i64, i64), now: i64) -> Option<VolumeBill> {
        let (from, until) = (self.since.max(begins), self.ended.unwrap_or(now).min(ends));
        let seconds = until - from;
        if self.since >= ends || seconds < 0 || (seconds == 0 && self.since != from) {
            return None;
        }
        let hours =
            u64::try_from(seconds / HOUR + i64::from(seconds % HOUR != 0)).unwrap_or(0).max(1);
        let in_month = u64::try_from((ends - begins) / HOUR).unwrap_or(1).max(1);
        let cost =
            u128::from(self.monthly) * u128::from(hours.min(in_month)) / u128::from(in_month);
        Some(VolumeBill {
            id: self.id,
            name: self.name.clone(),
            size: self.size,
            location: self.location.clone(),
            hours,
            monthly: money(self.monthly),
            cost: money(u64::try_from(cost).unwrap_or(u64::MAX)),
        })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "prices are small and positive"
)]
fn micros(price: f64) -> u64 {
    (price * 1e6).round() as u64
}

#[expect(clippy::cast_precision_loss, reason = "bills are far below 2^52 millionths")]
pub(crate) fn money(micros: u64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests;
