//! What `doctor --fix` repairs: only what loses nothing. Each repair looks again before it changes
//! anything, because time has passed since the check.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::PathBuf;

use platform::local_socket;

use crate::commands::context;
use crate::resolved::Resolved;

/// One repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fix {
    /// Removes a socket that no process listens at.
    Socket(PathBuf),
    /// Removes the rights of other users.
    Mode { path: PathBuf, mode: u32 },
    /// Creates the docker context, or corrects one that this home created.
    Context { name: String },
}

/// Why a repair was not made.
#[derive(Debug, thiserror::Error)]
pub enum NotFixed {
    #[error("{} is in use by now", .0.display())]
    InUse(PathBuf),
    #[error("cannot change {}", path.display())]
    Refused { path: PathBuf, source: std::io::Error },
    #[error("docker did not change the context {0:?}")]
    Context(String),
}

impl Fix {
    /// Makes the repair, and returns what it did.
    pub fn apply(&self, resolved: &Resolved) -> Result<String, NotFixed> {
        match self {
            Fix::Socket(path) => {
                let is_socket =
                    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
                if !is_socket || !local_socket::is_abandoned(path) {
                    return Err(NotFixed::InUse(path.clone()));
                }
                fs::remove_file(path)
                    .map_err(|source| NotFixed::Refused { path: path.clone(), source })?;
                Ok(format!("removed the stale socket {}", path.display()))
            }
            Fix::Mode { path, mode } => {
                fs::set_permissions(path, Permissions::from_mode(*mode))
                    .map_err(|source| NotFixed::Refused { path: path.clone(), source })?;
                Ok(format!("set the mode of {} to {mode:04o}", path.display()))
            }
            Fix::Context { name } => match context::repair(resolved, name) {
                true => Ok(format!(
                    "docker context {name:?} points to unix://{}",
                    resolved.socket.display()
                )),
                false => Err(NotFixed::Context(name.clone())),
            },
        }
    }
}
