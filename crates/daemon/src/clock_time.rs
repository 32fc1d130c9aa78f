//! The wall clock's time of a past moment, for what users see. Pure.

use jiff::Timestamp;
use lifecycle::Moment;

/// A moment, and the wall clock's time at it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClockTime {
    pub(crate) now: Moment,
    pub(crate) time: Timestamp,
}

impl ClockTime {
    /// Seconds since 1970 at an earlier moment.
    pub(crate) fn at(self, earlier: Moment) -> i64 {
        let age = i64::try_from(self.now.since(earlier).as_secs()).unwrap_or(i64::MAX);
        self.time.as_second().saturating_sub(age)
    }
}
