//! macOS and other Unix systems: the monotonic clock counts suspend. macOS has an uptime clock that
//! does not, but rustix does not offer it.

use std::time::Duration;

use rustix::time::ClockId;

pub(super) fn since_boot() -> Duration {
    super::read(ClockId::Monotonic)
}

pub(super) fn awake() -> Duration {
    super::read(ClockId::Monotonic)
}
