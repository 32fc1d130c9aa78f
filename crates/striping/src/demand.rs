//! Demand: how many bytes per second the stream puts on its lanes, and so whether one lane
//! suffices.

use std::time::Duration;

use tokio::time::Instant;

/// Length of one measurement.
const READING: Duration = Duration::from_millis(250);
/// Round trips that TCP needs to find a path's capacity. Before that the stream is slower than it
/// will be.
const UNSETTLED: u32 = 16;
/// What may be in flight on one lane, in bytes: OpenSSH's channel window.
const ONE_LANE: f64 = 2.0 * 1024.0 * 1024.0;

pub(crate) struct Demand {
    /// Up to this rate one lane carries all of it, in bytes per second.
    enough_for_one: f64,
    first_reading: Duration,
    since: Instant,
    bytes: usize,
    rate: Option<f64>,
}

impl Demand {
    pub(crate) fn new(round_trip: Duration, now: Instant) -> Self {
        Self {
            enough_for_one: ONE_LANE / 2.0 / round_trip.as_secs_f64(),
            first_reading: READING.max(UNSETTLED * round_trip),
            since: now,
            bytes: 0,
            rate: None,
        }
    }

    /// Starts a new measurement after a pause: bytes before and after it are not one rate.
    pub(crate) fn resume(&mut self, now: Instant) {
        (self.since, self.bytes) = (now, 0);
    }

    /// Notes bytes that were handed to a lane.
    pub(crate) fn sent(&mut self, bytes: usize, now: Instant) {
        self.bytes += bytes;
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= if self.rate.is_none() { self.first_reading } else { READING } {
            self.rate = Some(self.bytes as f64 / elapsed.as_secs_f64());
            (self.since, self.bytes) = (now, 0);
        }
    }

    /// Whether one lane carries everything. Several connections compete for a slow path, and data
    /// on one waits for what is in flight on another. While the rate is unknown, all lanes are used
    /// so that they measure the path together; a lane that joins later delays what the others
    /// carried.
    pub(crate) fn one_lane_suffices(&self) -> bool {
        self.rate.is_some_and(|rate| rate < self.enough_for_one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_TRIP: Duration = Duration::from_millis(100);

    /// A stream that sends a number of bytes every 10 ms.
    struct Sender {
        demand: Demand,
        now: Instant,
    }

    impl Sender {
        fn new() -> Self {
            let now = Instant::now();
            Self { demand: Demand::new(ROUND_TRIP, now), now }
        }

        fn for_ms(&mut self, ms: u64, bytes: usize) -> bool {
            for _ in 0..ms / 10 {
                self.now += Duration::from_millis(10);
                self.demand.sent(bytes, self.now);
            }
            self.demand.one_lane_suffices()
        }
    }

    // A lane carries 10.5 MB/s of a path of 100 ms: 105 kB in 10 ms.

    #[test]
    fn all_lanes_are_used_until_tcp_has_settled() {
        let mut slow = Sender::new();
        assert!(!slow.for_ms(1500, 50_000), "TCP may still be settling");
        assert!(slow.for_ms(200, 50_000));
        let mut fast = Sender::new();
        assert!(!fast.for_ms(3000, 150_000));
    }

    #[test]
    fn the_answer_follows_the_rate_up_and_down() {
        let mut sender = Sender::new();
        assert!(sender.for_ms(2000, 50_000));
        assert!(!sender.for_ms(600, 150_000));
        assert!(sender.for_ms(600, 50_000));
    }

    #[test]
    fn a_pause_does_not_count_as_a_low_rate() {
        let mut sender = Sender::new();
        assert!(!sender.for_ms(2000, 150_000));
        sender.now += Duration::from_secs(60);
        sender.demand.resume(sender.now);
        assert!(!sender.for_ms(10, 100), "as before");
        let mut unknown = Sender::new();
        unknown.for_ms(10, 100);
        unknown.now += Duration::from_secs(60);
        unknown.demand.resume(unknown.now);
        assert!(!unknown.for_ms(1500, 50_000), "the measurement begins now");
    }
}
