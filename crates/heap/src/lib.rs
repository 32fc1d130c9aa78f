//! Memory that nobody uses any more goes back to the system.
//!
//! The GNU C library keeps what is freed between things that live on, and gives back by itself only
//! what is free at the end of its heap. It does not know when a program rests; whoever calls this
//! does. Other C libraries are left to their own ways.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc;

/// Gives whole pages that are free back to the system. They are asked for again when they are
/// needed, which costs some microseconds each time: to be called when there is nothing to do. Takes
/// a millisecond for some megabytes.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::trim();
}
