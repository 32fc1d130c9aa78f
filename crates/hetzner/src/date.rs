//! The offset of this computer's clock from the cloud's, by the `Date` header of every answer (RFC
//! 9110, section 6.6.1). A wrong clock causes wrong bills, ages and months.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use jiff::fmt::rfc2822;

/// No answer had a date yet.
const UNKNOWN: i64 = i64::MIN;

/// The offset at the last answer.
#[derive(Debug)]
pub(crate) struct ClockOffset(AtomicI64);

impl Default for ClockOffset {
    fn default() -> Self {
        Self(AtomicI64::new(UNKNOWN))
    }
}

impl ClockOffset {
    /// Seconds by which this computer's clock is ahead; negative if it is behind.
    pub(crate) fn seconds(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|offset| *offset != UNKNOWN)
    }

    /// Records an answer that came at `now` by this computer's clock.
    pub(crate) fn learn(&self, date: Option<&str>, now: Timestamp) {
        // HTTP dates have the form of RFC 2822 with a named zone.
        let Some(cloud) = date.and_then(|date| rfc2822::parse(date).ok()) else { return };
        self.0.store(now.as_second() - cloud.timestamp().as_second(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offset_is_that_of_the_last_answer_with_a_date() {
        let offset = ClockOffset::default();
        assert_eq!(offset.seconds(), None);
        let now = Timestamp::from_second(784_111_777 + 400 * 86_400).unwrap();
        offset.learn(Some("Sun, 06 Nov 1994 08:49:37 GMT"), now);
        assert_eq!(offset.seconds(), Some(400 * 86_400));
        offset.learn(None, now);
        offset.learn(Some("yesterday"), now);
        assert_eq!(offset.seconds(), Some(400 * 86_400));
    }
}
