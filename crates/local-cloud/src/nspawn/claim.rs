//! Which of the host's numbered places this local cloud has. Everything that a local cloud leaves
//! in the host's own view carries its number, so that what a dead one left can be told from what a
//! live one uses: the live one holds a lock. Knows nothing of machines.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::tool::{During, failure};
use crate::hypervisor::Failure;

const FOLDER: &str = "/run/dockbridge/local-cloud";

/// One third octet of an IPv4 address each.
const PLACES: u8 = 250;

/// A number and the names that follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(pub(super) u8);

impl Place {
    /// The bridge that the machines hang on.
    pub(super) fn bridge(self) -> String {
        format!("dbcloud{}", self.0)
    }

    /// The nft table (family inet).
    pub(super) fn table(self) -> String {
        format!("dockbridge_{}", self.0)
    }

    /// What the names of its machines begin with.
    pub(super) fn machine_prefix(self) -> String {
        format!("dbc{}-", self.0)
    }

    /// The host's own address on the bridge.
    pub(super) fn gateway(self) -> Ipv4Addr {
        self.address(1)
    }

    /// An address of this place.
    pub(super) fn address(self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.0, host)
    }

    /// The place that a name such as `dbcloud7` or `dockbridge_7` belongs to.
    pub(super) fn of(name: &str, prefix: &str) -> Option<Place> {
        name.strip_prefix(prefix)?.parse().ok().filter(|number| *number < PLACES).map(Place)
    }

    fn lock_file(self) -> PathBuf {
        Path::new(FOLDER).join(format!("{}.lock", self.0))
    }

    fn record_file(self) -> PathBuf {
        Path::new(FOLDER).join(format!("{}.json", self.0))
    }

    /// What the last holder wrote down.
    pub(super) fn record(self) -> Option<Record> {
        serde_json::from_slice(&std::fs::read(self.record_file()).ok()?).ok()
    }
}

/// What a local cloud writes down so that another can clear up behind it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// Its state folder: loop devices over files below it are its own.
    pub(super) state: PathBuf,
    pub(super) process: u32,
    pub(super) api_port: u16,
}

/// A place that nobody else has while this lives.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) place: Place,
    _lock: File,
}

impl Claim {
    /// Takes the first free place.
    pub(super) fn any() -> Result<Claim, Failure> {
        for number in 0..PLACES {
            if let Some(claim) = Claim::try_take(Place(number))? {
                return Ok(claim);
            }
        }
        Err(failure("take a place on this host", format!("{PLACES} local clouds run already")))
    }

    /// Takes this one, unless a live local cloud has it.
    pub(super) fn try_take(place: Place) -> Result<Option<Claim>, Failure> {
        std::fs::create_dir_all(FOLDER).during(format!("make {FOLDER}"))?;
        // Opened close-on-exec, so that no machine inherits the lock.
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(place.lock_file())
            .during("open the lock of a place")?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Claim { place, _lock: lock })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(failure("lock a place", error)),
        }
    }

    /// Writes down who has it.
    pub(super) fn write(&self, record: &Record) -> Result<(), Failure> {
        let text = serde_json::to_vec(record).during("write down the place")?;
        std::fs::write(self.place.record_file(), text).during("write down the place")
    }

    /// Nothing is left of it on the host.
    pub(super) fn forget(&self) {
        let _ = std::fs::remove_file(self.place.record_file());
    }
}

/// Places that ever had a holder since the host started.
pub(super) fn known() -> Vec<Place> {
    let entries = std::fs::read_dir(FOLDER).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Place::of(entry.file_name().to_str()?.strip_suffix(".lock")?, ""))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back_to_its_place_only() {
        let place = Place(17);
        assert_eq!(Place::of(&place.bridge(), "dbcloud"), Some(place));
        assert_eq!(Place::of(&place.table(), "dockbridge_"), Some(place));
        assert_eq!(Place::of("dbcloud", "dbcloud"), None);
        assert_eq!(Place::of("dbcloud999", "dbcloud"), None);
        assert_eq!(Place::of("docker0", "dbcloud"), None);
        assert!(!Place(1).machine_prefix().starts_with(&place.machine_prefix()));
        assert!(
            !place.machine_prefix().starts_with(&Place(1).machine_prefix()),
            "dbc1- is no \
            prefix of dbc17-"
        );
    }
}
