//! What a month costs, as it is printed.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde::{Deserialize, Serialize};

use crate::end::EndCause;

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

/// A month of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Month {
    first: Date,
}

/// What a month costs, net, in the currency of the project.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bill {
    /// Such as `2026-11`.
    pub month: String,
    /// ISO 4217.
    pub currency: String,
    /// Servers and volumes together.
    pub total: f64,
    /// Servers with their addresses, oldest first.
    pub servers: Vec<ServerBill>,
    /// Volumes.
    pub volumes: Vec<VolumeBill>,
}

/// What a server costs in a month.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServerBill {
    /// The cloud's id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Such as `cx23`.
    pub server_type: String,
    /// Such as `fsn1`.
    pub location: String,
    /// When it was created.
    pub from: Timestamp,
    /// When it ended; `None` while it exists.
    pub until: Option<Timestamp>,
    /// Its end was not seen, and `until` is the end of its lease.
    pub estimated: bool,
    /// Who ended it and why; `None` while it exists, and if the ledger does not say.
    pub end: Option<EndCause>,
    /// What it is for.
    pub purpose: Purpose,
    /// Hours that began in the month.
    pub hours: u64,
    /// Price of one, address included.
    pub hourly: f64,
    /// Price of all of them.
    pub cost: f64,
}

/// What a volume costs in a month.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VolumeBill {
    /// The cloud's id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// GB.
    pub size: u64,
    /// Such as `fsn1`.
    pub location: String,
    /// Hours of the month for which it existed so far.
    pub hours: u64,
    /// Who deleted it and why; `None` while it exists, and if the ledger does not say.
    pub end: Option<EndCause>,
    /// Price of a month.
    pub monthly: f64,
    /// Its share so far.
    pub cost: f64,
}

impl Month {
    /// The month of a moment.
    pub fn of(moment: Timestamp) -> Self {
        Self { first: moment.to_zoned(TimeZone::UTC).date().first_of_month() }
    }

    /// From `2026-11`.
    pub fn parse(text: &str) -> Option<Self> {
        let (year, month) =
            text.split_once('-').filter(|(year, month)| year.len() == 4 && month.len() == 2)?;
        Some(Self { first: Date::new(year.parse().ok()?, month.parse().ok()?, 1).ok()? })
    }

    /// Its first second and that of the next, since 1970.
    pub(super) fn bounds(self) -> (i64, i64) {
        let second = |date: Date| {
            date.to_zoned(TimeZone::UTC).map_or(i64::MAX, |zoned| zoned.timestamp().as_second())
        };
        (second(self.first), self.first.checked_add(1.month()).map_or(i64::MAX, second))
    }
}

impl std::fmt::Display for Month {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}", self.first.year(), self.first.month())
    }
}
