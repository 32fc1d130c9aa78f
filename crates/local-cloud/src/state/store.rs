//! The state on disk: one JSON file, replaced as a whole, readable by its owner alone because user
//! data is in it. And what has to be said of a world that was put down in the middle of things.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use jiff::Timestamp;

use super::action::ActionError;
use super::{Progress, ServerStatus, World};

const FILE: &str = "cloud.json";

/// Reads the world that was saved, or makes a new one.
pub(crate) fn load(folder: &Path, first_id: u64) -> io::Result<World> {
    match fs::read(folder.join(FILE)) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(World::new(first_id)),
        Err(e) => Err(e),
    }
}

/// Replaces the saved world.
pub(crate) fn save(folder: &Path, world: &[u8]) -> io::Result<()> {
    write_private(&folder.join(FILE), world)
}

/// Writes a file that only its owner can read, whole or not at all.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    platform::private_file::write(path, bytes)
}

/// Takes the folder for this process; released when the file is closed, however the process ends.
pub(crate) fn claim(folder: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(folder.join("lock"))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// The machines went down with the cloud and what ran did not end: all servers are off, running
/// actions failed, firewalls are to be set again.
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
        let folder = tempfile::tempdir().unwrap();
        let mut world = load(folder.path(), 500).unwrap();
        assert_eq!(world.ids.take(), 500);
        world.projects.entry("p".into()).or_default();
        save(folder.path(), &serde_json::to_vec(&world).unwrap()).unwrap();
        let mut again = load(folder.path(), 1).unwrap();
        assert_eq!(again.ids.take(), 501);
        assert!(again.projects.contains_key("p"));
        assert_eq!(
            fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn a_folder_is_taken_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = claim(folder.path()).unwrap();
        assert!(first.is_some());
        assert!(claim(folder.path()).unwrap().is_none());
        drop(first);
        assert!(claim(folder.path()).unwrap().is_some());
    }
}
