//! Finds polling: requests that a program repeats. Pure: requests and the time that the computer
//! has been awake come in as arguments.
//!
//! IDEs and dashboards request lists every second, or every minute, while they are open. That is no
//! work: it neither wakes a machine nor keeps one. Only its rhythm distinguishes it from a user who
//! types `docker ps` twice, or nine times in a day, for the docker command is a new process each
//! time.

use std::collections::BTreeMap;
use std::time::Duration;

/// Requests that are closer together are one query, made by several processes at once.
const AT_ONCE: Duration = Duration::from_millis(150);
/// How many gaps are examined.
const GAPS: usize = 3;
/// No user keeps up such short gaps: Dev Containers polls up to four times a second, Docker views
/// once a second.
const RAPID: Duration = Duration::from_secs(10);
/// The gaps of a timer differ by no more than this part of the shortest, plus what a busy computer
/// adds.
const JITTER: f64 = 0.2;
const BUSY: Duration = Duration::from_secs(2);
/// Slower rhythms are not searched for: three gaps would be most of a working day.
const SLOWEST: Duration = Duration::from_secs(2 * 60 * 60);
/// Several windows with a timer each have no common rhythm: so many requests within this time are
/// polling, too.
const MANY: usize = 8;
const MANY_WITHIN: Duration = Duration::from_secs(10 * 60);
/// A poller may pause for this long, or for three of its gaps, and remains one.
const PAUSE: Duration = Duration::from_secs(2 * 60);
/// Different requests that are remembered. IDEs request a few lists and each container; the one
/// that was silent longest is forgotten first.
const SERIES: usize = 1_024;

/// The requests that may be polling.
#[derive(Debug, Default)]
pub struct Polling {
    series: BTreeMap<String, Series>,
}

#[derive(Debug, Default)]
struct Series {
    /// The last arrivals, newest last.
    arrivals: Vec<Duration>,
    polls: bool,
}

impl Polling {
    /// A read-only request arrives. Requests with the same `signature`, which has client and path,
    /// are the same. Returns whether it is polling.
    pub fn arrives(&mut self, signature: &str, awake: Duration) -> bool {
        if !self.series.contains_key(signature) && self.series.len() >= SERIES {
            self.forget_the_longest_silent();
        }
        self.series.entry(signature.to_owned()).or_default().arrives(awake)
    }

    fn forget_the_longest_silent(&mut self) {
        let longest = self
            .series
            .iter()
            .min_by_key(|(_, series)| series.arrivals.last().copied())
            .map(|(signature, _)| signature.clone());
        if let Some(signature) = longest {
            self.series.remove(&signature);
        }
    }
}

impl Series {
    fn arrives(&mut self, at: Duration) -> bool {
        let silent = self.arrivals.last().map(|last| at.saturating_sub(*last));
        if silent.is_some_and(|silent| silent < AT_ONCE) {
            return self.polls;
        }
        if self.polls && silent.is_some_and(|silent| silent > PAUSE.max(self.shortest_gap() * 3)) {
            *self = Self::default();
        }
        self.arrivals.push(at);
        if self.arrivals.len() > MANY {
            self.arrivals.remove(0);
        }
        self.polls |= self.has_rhythm() || self.are_many();
        self.polls
    }

    fn gaps(&self) -> impl Iterator<Item = Duration> {
        let from = self.arrivals.len().saturating_sub(GAPS + 1);
        self.arrivals[from..].windows(2).map(|pair| pair[1].saturating_sub(pair[0]))
    }

    fn longest_gap(&self) -> Duration {
        self.gaps().max().unwrap_or_default()
    }

    fn shortest_gap(&self) -> Duration {
        self.gaps().min().unwrap_or_default()
    }

    fn has_rhythm(&self) -> bool {
        if self.gaps().count() < GAPS {
            return false;
        }
        let longest = self.longest_gap();
        longest <= RAPID
            || (longest <= SLOWEST && longest <= self.shortest_gap().mul_f64(1.0 + JITTER) + BUSY)
    }

    fn are_many(&self) -> bool {
        let (Some(first), Some(last)) = (self.arrivals.first(), self.arrivals.last()) else {
            return false;
        };
        self.arrivals.len() == MANY && last.saturating_sub(*first) <= MANY_WITHIN
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::{Clock, FakeClock};

    const LIST: &str = "Docker-Client/28.2.2 (linux) GET /v1.51/containers/json?all=1";

    /// Whether each request is polling, for requests so many milliseconds after each other.
    fn answers(gaps: &[u64]) -> Vec<bool> {
        let (mut polling, clock) = (Polling::default(), FakeClock::default());
        let mut answers = vec![polling.arrives(LIST, clock.awake())];
        for gap in gaps {
            clock.advance(Duration::from_millis(*gap));
            answers.push(polling.arrives(LIST, clock.awake()));
        }
        answers
    }

    #[test]
    fn view_refreshed_every_second_polls_from_the_fourth_request() {
        assert_eq!(answers(&[1_000; 9]), [vec![false; 3], vec![true; 7]].concat());
    }

    #[test]
    fn extension_that_runs_the_command_one_to_four_times_a_second_polls() {
        let answers = answers(&[250, 1_000, 400, 250, 800, 330, 270, 999, 1_004, 250]);
        assert!(answers[3..].iter().all(|poll| *poll), "{answers:?}");
    }

    #[test]
    fn dashboard_with_a_timer_of_a_minute_or_an_hour_polls() {
        for period in [15_000, 60_000, 300_000, 900_000, 3_600_000] {
            let answers =
                answers(&[period, period + period / 20, period - period / 20, period, period]);
            assert_eq!(answers, [false, false, false, true, true, true], "{period} ms");
        }
    }

    #[test]
    fn two_windows_with_a_timer_each_poll() {
        let answers = answers(&[[15_000, 45_000]; 8].concat());
        assert!(answers[MANY - 1..].iter().all(|poll| *poll), "{answers:?}");
    }

    #[test]
    fn ten_commands_at_once_are_not_polling() {
        assert!(answers(&[3; 30]).iter().all(|poll| !poll));
        assert_eq!(
            answers(&[3, 1_000, 3, 1_000, 3, 1_000, 3]),
            [vec![false; 6], vec![true; 2]].concat()
        );
    }

    #[test]
    fn user_who_looks_now_and_then_does_not_poll() {
        let minutes = |gaps: &[u64]| gaps.iter().map(|minute| minute * 60_000).collect::<Vec<_>>();
        assert!(answers(&minutes(&[1, 7, 2, 30, 12, 4, 3, 55, 9])).iter().all(|poll| !poll));
        assert!(
            answers(&[4_000, 9_000, 95_000, 3_000, 240_000, 15_000, 600_000])
                .iter()
                .all(|poll| !poll)
        );
    }

    #[test]
    fn suspend_does_not_make_a_poller_look_like_a_user() {
        let (mut polling, clock) = (Polling::default(), FakeClock::default());
        for _ in 0..5 {
            polling.arrives(LIST, clock.awake());
            clock.advance(Duration::from_secs(1));
        }
        clock.suspend(Duration::from_secs(10 * 60 * 60));
        assert!(polling.arrives(LIST, clock.awake()), "the first request after a night");
    }

    #[test]
    fn client_that_stops_polling_is_a_user_again_after_a_while() {
        let answers = answers(&[1_000, 1_000, 1_000, 110_000, 121_000, 1_000]);
        assert_eq!(answers, [false, false, false, true, true, false, false]);
    }

    #[test]
    fn different_requests_have_separate_rhythms_and_a_bound() {
        let clock = Arc::new(FakeClock::default());
        let mut polling = Polling::default();
        for turn in 0..4 {
            for container in 0..SERIES * 2 {
                let poll =
                    polling.arrives(&format!("GET /containers/{container}/json"), clock.awake());
                assert!(!poll, "{container} in turn {turn}: the bound made it forgotten");
                assert!(polling.series.len() <= SERIES);
                clock.advance(Duration::from_millis(1));
            }
            clock.advance(Duration::from_secs(1));
        }
        for turn in 0..4 {
            clock.advance(Duration::from_secs(1));
            assert_eq!(polling.arrives("GET /info", clock.awake()), turn == 3);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn requests_by_a_timer_poll_from_the_fourth_on(
            period in 200u64..6_800_000,
            jitter in prop::collection::vec(-0.04f64..0.04, 3..40),
        ) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "small and positive"
            )]
            let gap = |part: &f64| (period as f64 * (1.0 + part)) as u64;
            let gaps: Vec<u64> = jitter.iter().map(gap).collect();
            let answers = answers(&gaps);
            prop_assert!(answers[3..].iter().all(|poll| *poll), "{answers:?}");
        }

        #[test]
        fn three_requests_are_never_polling(gaps in prop::collection::vec(0u64..10_000_000, 0..3)) {
            prop_assert!(answers(&gaps).iter().all(|poll| !poll));
        }
    }
}
