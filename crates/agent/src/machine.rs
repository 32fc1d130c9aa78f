//! The machine: its files, its dockerd, its programs.

use std::path::Path;

use crate::commands::Commands;
use crate::docker::Docker;
use crate::paths::Paths;

/// Replaces the volume's state once docker is stopped for good: an agent that is started after one
/// that was killed has to know.
pub const RELEASED: &str = "released";

/// What the agent needs to know and change the machine.
#[derive(Debug, Clone)]
pub struct Machine {
    pub paths: Paths,
    pub docker: Docker,
    pub commands: Commands,
}

impl Machine {
    /// The machine with these paths.
    pub fn new(paths: Paths) -> Self {
        Self {
            docker: Docker::at(paths.docker_socket.clone()),
            commands: Commands::under(&paths.root),
            paths,
        }
    }
}

/// Whether something is mounted at `path`, by the kernel's list (proc(5): the fifth field, with
/// spaces written as `\040`).
pub fn is_mounted(mount_info: &str, path: &Path) -> bool {
    let wanted = path.to_string_lossy().replace(' ', "\\040");
    mount_info.lines().filter_map(|line| line.split(' ').nth(4)).any(|mounted| mounted == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_recognized_by_its_whole_path() {
        let info = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                    30 22 8:16 / /mnt/dock\\040bridge rw - ext4 /dev/sdb rw\n";
        let is_mounted = |path: &str| super::is_mounted(info, Path::new(path));
        assert!(is_mounted("/mnt/dock bridge") && is_mounted("/"));
        assert!(!is_mounted("/mnt") && !is_mounted("/mnt/dock"));
    }
}
