//! Memory that the program has freed and the C library still holds.
//!
//! The GNU C library keeps what is freed between blocks in use, and returns by itself only what is
//! free at the end of its heap. It does not know when a program is idle; the caller does.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc;

/// Returns free pages to the system. Call it when idle: a page that is needed again costs some
/// microseconds. Takes about a millisecond for a few megabytes. Does nothing with other C
/// libraries, which are not known to need it.
pub fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::trim();
}
