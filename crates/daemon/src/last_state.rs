//! What one daemon leaves to the next, and to the user while the cloud does not answer: the machine
//! that last answered, and an order to destroy it. All of it may be lost: the cloud says what
//! exists.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use machine::Summary;
use serde::{Deserialize, Serialize};

use crate::json_file;

/// A machine as it last answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastKnown {
    /// What it was then.
    pub machine: Summary,
    /// Seconds since 1970 when it last answered.
    pub seen: i64,
}

impl LastKnown {
    /// From a profile's directory; `None` if no machine has answered, or its end is known.
    pub fn load(directory: &Path) -> Option<Self> {
        json_file::read(&machine_file(directory))
    }

    /// How long ago, in seconds.
    pub fn age_seconds(&self, now: Timestamp) -> u64 {
        u64::try_from(now.as_second().saturating_sub(self.seen)).unwrap_or(0)
    }
}

/// The files of one profile.
#[derive(Debug, Clone)]
pub(crate) struct LastState(PathBuf);

/// An order of the user that outlives the daemon that received it.
#[derive(Serialize, Deserialize)]
struct DestroyOrder {
    /// Seconds since 1970.
    since: i64,
}

impl LastState {
    pub(crate) fn in_directory(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    pub(crate) fn machine(&self) -> Option<LastKnown> {
        LastKnown::load(&self.0)
    }

    pub(crate) fn machine_answers(&self, last: &LastKnown) {
        self.report(json_file::write(&machine_file(&self.0), last));
    }

    /// The machine is known to be gone; an order to destroy it is carried out.
    pub(crate) fn machine_ended(&self) {
        self.report(remove(&machine_file(&self.0)));
        self.revoke_destroy();
    }

    /// The user orders the machine's end.
    pub(crate) fn order_destroy(&self, now: Timestamp) {
        let order = DestroyOrder { since: now.as_second() };
        self.report(json_file::write(&order_file(&self.0), &order));
    }

    /// The order is carried out, or a request needs the machine.
    pub(crate) fn revoke_destroy(&self) {
        self.report(remove(&order_file(&self.0)));
    }

    pub(crate) fn has_destroy_order(&self) -> bool {
        json_file::read::<DestroyOrder>(&order_file(&self.0)).is_some()
    }

    fn report(&self, written: std::io::Result<()>) {
        if let Err(error) = written {
            let directory = self.0.display();
            tracing::warn!(%error, %directory, "what is known of the machine could not be written");
        }
    }
}

fn machine_file(directory: &Path) -> PathBuf {
    directory.join("machine.json")
}

fn order_file(directory: &Path) -> PathBuf {
    directory.join("destroy.json")
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    fn last(seen: i64) -> LastKnown {
        LastKnown { machine: Summary::known_as("m", Some(7)), seen }
    }

    #[test]
    fn next_daemon_knows_the_machine_until_its_end_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let files = LastState::in_directory(directory.path());
        assert_eq!(files.machine(), None);
        files.machine_answers(&last(100));
        files.machine_answers(&last(130));
        assert_eq!(LastKnown::load(directory.path()), Some(last(130)));
        assert_eq!(last(130).age_seconds(Timestamp::from_second(200).unwrap()), 70);
        assert_eq!(
            last(130).age_seconds(Timestamp::from_second(20).unwrap()),
            0,
            "the calendar was set back"
        );
        files.machine_ended();
        assert_eq!(files.machine(), None);
    }

    #[test]
    fn order_to_destroy_ends_with_the_machine_or_is_revoked() {
        let directory = tempfile::tempdir().unwrap();
        let files = LastState::in_directory(directory.path());
        for end in [LastState::machine_ended, LastState::revoke_destroy] {
            assert!(!files.has_destroy_order());
            files.order_destroy(Timestamp::UNIX_EPOCH);
            assert!(LastState::in_directory(directory.path()).has_destroy_order());
            end(&files);
        }
        assert!(!files.has_destroy_order());
        std::fs::write(directory.path().join("destroy.json"), b"{").unwrap();
        assert!(!files.has_destroy_order(), "half a file is no order");
    }
}
