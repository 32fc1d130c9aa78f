//! How many bytes a second the stream brings onto its lanes, and so whether one of them does.

use std::time::Duration;

use tokio::time::Instant;

/// How long the stream is watched for one reading.
const READING: Duration = Duration::from_millis(250);
/// Round trips that TCP needs to find out what a path takes; before that the stream is slower than
/// it is going to be.
const UNSETTLED: u32 = 16;
/// A stream that brings nothing for so long has paused.
const PAUSE: Duration = Duration::from_secs(1);
/// What may be on its way in one lane, in bytes: the window of OpenSSH's channels.
const ONE_LANE: f64 = 2.0 * 1024.0 * 1024.0;

pub(crate) struct Demand {
    /// Up to this rate one lane carries all of it, in bytes a second.
    enough_for_one: f64,
    first_reading: Duration,
    since: Instant,
    until: Instant,
    bytes: usize,
    rate: Option<f64>,
}

impl Demand {
    pub(crate) fn new(round_trip: Duration, now: Instant) -> Self {
        Self {
            enough_for_one: ONE_LANE / 2.0 / round_trip.as_secs_f64(),
            first_reading: READING.max(UNSETTLED * round_trip),
            since: now,
            until: now,
            bytes: 0,
            rate: None,
        }
    }

    /// Bytes were handed to a lane.
    pub(crate) fn sent(&mut self, bytes: usize, now: Instant) {
        if now.saturating_duration_since(self.until) > PAUSE {
            (self.since, self.bytes) = (now, 0);
        }
        self.until = now;
        self.bytes += bytes;
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= if self.rate.is_none() { self.first_reading } else { READING } {
            self.rate = Some(self.bytes as f64 / elapsed.as_secs_f64());
            (self.since, self.bytes) = (now, 0);
        }
    }

    /// One lane does: several connections would compete for a slow path, and what came by the one
    /// would wait for what is on its way by the other. While nothing is known all of them learn
    /// together how much the path takes; one that joins later holds up what the others brought.
    pub(crate) fn one_does(&self) -> bool {
        self.rate.is_some_and(|rate| rate < self.enough_for_one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_TRIP: Duration = Duration::from_millis(100);

    /// A stream that brings so many bytes every 10 ms.
    struct Brought {
        demand: Demand,
        now: Instant,
    }

    impl Brought {
        fn new() -> Self {
            let now = Instant::now();
            Self { demand: Demand::new(ROUND_TRIP, now), now }
        }

        fn for_ms(&mut self, ms: u64, bytes: usize) -> bool {
            for _ in 0..ms / 10 {
                self.now += Duration::from_millis(10);
                self.demand.sent(bytes, self.now);
            }
            self.demand.one_does()
        }
    }

    // A lane carries 10.5 MB/s of a path of 100 ms: 105 kB in 10 ms.

    #[test]
    fn all_lanes_are_used_until_the_beginning_is_over() {
        let mut slow = Brought::new();
        assert!(!slow.for_ms(1500, 50_000), "TCP may still be finding out");
        assert!(slow.for_ms(200, 50_000));
        let mut fast = Brought::new();
        assert!(!fast.for_ms(3000, 150_000));
    }

    #[test]
    fn what_is_slow_now_may_become_fast_and_slow_again() {
        let mut brought = Brought::new();
        assert!(brought.for_ms(2000, 50_000));
        assert!(!brought.for_ms(600, 150_000));
        assert!(brought.for_ms(600, 50_000));
    }

    #[test]
    fn a_pause_says_nothing_about_the_path() {
        let mut brought = Brought::new();
        assert!(!brought.for_ms(2000, 150_000));
        brought.now += Duration::from_secs(60);
        assert!(!brought.for_ms(10, 100), "as before");
        let mut unknown = Brought::new();
        unknown.for_ms(10, 100);
        unknown.now += Duration::from_secs(60);
        assert!(!unknown.for_ms(1500, 50_000), "it begins now");
    }
}
