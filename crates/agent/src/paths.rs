//! Paths on the machine.

use std::path::{Path, PathBuf};

/// The files that the agent uses. Tests put all of them below a directory of their own.
#[derive(Debug, Clone)]
pub struct Paths {
    /// The root of all other paths, `/`.
    pub root: PathBuf,
    /// Exists if systemd runs.
    pub systemd: PathBuf,
    /// The agent's runtime directory, emptied at every boot.
    pub run: PathBuf,
    /// The resident's socket.
    pub socket: PathBuf,
    /// The lock file of the one resident.
    pub lock: PathBuf,
    /// The end of the lease in whole seconds since boot; the dead-man script reads it.
    pub lease: PathBuf,
    /// The state of the volume: `ready`, `refused: reason`, `released`, or a stage before those.
    pub volume_state: PathBuf,
    /// The volume's mount point.
    pub volume: PathBuf,
    /// On the volume: the containers that ran when it was last released, one id per line.
    pub ran: PathBuf,
    /// The containers that ran on a machine that ended without releasing the volume, found at boot.
    pub ran_unreleased: PathBuf,
    /// The mounts to unmount when the volume is released, in this order.
    pub mounts: [PathBuf; 3],
    /// The kernel's list of mounts.
    pub mount_info: PathBuf,
    /// The journal's socket, if a journal runs.
    pub journal: PathBuf,
    /// dockerd's socket.
    pub docker_socket: PathBuf,
}

impl Paths {
    /// The default paths below `root`.
    pub fn under(root: &Path) -> Self {
        let run = root.join("run/dockbridge");
        let volume = root.join("mnt/dockbridge");
        Self {
            root: root.to_path_buf(),
            systemd: root.join("run/systemd/system"),
            socket: run.join("agent.sock"),
            lock: run.join("agent.lock"),
            lease: run.join("lease"),
            volume_state: run.join("volume.state"),
            mounts: [root.join("var/lib/docker"), root.join("var/lib/containerd"), volume.clone()],
            mount_info: root.join("proc/self/mountinfo"),
            journal: root.join("run/systemd/journal/socket"),
            docker_socket: root.join("var/run/docker.sock"),
            ran: volume.join("ran"),
            ran_unreleased: run.join("ran"),
            volume,
            run,
        }
    }
}
