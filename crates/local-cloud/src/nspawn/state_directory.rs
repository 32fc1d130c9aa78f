//! The state directory as a whole: whether it can hold disks, who uses it, and what it contains
//! from earlier runs. `disk` and `volume` know its contents.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

use super::claim::{Claim, Slot};
use super::server::{Server, Site};
use super::tool::{During, failure};
use super::{disk, volume};
use crate::hypervisor::Failure;

/// Refuses a state directory that cannot hold the writable layers.
pub(super) fn check(state: &Path) -> Result<(), Failure> {
    let text = state.display().to_string();
    if text.contains([',', ':', '\\', '"']) || state.to_str().is_none() {
        return Err(failure(
            format!("use {text} for disks"),
            "mount options cannot carry a path with such characters; choose a plain one",
        ));
    }
    /// `OVERLAYFS_SUPER_MAGIC` of the kernel's `uapi/linux/magic.h`.
    const OVERLAYFS: i64 = 0x794c_7630;
    let kind = rustix::fs::statfs(state).during(format!("look at {}", state.display()))?.f_type;
    #[allow(clippy::unnecessary_cast, reason = "the type differs between architectures")]
    if kind as i64 == OVERLAYFS {
        return Err(failure(
            format!("use {} for disks", state.display()),
            "it is on an overlay file system, as in a container, and those cannot be stacked; \
             choose a state directory on a disk, a volume or a tmpfs",
        ));
    }
    Ok(())
}

/// Locks the directory for as long as the file is open.
pub(super) fn lock(state: &Path) -> Result<File, Failure> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(state.join("machines.lock"))
        .during("open the lock of the state directory")?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(failure(
            format!("use {}", state.display()),
            "another local cloud uses it; choose another state directory",
        )),
        Err(error) => Err(failure("lock the state directory", error)),
    }
}

/// Claims the slot that this directory had before if it is free, so that servers keep their
/// addresses; else any.
pub(super) fn claim_slot(state: &Path) -> Result<Claim, Failure> {
    let note = state.join("place");
    let before = std::fs::read_to_string(&note).ok().and_then(|text| Slot::of(text.trim(), ""));
    let again = match before {
        Some(slot) => Claim::try_take(slot)?,
        None => None,
    };
    let claim = match again {
        Some(claim) => claim,
        None => Claim::any()?,
    };
    std::fs::write(note, claim.slot.0.to_string()).during("save the slot's number")?;
    Ok(claim)
}

/// Servers, their last octets, and the attachments of volumes, by id.
type Found = (BTreeMap<u64, Arc<Server>>, BTreeMap<u64, u8>, BTreeMap<u64, Option<u64>>);

/// Servers and volumes from earlier runs; all servers are off.
pub(super) fn found(site: &Arc<Site>) -> Found {
    let records = disk::records(&site.state);
    let hosts = records.iter().map(|record| (record.id, record.host)).collect();
    let exists = |server: &u64| records.iter().any(|record| record.id == *server);
    let volumes: BTreeMap<u64, Option<u64>> = volume::records(&site.state)
        .into_iter()
        .map(|(id, record)| (id, record.server.filter(exists)))
        .collect();
    let attached = |server: u64| {
        volumes.iter().filter(|(_, at)| **at == Some(server)).map(|(id, _)| *id).collect::<Vec<_>>()
    };
    let servers = records
        .iter()
        .map(|record| {
            (record.id, Arc::new(Server::new(site.clone(), record.clone(), &attached(record.id))))
        })
        .collect();
    (servers, hosts, volumes)
}
