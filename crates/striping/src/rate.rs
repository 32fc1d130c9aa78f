//! Rate: how many bytes per second the path takes, measured while data waits for a lane.

use std::time::Duration;

use tokio::time::Instant;

/// Length of one measurement.
const READING: Duration = Duration::from_millis(250);
/// Below this many bytes in one measurement the path was not in use.
const USED: usize = 512 * 1024;
/// Share of a measurement that was spent compressing. Below `IDLE` there is time for a denser
/// level; above `BUSY` the path waits for the processor.
const IDLE: f64 = 0.25;
const BUSY: f64 = 0.5;

/// Spare processor time for compression, measured while the path was not the bottleneck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spare {
    /// Not measured.
    Unknown,
    Some,
    Little,
    None,
}

pub(crate) struct Rate {
    since: Option<Instant>,
    bytes: usize,
    waited: bool,
    worked: Duration,
    last: Option<f64>,
}

impl Rate {
    pub(crate) fn new() -> Self {
        Self { since: None, bytes: 0, waited: false, worked: Duration::ZERO, last: None }
    }

    #[cfg(test)]
    pub(crate) fn known(rate: f64) -> Self {
        Self { last: Some(rate), ..Self::new() }
    }

    /// Notes bytes that were handed to a lane.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Notes time spent compressing.
    pub(crate) fn worked(&mut self, time: Duration) {
        self.worked += time;
    }

    /// Notes that no usable lane has room.
    pub(crate) fn waits(&mut self) {
        self.waited = true;
    }

    /// Bytes per second, once measured.
    pub(crate) fn last(&self) -> Option<f64> {
        self.last
    }

    /// Ends a measurement that has lasted long enough.
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

    /// One measurement of a second.
    fn reading(bytes: usize, waited: bool, worked: Duration) -> (Option<f64>, Option<Spare>) {
        let (mut rate, begun) = (Rate::new(), Instant::now());
        assert_eq!(rate.read(begun), None);
        rate.sent(bytes);
        rate.worked(worked);
        if waited {
            rate.waits();
        }
        assert_eq!(rate.read(begun + READING / 2), None, "too short to measure");
        let spare = rate.read(begun + SECOND);
        (rate.last(), spare)
    }

    #[test]
    fn the_rate_is_known_only_when_data_waited_for_a_lane() {
        assert_eq!(reading(5_000_000, true, Duration::ZERO), (Some(5e6), Some(Spare::Unknown)));
        assert_eq!(
            reading(5_000_000, false, Duration::ZERO).0,
            None,
            "much was sent, but the stream had nothing more to send"
        );
    }

    #[test]
    fn spare_time_is_known_only_when_the_path_was_used_without_waiting() {
        let spare = |bytes, percent| reading(bytes, false, SECOND * percent / 100).1.unwrap();
        assert_eq!(
            [10, 40, 60].map(|percent| spare(1 << 20, percent)),
            [Spare::Some, Spare::Little, Spare::None]
        );
        assert_eq!(spare(USED - 1, 10), Spare::Unknown);
    }

    #[test]
    fn each_measurement_starts_from_zero() {
        let (mut rate, begun) = (Rate::new(), Instant::now());
        rate.read(begun);
        for megabytes in [5, 20] {
            rate.sent(megabytes * 1_000_000);
            rate.waits();
            rate.read(begun + SECOND * megabytes as u32);
        }
        assert_eq!(rate.last(), Some(20e6 / 15.0));
        rate.read(begun + SECOND * 30);
        assert_eq!(rate.last(), Some(20e6 / 15.0), "no data waited since");
    }
}
