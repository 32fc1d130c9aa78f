//! Whether the API is asked at all. After calls in a row that it left without an answer of its own
//! it is spared for a while, and then asked by a single request that is not repeated; when that is
//! answered, all others follow. Pure: time comes in as an argument.

use std::time::Duration;

use tokio::time::Instant;

/// Calls in a row, each with all its repeats, which take eight seconds on average. Of calls side by
/// side the first that fails usually ends the others.
const FAILURES: u32 = 3;

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// The API answered, be it with a refusal.
    Answered,
    /// It, or what stands before it, failed.
    Unanswered,
    /// Nothing left this computer: that says nothing about the API, and spares it by itself.
    Unsent,
}

/// Whether a call may be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// As usual.
    Free,
    /// Once, to see whether the API is back.
    Trial,
    /// Another call is trying: its outcome decides.
    Wait,
    /// Not before that time has passed.
    Refused { failures: u32, again_in: Duration },
}

/// How long the API is spared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pauses {
    /// The first time; it doubles with each trial that fails.
    pub(crate) first: Duration,
    /// At most.
    pub(crate) longest: Duration,
    /// A trial without an outcome for so long was given up by whoever made it.
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
    /// Whether a call may be made now. Whoever gets [`Admission::Trial`] reports its outcome.
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

    /// A call has ended.
    pub(crate) fn learn(&mut self, came: Came, pauses: Pauses, now: Instant) {
        match (came, self.state) {
            (Came::Answered, _) => *self = Self::default(),
            // The next failure tells.
            (Came::Unsent, State::Trying { .. }) => self.state = State::Closed,
            (Came::Unsent, _) => {}
            (Came::Unanswered, state) => {
                self.failures = self.failures.saturating_add(1);
                let pause = match state {
                    State::Closed if self.failures < FAILURES => return,
                    State::Closed => pauses.first,
                    State::Trying { pause, .. } => pause.saturating_mul(2).min(pauses.longest),
                    // A call that began before it opened.
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
            breaker.learn(Came::Unanswered, PAUSES, now);
        }
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            for _ in 1..FAILURES {
                breaker.learn(Came::Unanswered, PAUSES, now);
            }
            breaker.learn(Came::Answered, PAUSES, now);
        }
        for _ in 0..100 {
            breaker.learn(Came::Unsent, PAUSES, now);
        }
        assert_eq!(breaker.admit(PAUSES, now), Admission::Free);
        assert_eq!(
            opened(now).admit(PAUSES, now),
            Admission::Refused { failures: FAILURES, again_in: seconds(5) }
        );
    }

    #[test]
    fn each_trial_that_fails_doubles_the_pause_up_to_its_bound() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        for pause in [5, 10, 20, 30, 30] {
            let Admission::Refused { again_in, .. } = breaker.admit(PAUSES, now) else {
                panic!("it is open: {breaker:?}")
            };
            assert_eq!(again_in, seconds(pause));
            now += again_in;
            assert_eq!(breaker.admit(PAUSES, now), Admission::Trial);
            breaker.learn(Came::Unanswered, PAUSES, now);
        }
    }

    #[test]
    fn one_trial_at_a_time_and_all_follow_when_it_is_answered() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert_eq!(breaker.admit(PAUSES, now + seconds(5)), Admission::Trial);
        assert_eq!(breaker.admit(PAUSES, now + seconds(6)), Admission::Wait);
        breaker.learn(Came::Answered, PAUSES, now + seconds(7));
        assert_eq!(breaker.admit(PAUSES, now + seconds(7)), Admission::Free);
    }

    #[test]
    fn a_trial_that_was_given_up_keeps_nobody_waiting_for_ever() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert_eq!(breaker.admit(PAUSES, now + seconds(5)), Admission::Trial);
        assert_eq!(breaker.admit(PAUSES, now + seconds(34)), Admission::Wait);
        assert_eq!(breaker.admit(PAUSES, now + seconds(35)), Admission::Trial);
    }

    #[test]
    fn calls_that_began_before_it_opened_change_no_pause() {
        let now = Instant::now();
        let mut breaker = opened(now);
        breaker.learn(Came::Unanswered, PAUSES, now + seconds(4));
        assert_eq!(breaker.admit(PAUSES, now + seconds(5)), Admission::Trial);
        breaker.learn(Came::Unsent, PAUSES, now + seconds(5));
        assert_eq!(
            breaker.admit(PAUSES, now + seconds(5)),
            Admission::Free,
            "without a network nothing reaches it"
        );
        breaker.learn(Came::Unanswered, PAUSES, now + seconds(6));
        assert!(matches!(breaker.admit(PAUSES, now + seconds(6)), Admission::Refused { .. }));
    }
}
