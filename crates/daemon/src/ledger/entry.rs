//! Entries of the ledger: a server or a volume from its creation to its end, and its share of a
//! month's bill. Pure. Times are seconds since 1970, prices millionths of the currency.

use api::{Purpose, ServerBill, VolumeBill};
use jiff::Timestamp;
use machine::{Summary, VolumeSummary};
use serde::{Deserialize, Serialize};

use crate::end::EndCause;

pub(super) const HOUR: i64 = 3_600;

/// A server with its primary IP address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Server {
    pub(super) id: u64,
    name: String,
    server_type: String,
    location: String,
    pub(super) created: i64,
    /// When it was last known to exist.
    pub(super) seen: i64,
    /// Later than `seen` where it is an estimate.
    pub(super) ended: Option<i64>,
    /// `None` while the server exists, and in ledgers from before causes were recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<EndCause>,
    unit_seconds: i64,
    pub(super) hourly: u64,
    monthly: Option<u64>,
    /// The price list could not be read yet: the address is missing in the prices.
    #[serde(default)]
    lacks_address: bool,
    #[serde(default)]
    pub(super) purpose: Purpose,
}

/// A volume of one size: a volume that grew has one entry per size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Volume {
    pub(super) id: u64,
    name: String,
    pub(super) size: u64,
    location: String,
    since: i64,
    pub(super) seen: i64,
    pub(super) ended: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<EndCause>,
    pub(super) monthly: u64,
}

impl Server {
    /// `None` for a host that dockbridge does not pay for.
    pub(super) fn of(machine: &Summary, purpose: Purpose, now: i64) -> Option<Self> {
        let unit = machine.billed_unit_seconds?;
        Some(Self {
            id: machine.id?,
            name: machine.name.clone(),
            server_type: machine.server_type.clone().unwrap_or_default(),
            location: machine.location.clone().unwrap_or_default(),
            created: machine.created?,
            seen: now,
            ended: None,
            end: None,
            unit_seconds: i64::try_from(unit).unwrap_or(HOUR).max(1),
            hourly: micros(machine.price_hourly?),
            monthly: machine.price_monthly.map(micros),
            lacks_address: machine.currency.is_none(),
            purpose,
        })
    }

    /// The server exists, or its end was not seen: a later report of its deletion counts.
    pub(super) fn is_open(&self) -> bool {
        let is_unseen = self.end.as_ref().is_some_and(|end| end.actor.is_none());
        self.ended.is_none_or(|ended| ended > self.seen || is_unseen)
    }

    pub(super) fn exists(&mut self, now: i64) {
        (self.seen, self.ended, self.end) = (now, None, None);
    }

    /// The end was seen.
    pub(super) fn ends(&mut self, cause: &EndCause, now: i64) {
        if self.is_open() {
            (self.seen, self.ended) = (now, Some(now));
        }
        self.end = Some(cause.clone());
    }

    /// The end was not seen and is estimated, but never before the server was last seen.
    pub(super) fn ended_unseen(&mut self, estimate: i64, cause: EndCause) {
        (self.ended, self.end) = (Some(estimate.max(self.seen)), Some(cause));
    }

    /// Takes the prices of `priced`, an entry of a machine of the same type and location, if they
    /// were entered without a price list.
    pub(super) fn complete_price(&mut self, priced: &Server) {
        let kind = |server: &Server| (server.server_type.clone(), server.location.clone());
        if self.lacks_address && kind(self) == kind(priced) {
            (self.hourly, self.monthly) = (priced.hourly, priced.monthly);
            self.lacks_address = false;
        }
    }

    /// The share of the month from `begins` to `ends`; `None` if no hour began in it. A machine
    /// that was not seen for a lease is taken to have ended with it.
    pub(super) fn bill(
        &self,
        (begins, ends): (i64, i64),
        lease: i64,
        now: i64,
    ) -> Option<ServerBill> {
        let unseen =
            self.purpose == Purpose::Machine && self.ended.is_none() && now - self.seen > lease;
        let until =
            if unseen { self.seen.saturating_add(lease) } else { self.ended.unwrap_or(now) };
        let lived = until.saturating_sub(self.created).max(1);
        let units = started(lived, self.unit_seconds);
        let before = |moment: i64| started(moment - self.created, self.unit_seconds);
        let first = before(begins).clamp(0, units);
        let hours =
            u64::try_from(before(ends).clamp(0, units) - first).ok().filter(|hours| *hours > 0)?;
        let cost = hours.saturating_mul(self.hourly);
        Some(ServerBill {
            id: self.id,
            name: self.name.clone(),
            server_type: self.server_type.clone(),
            location: self.location.clone(),
            from: timestamp(self.created),
            until: (unseen || self.ended.is_some()).then(|| timestamp(until)),
            estimated: unseen || (self.ended.is_some() && self.is_open()),
            end: self.end.clone(),
            purpose: self.purpose,
            hours,
            hourly: money(self.hourly),
            cost: money(self.monthly.map_or(cost, |most| cost.min(most))),
        })
    }
}

impl Volume {
    /// `since` is when this size began to bill.
    pub(super) fn of(volume: &VolumeSummary, since: i64, now: i64) -> Self {
        Self {
            id: volume.id,
            name: volume.name.clone(),
            size: volume.size,
            location: volume.location.clone(),
            since,
            seen: now,
            ended: None,
            end: None,
            monthly: micros(volume.price_monthly.unwrap_or(0.0)),
        }
    }

    pub(super) fn ends(&mut self, ended: i64, cause: EndCause) {
        (self.ended, self.end) = (Some(ended), Some(cause));
    }

    pub(super) fn bill(&self, (begins, ends): (i64, i64), now: i64) -> Option<VolumeBill> {
        let (from, until) = (self.since.max(begins), self.ended.unwrap_or(now).min(ends));
        let seconds = until - from;
        if self.since >= ends || seconds < 0 || (seconds == 0 && self.since != from) {
            return None;
        }
        let hours = u64::try_from(started(seconds, HOUR)).unwrap_or(0).max(1);
        let in_month = u64::try_from((ends - begins) / HOUR).unwrap_or(1).max(1);
        let cost =
            u128::from(self.monthly) * u128::from(hours.min(in_month)) / u128::from(in_month);
        Some(VolumeBill {
            id: self.id,
            name: self.name.clone(),
            size: self.size,
            location: self.location.clone(),
            hours,
            end: self.end.clone(),
            monthly: money(self.monthly),
            cost: money(u64::try_from(cost).unwrap_or(u64::MAX)),
        })
    }
}

/// Units of time that have started after so many seconds.
fn started(seconds: i64, unit: i64) -> i64 {
    seconds.div_euclid(unit) + i64::from(seconds % unit != 0)
}

fn timestamp(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "prices are small and positive"
)]
pub(super) fn micros(price: f64) -> u64 {
    (price * 1e6).round() as u64
}

#[expect(clippy::cast_precision_loss, reason = "bills are far below 2^52 millionths")]
pub(crate) fn money(micros: u64) -> f64 {
    micros as f64 / 1e6
}
