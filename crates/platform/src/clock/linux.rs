//! Linux: clock_gettime(2) has a clock of its own for each.

use std::time::Duration;

use rustix::time::ClockId;

pub(super) fn since_boot() -> Duration {
    super::read(ClockId::Boottime)
}

pub(super) fn awake() -> Duration {
    super::read(ClockId::Monotonic)
}
