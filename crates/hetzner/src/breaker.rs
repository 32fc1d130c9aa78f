//! A circuit breaker: after several calls in a row without an answer from the API, no request is
//! sent for a while. Then a single request tries, without retries; once it is answered, all others
//! follow. Pure: time comes in as an argument.

use std::time::Duration;

use tokio::time::Instant;

/// Calls in a row that open the breaker, each with all its retries, which take 8 s on average. The
/// first failure of several parallel calls usually ends the others.
const FAILURES: u32 = 3;

/// The outcome of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The API answered, perhaps with a refusal.
    Answered,
    /// The API, or a gateway before it, failed.
    Unanswered,
    /// Nothing left this computer, which says nothing about the API.
    Unsent,
}

/// Whether a call may be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Yes.
    Free,
    /// Yes, as the trial whether the API is back.
    Trial,
    /// Not yet: the outcome of another call's trial decides.
    Wait,
    /// Not before this time has passed.
    Refused { failures: u32, again_in: Duration },
}

/// How long no request is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pauses {
    /// The first pause; it doubles with each failed trial.
    pub(crate) first: Duration,
    /// The longest pause.
    pub(crate) longest: Duration,
    /// A trial without an outcome for this long was abandoned by its caller.
    pub(crate) trial: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct Breaker {
    failures: u32,
    state: State,
}

#[derive(Debug, Default, Clone, Copy)]
enum State {
    #[default]
    Closed,
    Open {
        until: Instant,
        pause: Duration,
    },
    Trying {
        since: Instant,
        pause: Duration,
    },
}

impl Breaker {
    /// Whether a call may be made now. The caller reports the outcome of an [`Admission::Trial`].
    pub(crate) fn admit(&mut self, pauses: Pauses, now: Instant) -> Admission {
        let pause = match self.state {
            State::Closed => return Admission::Free,
            State::Open { until, .. } if now < until => {
                return Admission::Refused {
                    failures: self.failures,
                    again_in: until.saturating_duration_since(now),
                };
            }
            State::Trying { since, .. } if now.saturating_duration_since(since) < pauses.trial => {
                return Admission::Wait;
            }
            State::Open { pause, .. } | State::Trying { pause, .. } => pause,
        };
        self.state = State::Trying { since: now, pause };
        Admission::Trial
    }

    /// Records the outcome of a call.
    pub(crate) fn learn(&mut self, outcome: Outcome, pauses: Pauses, now: Instant) {
        match (outcome, self.state) {
            (Outcome::Answered, _) => *self = Self::default(),
            // The next outcome decides.
            (Outcome::Unsent, State::Trying { .. }) => self.state = State::Closed,
            (Outcome::Unsent, _) => {}
            (Outcome::Unanswered, state) => {
                self.failures = self.failures.saturating_add(1);
                let pause = match state {
                    State::Closed if self.failures < FAILURES => return,
                    State::Closed => pauses.first,
                    State::Trying { pause, .. } => pause.saturating_mul(2).min(pauses.longest),
                    // A call that began before the breaker opened.
                    State::Open { .. } => return,
                };
                self.state = State::Open { until: now + pause, pause };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSES: Pauses = Pauses {
        first: Duration::from_secs(5),
        longest: Duration::from_secs(30),
        trial: Duration::from_secs(30),
    };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES {
            assert_eq!(breaker.admit(PAUSES, now), Admission::Free);
            breaker.learn(Outcome::Unanswered, PAUSES, now);
        }
        breaker
    }

    #[test]
    fn breaker_opens_only_after_failures_in_a_row() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            for _ in 1..FAILURES {
                breaker.learn(Outcome::Unanswered, PAUSES, now);
            }
            breaker.learn(Outcome::Answered, PAUSES, now);
        }
        for _ in 0..100 {
            breaker.learn(Outcome::Unsent, PAUSES, now);
        }
        assert_eq!(breaker.admit(PAUSES, now), Admission::Free);
        assert_eq!(
            opened(now).admit(PAUSES, now),
            Admission::Refused { failures: FAILURES, again_in: seconds(5) }
        );
    }

    #[test]
    fn each_failed_trial_doubles_the_pause_up_to_its_limit() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        for pause in [5, 10, 20, 30, 30] {
            let Admission::Refused { again_in, .. } = breaker.admit(PAUSES, now) else {
                panic!("it is open: {breaker:?}")
            };
            assert_eq!(again_in, seconds(pause));
            now += again_in;
            assert_eq!(breaker.admit(PAUSES, now), Admission::Trial);
            breaker.learn(Outcome::Unanswered, PAUSES, now);
        }
    }

    #[test]
    fn one_trial_at_a_time_and_all_calls_follow_its_answer() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert_eq!(breaker.admit(PAUSES, now + seconds(5)), Admission::Trial);
        assert_eq!(breaker.admit(PAUSES, now + seconds(6)), Admission::Wait);
        breaker.learn(Outcome::Answered, PAUSES, now + seconds(7));
        assert_eq!(breaker.admit(PAUSES, now + seconds(7)), Admission::Free);
    }

    #[test]
    fn abandoned_trial_blocks_calls_for_a_limited_time() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert_eq!(breaker.admit(PAUSES, now + seconds(5)), Admission::Trial);
        assert_eq!(breaker.admit(PAUSES, now + seconds(34)), Admission::Wait);
        assert_eq!(breaker.admit(PAUSES, now + seconds(35)), Admission::Trial);
    }

    #[test]
    fn calls_that_began_before_the_breaker_opened_change_no_pause() {
        let now = Instant::now();
        let mut breaker = opened(now);
        breaker.learn(Outcome::Unanswered, PAUSES, now + seconds(4));
        assert_eq!(breaker.admit(PAUSES, now + seconds(5)), Admission::Trial);
        breaker.learn(Outcome::Unsent, PAUSES, now + seconds(5));
        assert_eq!(
            breaker.admit(PAUSES, now + seconds(5)),
            Admission::Free,
            "without a network no request reaches the API"
        );
        breaker.learn(Outcome::Unanswered, PAUSES, now + seconds(6));
        assert!(matches!(breaker.admit(PAUSES, now + seconds(6)), Admission::Refused { .. }));
    }
}
