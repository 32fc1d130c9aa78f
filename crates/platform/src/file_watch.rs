//! Reports when one file changes: when it is written, replaced or removed. The module reads no
//! file.

#[cfg(target_os = "linux")]
#[path = "file_watch/linux.rs"]
mod system;
#[cfg(not(target_os = "linux"))]
#[path = "file_watch/none.rs"]
mod system;

pub use system::FileWatch;
