//! The ledger of a running daemon, with the user's budget.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use lifecycle::Budget;
use machine::Summary;

use super::entry::{micros, money};
use super::file::{self, Unwritten};
use super::{Ledger, Month};
use crate::end::EndCause;

/// The ledger of a running daemon, with the user's budget.
#[derive(Debug)]
pub(crate) struct Accounts {
    directory: PathBuf,
    ledger: Ledger,
    /// The file holds what is in memory.
    is_written: bool,
    /// Seconds after which a machine that hears nothing ends itself.
    lease: i64,
    /// For a month, in millionths.
    limit: Option<u64>,
}

impl Accounts {
    pub(crate) fn open(directory: &Path, lease: std::time::Duration, limit: Option<u64>) -> Self {
        let lease = i64::try_from(lease.as_secs()).unwrap_or(i64::MAX);
        Self {
            directory: directory.to_owned(),
            ledger: Ledger::load(directory),
            is_written: true,
            lease,
            limit,
        }
    }

    /// The budget that holds from now on.
    pub(crate) fn set_limit(&mut self, limit: Option<u64>) {
        self.limit = limit;
    }

    pub(crate) fn machine_exists(&mut self, machine: &Summary, now: Timestamp) {
        let lease = self.lease;
        self.change(|ledger| ledger.machine_exists(machine, lease, now.as_second()));
    }

    /// One server was deleted; nothing is known of others.
    pub(crate) fn server_ended(&mut self, id: u64, cause: &EndCause, now: Timestamp) {
        self.change(|ledger| ledger.server_ended(id, cause, now.as_second()));
    }

    /// No machine of the profile exists any more, as of now.
    pub(crate) fn machines_ended(&mut self, cause: &EndCause, now: Timestamp) {
        self.change(|ledger| ledger.machines_ended(cause, now.as_second()));
    }

    /// No machine of the profile exists any more; when it ended is not known.
    pub(crate) fn machines_ended_unseen(&mut self, cause: &EndCause, now: Timestamp) {
        let lease = self.lease;
        self.change(|ledger| ledger.machines_ended_unseen(cause, lease, now.as_second()));
    }

    /// The month's budget and what of it is spent.
    pub(crate) fn budget(&self, now: Timestamp) -> Option<Budget> {
        let spent = micros(self.ledger.bill(Month::of(now), self.lease, now).total);
        Some(Budget {
            limit: self.limit?,
            spent,
            next_unit: self.ledger.last_hourly().unwrap_or(0),
        })
    }

    /// Why no machine may be created now, human-readable. What other processes entered counts.
    pub(crate) fn refusal(&mut self, now: Timestamp) -> Option<String> {
        if self.is_written {
            self.ledger = Ledger::load(&self.directory);
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

    /// Other processes write to the same file: image builds, `sweep`, `server destroy`.
    fn change(&mut self, change: impl FnOnce(&mut Ledger)) {
        let unwritten = (!self.is_written).then(|| self.ledger.clone());
        match file::change(&self.directory, unwritten, change) {
            Ok(ledger) => (self.ledger, self.is_written) = (ledger, true),
            Err(Unwritten { ledger, error }) => {
                tracing::warn!(%error, "the cost ledger could not be written");
                (self.ledger, self.is_written) = (ledger, false);
            }
        }
    }
}
