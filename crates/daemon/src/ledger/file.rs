//! The ledger's file. Several processes write into it: the daemon, image builds, `sweep`, `server
//! destroy`. Each change reads the file, changes it and writes it back under a kernel lock, so that
//! no entry is lost.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use machine::{Books, Posting};

use super::Ledger;
use crate::kept_file;

/// A change that could not be written, such as on a full disk: it is in memory only.
pub(super) struct Unkept {
    pub(super) ledger: Ledger,
    pub(super) error: io::Error,
}

/// Where machines of a profile are reported: into the ledger in the folder that `folder_of` names
/// for the profile of a posting, or for none. `lease` is how long a machine lives unheard.
pub fn books_of(
    folder_of: impl Fn(Option<&str>) -> PathBuf + Send + Sync + 'static,
    lease: Duration,
) -> Books {
    let lease = i64::try_from(lease.as_secs()).unwrap_or(i64::MAX);
    Books::new(move |Posting { profile, event }| {
        let folder = folder_of(profile.as_deref());
        let kept = change(&folder, None, |ledger| {
            ledger.posts(&event, lease, Timestamp::now().as_second())
        });
        if let Err(Unkept { error, .. }) = kept {
            tracing::warn!(%error, folder = %folder.display(), "the cost ledger could not be kept");
        }
    })
}

/// What is kept; a file that is missing or was damaged is an empty ledger.
pub(super) fn read(folder: &Path) -> Ledger {
    kept_file::read(&path(folder)).unwrap_or_default()
}

/// Changes what is kept, or what is in `memory` where an earlier change could not be kept.
pub(super) fn change(
    folder: &Path,
    memory: Option<Ledger>,
    change: impl FnOnce(&mut Ledger),
) -> Result<Ledger, Unkept> {
    let lock = lock(folder);
    let before = memory.is_none().then(|| read(folder));
    let mut ledger = memory.or_else(|| before.clone()).unwrap_or_default();
    change(&mut ledger);
    if before.as_ref() == Some(&ledger) {
        return Ok(ledger);
    }
    match lock.and_then(|_lock| kept_file::write(&path(folder), &ledger)) {
        Ok(()) => Ok(ledger),
        Err(error) => Err(Unkept { ledger, error }),
    }
}

/// Held until the file is closed. Each holder is done within milliseconds.
fn lock(folder: &Path) -> io::Result<File> {
    std::fs::create_dir_all(folder)?;
    let lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(folder.join("ledger.lock"))?;
    lock.lock()?;
    Ok(lock)
}

fn path(folder: &Path) -> PathBuf {
    folder.join("ledger.json")
}
