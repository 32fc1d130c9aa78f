//! Time since boot, with and without the time that the computer was suspended.
//!
//! `std::time::Instant` stands still during suspend on some systems and goes on on others.

use std::time::Duration;

#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "clock/linux.rs"]
mod system;
#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
#[path = "clock/macos.rs"]
mod system;
#[cfg(windows)]
#[path = "clock/windows.rs"]
mod system;

/// Time since boot, suspend included. On Linux it equals `/proc/uptime`.
pub fn since_boot() -> Duration {
    system::since_boot()
}

/// How long the computer has been awake since boot. Programs that repeat something every second
/// keep this rhythm even across a suspend. On macOS it may count suspend.
pub fn awake() -> Duration {
    system::awake()
}

#[cfg(unix)]
fn read(clock: rustix::time::ClockId) -> Duration {
    let time = rustix::time::clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_advance_and_awake_time_is_part_of_the_time_since_boot() {
        let (awake, boot) = (awake(), since_boot());
        assert!(!awake.is_zero() && boot >= awake, "{boot:?} {awake:?}");
        assert!(since_boot() >= boot);
    }
}
