//! Time since boot, suspend included: what a lease counts in, and what `/proc/uptime` shows to the
//! shell.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Time since the machine booted.
pub fn uptime() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(now.tv_sec.try_into().unwrap_or(0), now.tv_nsec.try_into().unwrap_or(0))
}
