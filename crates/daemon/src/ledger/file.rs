//! The ledger's file. Several processes write to it: the daemon, image builds, `sweep`, `server
//! destroy`. Each change reads the file, changes it and writes it back under a kernel lock, so that
//! no entry is lost.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use machine::{Actor, Behalf, Books, Posting};

use super::Ledger;
use crate::end::EndCause;
use crate::json_file;

/// A change that could not be written, such as on a full disk: it is in memory only.
pub(super) struct Unwritten {
    pub(super) ledger: Ledger,
    pub(super) error: io::Error,
}

/// Receives the reports of a provider and enters each in the ledger in `directory_of` its profile,
/// or of no profile. A machine that hears nothing ends itself after `lease`. `default_reason` is
/// why something ends where the work that ends it has no [`Behalf`], such as the command that runs.
pub fn books_of(
    directory_of: impl Fn(Option<&str>) -> PathBuf + Send + Sync + 'static,
    lease: Duration,
    default_reason: impl Into<String>,
) -> Books {
    let lease = i64::try_from(lease.as_secs()).unwrap_or(i64::MAX);
    let by_default = EndCause::by(Actor::User, default_reason);
    Books::new(move |Posting { profile, event }| {
        let directory = directory_of(profile.as_deref());
        let cause = Behalf::current().map_or_else(|| by_default.clone(), EndCause::from);
        let written = change(&directory, None, |ledger| {
            ledger.post(&event, &cause, lease, Timestamp::now().as_second())
        });
        if let Err(Unwritten { error, .. }) = written {
            let directory = directory.display();
            tracing::warn!(%error, %directory, "the cost ledger could not be written");
        }
    })
}

/// A ledger that is missing or damaged is empty.
pub(super) fn read(directory: &Path) -> Ledger {
    json_file::read(&path(directory)).unwrap_or_default()
}

/// Changes the file, or `unwritten` where an earlier change could not be written.
pub(super) fn change(
    directory: &Path,
    unwritten: Option<Ledger>,
    change: impl FnOnce(&mut Ledger),
) -> Result<Ledger, Unwritten> {
    let lock = lock(directory);
    let before = unwritten.is_none().then(|| read(directory));
    let mut ledger = unwritten.or_else(|| before.clone()).unwrap_or_default();
    change(&mut ledger);
    if before.as_ref() == Some(&ledger) {
        return Ok(ledger);
    }
    match lock.and_then(|_lock| json_file::write(&path(directory), &ledger)) {
        Ok(()) => Ok(ledger),
        Err(error) => Err(Unwritten { ledger, error }),
    }
}

/// Held until the file is closed, for milliseconds.
fn lock(directory: &Path) -> io::Result<File> {
    std::fs::create_dir_all(directory)?;
    let lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(directory.join("ledger.lock"))?;
    lock.lock()?;
    Ok(lock)
}

fn path(directory: &Path) -> PathBuf {
    directory.join("ledger.json")
}
