//! The last checks of the machine with their results. Checks of one kind with the same result are
//! one entry: a quiet day is one line, and a short outage stays visible for hours. Bounded. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use api::{CheckKind, CheckStatus};
use lifecycle::Moment;

use crate::clock_time::ClockTime;

/// Entries kept: an outage makes about four.
const KEPT: usize = 32;
/// Characters kept of an error.
const LONGEST_ERROR: usize = 200;

/// Checks of one kind with the same result, one after another.
#[derive(Debug, Clone)]
struct Run {
    check: CheckKind,
    first: Moment,
    last: Moment,
    count: u64,
    took: Option<Duration>,
    error: Option<String>,
}

/// The last checks, newest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct CheckHistory(VecDeque<Run>);

impl CheckHistory {
    /// A check that passed at `at`.
    pub(crate) fn passed(&mut self, check: CheckKind, took: Option<Duration>, at: Moment) {
        self.record(check, took, None, at);
    }

    /// A check that failed at `at`.
    pub(crate) fn failed(&mut self, check: CheckKind, error: &str, at: Moment) {
        let error = error.chars().take(LONGEST_ERROR).collect();
        self.record(check, None, Some(error), at);
    }

    fn record(
        &mut self,
        check: CheckKind,
        took: Option<Duration>,
        error: Option<String>,
        at: Moment,
    ) {
        if let Some(run) = self.0.front_mut().filter(|run| run.check == check && run.error == error)
        {
            (run.last, run.took) = (at, took);
            run.count += 1;
            return;
        }
        self.0.truncate(KEPT - 1);
        self.0.push_front(Run { check, first: at, last: at, count: 1, took, error });
    }

    pub(crate) fn status(&self, wall: ClockTime) -> Vec<CheckStatus> {
        let status = |run: &Run| CheckStatus {
            check: run.check,
            first: wall.at(run.first),
            last: wall.at(run.last),
            count: run.count,
            took_ms: run.took.map(|took| took.as_secs_f64() * 1e3),
            error: run.error.clone(),
        };
        self.0.iter().map(status).collect()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::default().plus(Duration::from_secs(seconds))
    }

    fn wall() -> ClockTime {
        ClockTime { now: at(1_000), time: Timestamp::from_second(10_000).unwrap() }
    }

    #[test]
    fn equal_results_are_one_entry_with_the_last_time() {
        let mut checks = CheckHistory::default();
        let took = Some(Duration::from_millis(12));
        checks.passed(CheckKind::Heartbeat, None, at(10));
        checks.passed(CheckKind::Heartbeat, took, at(40));
        checks.failed(CheckKind::Path, "no answer", at(50));
        checks.passed(CheckKind::Heartbeat, took, at(60));
        let status: Vec<_> = (checks.status(wall()).into_iter())
            .map(|run| (run.check, run.first, run.last, run.count, run.took_ms, run.error))
            .collect();
        let lost = Some("no answer".to_owned());
        assert_eq!(
            status,
            [
                (CheckKind::Heartbeat, 9_060, 9_060, 1, Some(12.0), None),
                (CheckKind::Path, 9_050, 9_050, 1, None, lost),
                (CheckKind::Heartbeat, 9_010, 9_040, 2, Some(12.0), None),
            ]
        );
    }

    #[test]
    fn history_is_bounded_with_its_newest_entry_first() {
        let mut checks = CheckHistory::default();
        for number in 0..100 {
            let error = format!("{number} {}", "x".repeat(1_000));
            checks.failed(CheckKind::Connect, &error, at(number));
        }
        let status = checks.status(wall());
        let newest = status[0].error.as_ref().unwrap();
        assert_eq!((status.len(), newest.chars().count()), (KEPT, LONGEST_ERROR));
        assert!(newest.starts_with("99 "), "{newest}");
    }
}
