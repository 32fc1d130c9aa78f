//! How fast the path takes bytes, learned from the lanes while somebody waits for them.

use std::time::Duration;

use tokio::time::Instant;

/// How long the lanes are watched for one reading.
const READING: Duration = Duration::from_millis(250);
/// With fewer bytes in one reading the path was not used.
const USED: usize = 512 * 1024;
/// Parts of a reading that went into compressing: below the first there is time for a denser level,
/// above the second the path waits for the processor.
const IDLE: f64 = 0.25;
const BUSY: f64 = 0.5;

/// What the processor has to spare for compressing while the path was not what held the stream up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spare {
    /// It was not seen.
    Unknown,
    Some,
    Little,
    None,
}

pub(crate) struct Speed {
    since: Option<Instant>,
    bytes: usize,
    waited: bool,
    worked: Duration,
    last: Option<f64>,
}

impl Speed {
    pub(crate) fn new() -> Self {
        Self { since: None, bytes: 0, waited: false, worked: Duration::ZERO, last: None }
    }

    #[cfg(test)]
    pub(crate) fn known(speed: f64) -> Self {
        Self { last: Some(speed), ..Self::new() }
    }

    /// Bytes were handed to a lane.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Compressing took so long.
    pub(crate) fn worked(&mut self, time: Duration) {
        self.worked += time;
    }

    /// No lane that may be used has room.
    pub(crate) fn waits(&mut self) {
        self.waited = true;
    }

    /// Bytes a second, once that was seen.
    pub(crate) fn last(&self) -> Option<f64> {
        self.last
    }

    /// Ends a reading that has lasted long enough.
    pub(crate) fn read(&mut self, now: Instant) -> Option<Spare> {
        let since = *self.since.get_or_insert(now);
        let elapsed = now.saturating_duration_since(since);
        if elapsed < READING {
            return None;
        }
        if self.waited {
            self.last = Some(self.bytes as f64 / elapsed.as_secs_f64());
        }
        let part = self.worked.as_secs_f64() / elapsed.as_secs_f64();
        let spare = match (self.bytes >= USED && !self.waited, part) {
            (false, _) => Spare::Unknown,
            (true, part) if part > BUSY => Spare::None,
            (true, part) if part < IDLE => Spare::Some,
            (true, _) => Spare::Little,
        };
        (self.since, self.bytes, self.waited, self.worked) = (Some(now), 0, false, Duration::ZERO);
        Some(spare)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// One reading of a second.
    fn reading(bytes: usize, waited: bool, worked: Duration) -> (Option<f64>, Option<Spare>) {
        let (mut speed, begun) = (Speed::new(), Instant::now());
        assert_eq!(speed.read(begun), None);
        speed.sent(bytes);
        speed.worked(worked);
        if waited {
            speed.waits();
        }
        assert_eq!(speed.read(begun + READING / 2), None, "too short to say");
        let spare = speed.read(begun + SECOND);
        (speed.last(), spare)
    }

    #[test]
    fn it_is_known_when_somebody_waited_for_the_path() {
        assert_eq!(reading(5_000_000, true, Duration::ZERO), (Some(5e6), Some(Spare::Unknown)));
        assert_eq!(
            reading(5_000_000, false, Duration::ZERO).0,
            None,
            "much was sent, but the \
            stream had no more to say"
        );
    }

    #[test]
    fn what_the_processor_has_to_spare_is_known_when_the_path_was_used_and_nobody_waited_for_it() {
        let spare = |bytes, percent| reading(bytes, false, SECOND * percent / 100).1.unwrap();
        assert_eq!(
            [10, 40, 60].map(|percent| spare(1 << 20, percent)),
            [Spare::Some, Spare::Little, Spare::None]
        );
        assert_eq!(spare(USED - 1, 10), Spare::Unknown);
    }

    #[test]
    fn each_reading_begins_anew() {
        let (mut speed, begun) = (Speed::new(), Instant::now());
        speed.read(begun);
        for megabytes in [5, 20] {
            speed.sent(megabytes * 1_000_000);
            speed.waits();
            speed.read(begun + SECOND * megabytes as u32);
        }
        assert_eq!(speed.last(), Some(20e6 / 15.0));
        speed.read(begun + SECOND * 30);
        assert_eq!(speed.last(), Some(20e6 / 15.0), "nobody waited since");
    }
}
