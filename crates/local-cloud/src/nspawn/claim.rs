//! Numbered slots of the host, one for each local cloud. Everything that a local cloud leaves on
//! the host carries its slot's number. The owner of a slot holds a lock, which distinguishes a
//! running local cloud from the remains of a dead one. Knows nothing of machines.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::tool::{During, failure};
use crate::hypervisor::Failure;

const DIRECTORY: &str = "/run/dockbridge/local-cloud";

/// Number of slots; each is the third octet of an IPv4 network.
const SLOTS: u8 = 250;

/// A slot's number and the names derived from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot(pub(super) u8);

impl Slot {
    /// The machines' bridge.
    pub(super) fn bridge(self) -> String {
        format!("dbcloud{}", self.0)
    }

    /// The nft table (family inet).
    pub(super) fn table(self) -> String {
        format!("dockbridge_{}", self.0)
    }

    /// Prefix of the machines' names.
    pub(super) fn machine_prefix(self) -> String {
        format!("dbc{}-", self.0)
    }

    /// The host's own address on the bridge.
    pub(super) fn gateway(self) -> Ipv4Addr {
        self.address(1)
    }

    /// An address in this slot's network.
    pub(super) fn address(self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.0, host)
    }

    /// The slot that a name such as `dbcloud7` or `dockbridge_7` belongs to.
    pub(super) fn of(name: &str, prefix: &str) -> Option<Slot> {
        name.strip_prefix(prefix)?.parse().ok().filter(|number| *number < SLOTS).map(Slot)
    }

    fn lock_file(self) -> PathBuf {
        Path::new(DIRECTORY).join(format!("{}.lock", self.0))
    }

    fn record_file(self) -> PathBuf {
        Path::new(DIRECTORY).join(format!("{}.json", self.0))
    }

    /// The record of its last owner.
    pub(super) fn record(self) -> Option<Record> {
        serde_json::from_slice(&std::fs::read(self.record_file()).ok()?).ok()
    }
}

/// What a local cloud records so that another one can clean up after it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// Its state directory: loop devices on files in it are its own.
    pub(super) state: PathBuf,
    pub(super) process: u32,
}

/// A slot that is locked while this value lives.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) slot: Slot,
    _lock: File,
}

impl Claim {
    /// Claims the first free slot.
    pub(super) fn any() -> Result<Claim, Failure> {
        for number in 0..SLOTS {
            if let Some(claim) = Claim::try_take(Slot(number))? {
                return Ok(claim);
            }
        }
        Err(failure(
            "claim a slot on this host",
            format!("{SLOTS} local clouds are running already"),
        ))
    }

    /// Claims this slot, unless a running local cloud has it.
    pub(super) fn try_take(slot: Slot) -> Result<Option<Claim>, Failure> {
        std::fs::create_dir_all(DIRECTORY).during(format!("make {DIRECTORY}"))?;
        // Opened close-on-exec, so that no machine inherits the lock.
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(slot.lock_file())
            .during("open the lock of a slot")?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Claim { slot, _lock: lock })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(failure("lock a slot", error)),
        }
    }

    /// Records the owner.
    pub(super) fn write(&self, record: &Record) -> Result<(), Failure> {
        let text = serde_json::to_vec(record).during("record the slot's owner")?;
        std::fs::write(self.slot.record_file(), text).during("record the slot's owner")
    }

    /// Removes the record, once nothing is left of the slot on the host.
    pub(super) fn forget(&self) {
        let _ = std::fs::remove_file(self.slot.record_file());
    }
}

/// Slots that had an owner since the host booted.
pub(super) fn known() -> Vec<Slot> {
    let entries = std::fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Slot::of(entry.file_name().to_str()?.strip_suffix(".lock")?, ""))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back_to_its_place_only() {
        let slot = Slot(17);
        assert_eq!(Slot::of(&slot.bridge(), "dbcloud"), Some(slot));
        assert_eq!(Slot::of(&slot.table(), "dockbridge_"), Some(slot));
        assert_eq!(Slot::of("dbcloud", "dbcloud"), None);
        assert_eq!(Slot::of("dbcloud999", "dbcloud"), None);
        assert_eq!(Slot::of("docker0", "dbcloud"), None);
        assert!(!Slot(1).machine_prefix().starts_with(&slot.machine_prefix()));
        assert!(
            !slot.machine_prefix().starts_with(&Slot(1).machine_prefix()),
            "dbc1- is no prefix of dbc17-"
        );
    }
}
