//! The ledger of a running daemon, with the user's budget.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use lifecycle::Budget;
use machine::Summary;

use super::file::{self, Unkept};
use super::{Ledger, Month, micros, money};

/// The ledger of a running daemon, with the person's budget.
#[derive(Debug)]
pub(crate) struct Accounts {
    folder: PathBuf,
    ledger: Ledger,
    /// The file has what is in memory.
    is_kept: bool,
    /// Seconds that a machine lives unheard.
    lease: i64,
    /// For a month, in millionths.
    limit: Option<u64>,
}

impl Accounts {
    pub(crate) fn open(folder: &Path, lease: std::time::Duration, limit: Option<u64>) -> Self {
        let lease = i64::try_from(lease.as_secs()).unwrap_or(i64::MAX);
        Self {
            folder: folder.to_owned(),
            ledger: Ledger::load(folder),
            is_kept: true,
            lease,
            limit,
        }
    }

    /// A machine is there now.
    pub(crate) fn sees(&mut self, machine: &Summary, now: Timestamp) {
        let lease = self.lease;
        self.change(|ledger| ledger.sees(machine, lease, now.as_second()));
    }

    /// One server is there no more; nothing is known of others.
    pub(crate) fn one_ends(&mut self, id: u64, now: Timestamp) {
        self.change(|ledger| ledger.one_ends(id, now.as_second()));
    }

    /// No machine is there any more.
    pub(crate) fn ends(&mut self, now: Timestamp) {
        self.change(|ledger| ledger.ends(now.as_second()));
    }

    /// No machine is there any more; when it went is not known.
    pub(crate) fn loses(&mut self, now: Timestamp) {
        let lease = self.lease;
        self.change(|ledger| ledger.loses(lease, now.as_second()));
    }

    /// How the month stands.
    pub(crate) fn budget(&self, now: Timestamp) -> Option<Budget> {
        let spent = micros(self.ledger.bill(Month::of(now), self.lease, now).total);
        Some(Budget {
            limit: self.limit?,
            spent,
            next_unit: self.ledger.last_hourly().unwrap_or(0),
        })
    }

    /// Why no machine may be made now, in words for a user. What other processes entered counts.
    pub(crate) fn refusal(&mut self, now: Timestamp) -> Option<String> {
        if self.is_kept {
            self.ledger = Ledger::load(&self.folder);
        }
        let budget = self.budget(now).filter(|budget| !budget.allows_another())?;
        let currency = self.ledger.currency.as_deref().unwrap_or("EUR");
        Some(format!(
            "another hour would exceed this month's budget: {:.2} of {:.2} {currency} are spent, \
             net; raise activity.budget, or wait for the next month",
            money(budget.spent),
            money(budget.limit)
        ))
    }

    /// Other processes write into the same file: image builds, `sweep`, `server destroy`.
    fn change(&mut self, change: impl FnOnce(&mut Ledger)) {
        match file::change(&self.folder, (!self.is_kept).then(|| self.ledger.clone()), change) {
            Ok(ledger) => (self.ledger, self.is_kept) = (ledger, true),
            Err(Unkept { ledger, error }) => {
                tracing::warn!(%error, "the cost ledger could not be kept");
                (self.ledger, self.is_kept) = (ledger, false);
            }
        }
    }
}
