//! When to try again to reach a machine that was there. Pure: what happened and a chance come in, a
//! pause comes out.
//!
//! A path that held for a while is looked for at once when it is lost; each failure after that
//! doubles the pause, and so does a path that is lost again as soon as it is found. Somebody who
//! waits shortens a pause, but cannot make attempts follow each other without one.

use std::time::Duration;

/// The first pause, and the shortest between the beginnings of two attempts.
const FIRST: Duration = Duration::from_secs(1);
/// No pause is longer.
const LONGEST: Duration = Duration::from_secs(60);
/// A path that held this long was a good one: its loss is no failure of the attempt that made it.
const HELD: Duration = Duration::from_secs(30);
/// A pause is changed by up to this part of itself, so that many clients of one network do not come
/// back in step.
const JITTER: f64 = 0.25;

/// Attempts that failed in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// A path that held for `held` is lost. Returns the pause before the first attempt to find it
    /// again.
    pub(crate) fn lost(&mut self, held: Duration, chance: f64) -> Duration {
        if held >= HELD {
            *self = Self::default();
            return Duration::ZERO;
        }
        self.failed(chance)
    }

    /// An attempt failed. Returns the pause before the next one, for a `chance` between 0 and 1.
    pub(crate) fn failed(&mut self, chance: f64) -> Duration {
        let pause = FIRST.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let jitter = 1.0 + JITTER * (2.0 * chance.clamp(0.0, 1.0) - 1.0);
        pause.mul_f64(jitter).min(LONGEST)
    }

    /// Which attempt comes next, counted from 0.
    pub(crate) fn attempt(&self) -> u32 {
        self.failures
    }

    /// The pause that is left for somebody who waits, when the last attempt began `begun` ago.
    pub(crate) fn for_a_waiting_client(begun: Duration) -> Duration {
        FIRST.saturating_sub(begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOST_LATE: Duration = Duration::from_secs(3_600);

    fn seconds(backoff: &mut Backoff, chance: f64) -> Vec<f64> {
        (0..9).map(|_| backoff.failed(chance).as_secs_f64()).collect()
    }

    #[test]
    fn pauses_double_from_one_second_to_a_minute() {
        assert_eq!(
            seconds(&mut Backoff::default(), 0.5),
            [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
        );
    }

    #[test]
    fn chance_spreads_a_pause_by_a_quarter_and_never_beyond_a_minute() {
        assert_eq!(seconds(&mut Backoff::default(), 0.0)[..4], [0.75, 1.5, 3.0, 6.0]);
        assert_eq!(
            seconds(&mut Backoff::default(), 1.0),
            [1.25, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0]
        );
        assert_eq!(
            Backoff::default().failed(f64::MAX),
            Duration::from_millis(1_250),
            "a chance out of its range changes nothing"
        );
    }

    #[test]
    fn a_path_that_held_is_looked_for_at_once_and_one_that_did_not_after_a_growing_pause() {
        let mut backoff = Backoff::default();
        seconds(&mut backoff, 0.5);
        assert_eq!(backoff.lost(LOST_LATE, 0.5), Duration::ZERO);
        assert_eq!(backoff.attempt(), 0, "and what failed before it is forgotten");
        let flapping: Vec<u64> =
            (0..4).map(|_| backoff.lost(Duration::from_millis(200), 0.5).as_secs()).collect();
        assert_eq!(flapping, [1, 2, 4, 8]);
    }

    #[test]
    fn the_pause_after_any_number_of_failures_is_bounded() {
        let mut backoff = Backoff { failures: u32::MAX - 1 };
        assert_eq!(backoff.failed(0.5), LONGEST);
        assert_eq!(backoff.failed(1.0), LONGEST);
        assert_eq!(backoff.attempt(), u32::MAX);
    }

    #[test]
    fn who_waits_is_served_at_once_unless_an_attempt_has_just_begun() {
        assert_eq!(Backoff::for_a_waiting_client(Duration::from_secs(40)), Duration::ZERO);
        assert_eq!(Backoff::for_a_waiting_client(Duration::ZERO), FIRST);
        assert_eq!(
            Backoff::for_a_waiting_client(Duration::from_millis(400)),
            Duration::from_millis(600)
        );
    }
}
