//! Where things lie on the machine.

use std::path::{Path, PathBuf};

/// The files that the agent knows. Tests put them all below a folder of their own.
#[derive(Debug, Clone)]
pub struct Paths {
    /// Below which everything lies: `/`.
    pub root: PathBuf,
    /// Sign that systemd runs.
    pub systemd: PathBuf,
    /// The agent's own folder, emptied at every boot.
    pub run: PathBuf,
    /// Where the resident listens.
    pub socket: PathBuf,
    /// Locked by the one resident.
    pub lock: PathBuf,
    /// The end of the lease in whole seconds since boot; the dead-man in the shell reads it.
    pub lease: PathBuf,
    /// What became of the volume: `ready`, `refused: reason`, `released`, or a stage on the way.
    pub volume_state: PathBuf,
    /// Where the volume is mounted.
    pub volume: PathBuf,
    /// On the volume: the containers that ran when it was last given up, one id on each line.
    pub ran: PathBuf,
    /// The same of a machine that ended without giving it up, as found at boot.
    pub ran_unreleased: PathBuf,
    /// What is unmounted when the volume is given up, in this order.
    pub mounts: [PathBuf; 3],
    /// The kernel's list of mounts.
    pub mount_info: PathBuf,
    /// Where dockerd listens.
    pub docker_socket: PathBuf,
}

impl Paths {
    /// The usual places below `root`.
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
            docker_socket: root.join("var/run/docker.sock"),
            ran: volume.join("ran"),
            ran_unreleased: run.join("ran"),
            volume,
            run,
        }
    }
}
