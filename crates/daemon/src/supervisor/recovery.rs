//! What is known of a machine that does not answer, and when the next attempt to reach it, the next
//! search for an unknown machine and the next answer to a waiting client are due. Pure: time and
//! chance come in as arguments.
//!
//! A path that held for a while is retried at once when it is lost. Each failure after that doubles
//! the pause (back-off), and so does a path that is lost again right after it was made. A client
//! that waits shortens a pause, but attempts never follow each other without one.

use std::time::Duration;

use lifecycle::Moment;
use machine::MachineError;

/// The first pause, and the shortest between the beginnings of two attempts.
const FIRST: Duration = Duration::from_secs(1);
/// No pause is longer.
const LONGEST: Duration = Duration::from_secs(60);
/// The loss of a path that held this long is no failure of the attempt that made it.
const HELD: Duration = Duration::from_secs(30);
/// Jitter: a pause changes by up to this part of itself, so that the clients of one network do not
/// come back in step.
const JITTER: f64 = 0.25;

/// The pause before the first search after a failure; it doubles with each search.
const FIRST_SEARCH: Duration = Duration::from_secs(30);
/// An orphaned server costs a started hour. In this time at most six are missed, and the searches
/// stay far below any rate limit of the cloud.
const LONGEST_SEARCH: Duration = Duration::from_secs(10 * 60);

/// A failure that lasts, or that has cost money, is the answer to further requests for this long:
/// one docker command makes several requests, and each attempt could cost started hours.
pub(super) const LASTING_FAILURE_HOLDS: Duration = Duration::from_secs(60);
/// A verdict on a server that does not answer is the answer to further requests for this long: the
/// network may be repaired at any moment, and one docker command makes several requests within a
/// second.
const VERDICT_HOLDS: Duration = Duration::from_secs(10);
/// After an order of the user refused requests, later ones get the same answer for this long: one
/// docker command makes several requests, and the later ones must not wake another machine.
pub(super) const REFUSAL_HOLDS: Duration = Duration::from_secs(5);

/// What is known of a machine that does not answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Recovery {
    /// A machine existed, and its end is not known: it is looked for although no client waits.
    expected: bool,
    /// Attempts to reach it that failed in a row.
    failures: u32,
    /// Searches for an unknown machine since one last answered.
    searches: u32,
    /// The last heartbeat that the machine received, and until when its lease lasts by that.
    heartbeat: Option<(Moment, Moment)>,
    /// Until then requests get the last failure instead of a new attempt.
    refuses_until: Option<Moment>,
}

impl Recovery {
    /// For a new daemon. A machine is `expected` if the last daemon knew one.
    pub(crate) fn new(expected: bool) -> Self {
        Self { expected, ..Self::default() }
    }

    pub(super) fn is_expected(&self) -> bool {
        self.expected
    }

    /// The cloud has a machine, whether it answers or not.
    pub(super) fn exists(&mut self) {
        self.expected = true;
    }

    /// The machine answers, and received a heartbeat with the connection.
    pub(super) fn connected(&mut self, now: Moment, lease: Duration) {
        (self.expected, self.searches, self.refuses_until) = (true, 0, None);
        self.received_heartbeat(now, lease);
    }

    pub(super) fn received_heartbeat(&mut self, at: Moment, lease: Duration) {
        self.heartbeat = Some((at, at.plus(lease)));
    }

    /// Time since the machine last received a heartbeat.
    pub(super) fn silence(&self, now: Moment) -> Option<Duration> {
        self.heartbeat.map(|(at, _)| now.since(at))
    }

    /// Whether the machine has ended itself by now, as far as heartbeats say.
    pub(super) fn lease_is_over(&self, now: Moment) -> bool {
        self.heartbeat.is_some_and(|(_, until)| until.since(now).is_zero())
    }

    /// The machine is gone.
    pub(super) fn ended(&mut self) {
        (self.expected, self.heartbeat) = (false, None);
    }

    /// A path that held for `held` is lost. Returns the pause before the first attempt to connect
    /// again, for a `chance` between 0 and 1.
    pub(super) fn path_lost(&mut self, held: Duration, chance: f64) -> Duration {
        if held >= HELD {
            self.failures = 0;
            return Duration::ZERO;
        }
        self.attempt_failed(chance)
    }

    /// An attempt to connect failed. Returns the pause before the next one.
    pub(super) fn attempt_failed(&mut self, chance: f64) -> Duration {
        let pause = FIRST.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let jitter = 1.0 + JITTER * (2.0 * chance.clamp(0.0, 1.0) - 1.0);
        pause.mul_f64(jitter).min(LONGEST)
    }

    /// Which attempt to connect is next, counted from 0.
    pub(super) fn attempt(&self) -> u32 {
        self.failures
    }

    /// When a waiting client gets an attempt of its own. `begun` is the beginning of the last
    /// attempt: one that has just begun serves the client, too.
    pub(super) fn due_for_client(begun: Option<Moment>, now: Moment) -> Moment {
        begun.map_or(now, |begun| begun.plus(FIRST).max(now))
    }

    /// No machine was obtained. Returns when one that existed is looked for again; never if that
    /// cannot help.
    pub(super) fn failed(
        &mut self,
        error: &MachineError,
        now: Moment,
        chance: f64,
    ) -> Option<Moment> {
        if error.is_lasting() || error.has_cost_money() {
            self.refuse_for(LASTING_FAILURE_HOLDS, now);
        } else if error.is_verdict() {
            self.refuse_for(VERDICT_HOLDS, now);
        }
        self.expected &= error.may_pass();
        self.expected.then(|| now.plus(self.attempt_failed(chance)))
    }

    /// Requests get the last failure for so long.
    pub(super) fn refuse_for(&mut self, length: Duration, now: Moment) {
        self.refuses_until = Some(now.plus(length));
    }

    pub(super) fn refuses(&self, now: Moment) -> bool {
        self.refuses_until.is_some_and(|until| now < until)
    }

    /// A new attempt begins: its outcome is the answer to requests.
    pub(super) fn attempts(&mut self) {
        self.refuses_until = None;
    }

    /// The pause before the next search for a machine that this daemon does not know. After a
    /// failure the cloud may hold what that left.
    pub(super) fn search_pause(&self, has_failed: bool) -> Duration {
        match has_failed {
            true => {
                FIRST_SEARCH.saturating_mul(2_u32.saturating_pow(self.searches)).min(LONGEST_SEARCH)
            }
            false => LONGEST_SEARCH,
        }
    }

    /// A search found nothing.
    pub(super) fn searched(&mut self) {
        self.searches = self.searches.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(recovery: &mut Recovery, chance: f64) -> Vec<f64> {
        (0..9).map(|_| recovery.attempt_failed(chance).as_secs_f64()).collect()
    }

    fn at(second: u64) -> Moment {
        Moment::since_boot(Duration::from_secs(second))
    }

    #[test]
    fn pauses_double_from_one_second_to_a_minute() {
        assert_eq!(
            pauses(&mut Recovery::default(), 0.5),
            [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
        );
    }

    #[test]
    fn jitter_is_a_quarter_of_a_pause_and_never_exceeds_a_minute() {
        assert_eq!(pauses(&mut Recovery::default(), 0.0)[..4], [0.75, 1.5, 3.0, 6.0]);
        assert_eq!(
            pauses(&mut Recovery::default(), 1.0),
            [1.25, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0]
        );
        assert_eq!(
            Recovery::default().attempt_failed(f64::MAX),
            Duration::from_millis(1_250),
            "a chance out of its range changes nothing"
        );
    }

    #[test]
    fn path_that_held_is_retried_at_once_and_one_that_did_not_after_a_growing_pause() {
        let mut recovery = Recovery::default();
        pauses(&mut recovery, 0.5);
        assert_eq!(recovery.path_lost(Duration::from_secs(3_600), 0.5), Duration::ZERO);
        assert_eq!(recovery.attempt(), 0, "earlier failures are forgotten");
        let flapping: Vec<u64> =
            (0..4).map(|_| recovery.path_lost(Duration::from_millis(200), 0.5).as_secs()).collect();
        assert_eq!(flapping, [1, 2, 4, 8]);
    }

    #[test]
    fn pause_after_any_number_of_failures_is_bounded() {
        let mut recovery = Recovery { failures: u32::MAX - 1, ..Recovery::default() };
        assert_eq!(recovery.attempt_failed(0.5), LONGEST);
        assert_eq!(recovery.attempt_failed(1.0), LONGEST);
        assert_eq!(recovery.attempt(), u32::MAX);
    }

    #[test]
    fn waiting_client_is_served_at_once_unless_an_attempt_has_just_begun() {
        let due = |begun| Recovery::due_for_client(begun, at(100)).since(at(100));
        assert_eq!(due(None), Duration::ZERO);
        assert_eq!(due(Some(at(60))), Duration::ZERO);
        assert_eq!(due(Some(at(100))), FIRST);
        let begun = at(99).plus(Duration::from_millis(600));
        assert_eq!(due(Some(begun)), Duration::from_millis(600));
    }

    #[test]
    fn searches_are_frequent_after_a_failure_and_become_rare() {
        let mut recovery = Recovery::default();
        let mut seconds = Vec::new();
        for _ in 0..7 {
            seconds.push(recovery.search_pause(true).as_secs());
            recovery.searched();
        }
        assert_eq!(seconds, [30, 60, 120, 240, 480, 600, 600]);
        assert_eq!(Recovery::default().search_pause(false).as_secs(), 600);
        let long_since = Recovery { searches: u32::MAX, ..Recovery::default() };
        assert_eq!(long_since.search_pause(true).as_secs(), 600);
    }

    #[test]
    fn lease_lasts_as_long_as_the_last_heartbeat_says() {
        let mut recovery = Recovery::default();
        assert!(!recovery.lease_is_over(at(1_000)), "nothing was promised");
        recovery.connected(at(100), Duration::from_secs(300));
        assert_eq!(
            (recovery.lease_is_over(at(399)), recovery.lease_is_over(at(400))),
            (false, true)
        );
        recovery.received_heartbeat(at(200), Duration::from_secs(300));
        assert!(!recovery.lease_is_over(at(400)));
        assert_eq!(recovery.silence(at(260)), Some(Duration::from_secs(60)));
        recovery.ended();
        assert_eq!((recovery.is_expected(), recovery.silence(at(260))), (false, None));
    }

    #[test]
    fn lasting_failure_is_not_retried_and_answers_requests_for_a_minute() {
        let mut recovery = Recovery::new(true);
        let lasting = MachineError::NoVolume;
        assert!(lasting.is_lasting() && !lasting.may_pass());
        assert_eq!(recovery.failed(&lasting, at(100), 0.5), None);
        assert_eq!((recovery.refuses(at(159)), recovery.refuses(at(160))), (true, false));
        assert!(!recovery.is_expected());
        recovery.refuse_for(REFUSAL_HOLDS, at(200));
        recovery.attempts();
        assert!(!recovery.refuses(at(200)), "a new attempt");
    }

    #[test]
    fn failure_that_may_pass_is_retried_if_a_machine_existed() {
        let away = || MachineError::TimedOut {
            waited: Duration::from_secs(60),
            last: "connecting".to_owned(),
        };
        assert_eq!(Recovery::new(false).failed(&away(), at(100), 0.5), None);
        assert_eq!(Recovery::new(true).failed(&away(), at(100), 0.5), Some(at(101)));
    }
}
