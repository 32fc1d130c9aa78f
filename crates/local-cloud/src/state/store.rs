//! The state on disk: one JSON file, replaced as a whole, readable only by its owner because it
//! contains user data. Also corrects a state that was saved while work was in progress.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use jiff::Timestamp;

use super::action::ActionError;
use super::{Progress, ServerStatus, World};

const FILE: &str = "cloud.json";

/// Loads the saved world, or creates a new one.
pub(crate) fn load(directory: &Path, first_id: u64) -> io::Result<World> {
    match fs::read(directory.join(FILE)) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(World::new(first_id)),
        Err(e) => Err(e),
    }
}

/// Replaces the saved world.
pub(crate) fn save(directory: &Path, world: &[u8]) -> io::Result<()> {
    write_private(&directory.join(FILE), world)
}

/// Writes a file that only its owner can read, completely or not at all.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    platform::private_file::write(path, bytes)
}

/// Locks the directory for this process; released when the file is closed, however the process
/// ends.
pub(crate) fn claim(directory: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(directory.join("lock"))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// The machines stopped with the cloud and running actions did not finish: sets all servers off,
/// fails running actions, and marks firewalls to be set again.
pub(crate) fn after_a_break(world: &mut World, now: Timestamp) {
    for project in world.projects.values_mut() {
        for action in project.actions.values_mut().filter(|a| a.progress == Progress::Running) {
            action.end(Err(ActionError::failed("Action failed")), now);
        }
        for server in project.servers.values_mut() {
            if server.status != ServerStatus::Deleting {
                server.status = ServerStatus::Off;
            }
            server.rescue = None;
            for in_force in server.firewalls.values_mut() {
                *in_force = None;
            }
        }
        project.snapshots.retain(|_, s| s.available);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_world_comes_back_and_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let mut world = load(directory.path(), 500).unwrap();
        assert_eq!(world.ids.take(), 500);
        world.projects.entry("p".into()).or_default();
        save(directory.path(), &serde_json::to_vec(&world).unwrap()).unwrap();
        let mut again = load(directory.path(), 1).unwrap();
        assert_eq!(again.ids.take(), 501);
        assert!(again.projects.contains_key("p"));
        assert_eq!(
            fs::metadata(directory.path().join(FILE)).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn a_directory_has_one_owner_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let first = claim(directory.path()).unwrap();
        assert!(first.is_some());
        assert!(claim(directory.path()).unwrap().is_none());
        drop(first);
        assert!(claim(directory.path()).unwrap().is_some());
    }
}
