//! What each operating system does in its own manner, behind one name for all of them.
//!
//! One module per subject, and in it one file per system: a new system is a new file, and callers
//! do not change. The crate knows nothing of machines, tunnels or Docker.

pub mod clock;
#[cfg(feature = "session")]
pub mod desktop;
pub mod detach;
#[cfg(feature = "file-watch")]
pub mod file_watch;
#[cfg(feature = "keyring")]
pub mod keyring;
#[cfg(all(unix, feature = "local-socket"))]
pub mod local_socket;
pub mod memory;
pub mod private_file;
#[cfg(all(unix, feature = "service"))]
pub mod service;
#[cfg(feature = "session")]
pub mod session;
