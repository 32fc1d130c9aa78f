//! What one daemon leaves to the next, and to a person while the cloud is away: the machine that
//! was seen last, and that somebody wants it gone. All of it may be lost; what exists is asked of
//! the cloud.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use machine::Summary;
use serde::{Deserialize, Serialize};

use crate::kept_file;

/// A machine as it was seen last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastKnown {
    /// What it was then.
    pub machine: Summary,
    /// Seconds since 1970 when it last answered.
    pub seen: i64,
}

impl LastKnown {
    /// What is kept in a profile's folder; `None` if no machine was seen, or its end was.
    pub fn load(folder: &Path) -> Option<Self> {
        kept_file::read(&machine_file(folder))
    }

    /// How long ago, in seconds.
    pub fn age_seconds(&self, now: Timestamp) -> u64 {
        u64::try_from(now.as_second().saturating_sub(self.seen)).unwrap_or(0)
    }
}

/// The files of one profile.
#[derive(Debug, Clone)]
pub(crate) struct Remembered(PathBuf);

/// A person's order that outlives the daemon that was given it.
#[derive(Serialize, Deserialize)]
struct Wanted {
    /// Seconds since 1970.
    since: i64,
}

impl Remembered {
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    pub(crate) fn machine(&self) -> Option<LastKnown> {
        LastKnown::load(&self.0)
    }

    /// It answers.
    pub(crate) fn sees(&self, last: &LastKnown) {
        self.kept(kept_file::write(&machine_file(&self.0), last));
    }

    /// It is known to be gone, and with it whatever was wanted of it.
    pub(crate) fn gone(&self) {
        self.kept(removed(&machine_file(&self.0)));
        self.wants_it_no_more();
    }

    /// A person wants the machine gone.
    pub(crate) fn wants_it_gone(&self, now: Timestamp) {
        self.kept(kept_file::write(&wanted_file(&self.0), &Wanted { since: now.as_second() }));
    }

    /// It is, or somebody has come who needs it.
    pub(crate) fn wants_it_no_more(&self) {
        self.kept(removed(&wanted_file(&self.0)));
    }

    pub(crate) fn is_wanted_gone(&self) -> bool {
        kept_file::read::<Wanted>(&wanted_file(&self.0)).is_some()
    }

    fn kept(&self, written: std::io::Result<()>) {
        if let Err(error) = written {
            tracing::warn!(%error, folder = %self.0.display(), "what is known of the machine could \
                not be kept");
        }
    }
}

fn machine_file(folder: &Path) -> PathBuf {
    folder.join("machine.json")
}

fn wanted_file(folder: &Path) -> PathBuf {
    folder.join("destroy.json")
}

fn removed(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use machine::ServerStatus;

    use super::*;

    fn last(seen: i64) -> LastKnown {
        let machine = Summary {
            id: Some(7),
            name: "m".to_owned(),
            address: None,
            status: ServerStatus::Running,
            busy: false,
            server_type: None,
            location: None,
            created: None,
            price_hourly: None,
            price_monthly: None,
            currency: None,
            billed_unit_seconds: None,
            volume: None,
            image: None,
        };
        LastKnown { machine, seen }
    }

    #[test]
    fn the_next_daemon_knows_the_machine_until_its_end_was_seen() {
        let folder = tempfile::tempdir().unwrap();
        let files = Remembered::in_folder(folder.path());
        assert_eq!(files.machine(), None);
        files.sees(&last(100));
        files.sees(&last(130));
        assert_eq!(LastKnown::load(folder.path()), Some(last(130)));
        assert_eq!(last(130).age_seconds(Timestamp::from_second(200).unwrap()), 70);
        assert_eq!(
            last(130).age_seconds(Timestamp::from_second(20).unwrap()),
            0,
            "the calendar was set back"
        );
        files.gone();
        assert_eq!(files.machine(), None);
    }

    #[test]
    fn a_wish_to_have_it_gone_ends_with_the_machine_or_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let files = Remembered::in_folder(folder.path());
        for end in [Remembered::gone, Remembered::wants_it_no_more] {
            assert!(!files.is_wanted_gone());
            files.wants_it_gone(Timestamp::UNIX_EPOCH);
            assert!(Remembered::in_folder(folder.path()).is_wanted_gone());
            end(&files);
        }
        assert!(!files.is_wanted_gone());
        std::fs::write(folder.path().join("destroy.json"), b"{").unwrap();
        assert!(!files.is_wanted_gone(), "half a file is no order");
    }
}
