use std::sync::Arc;

use super::*;
use crate::{
    Activity, Billing, Budget, Clock, Container, Containers, Counts, FakeClock, Guard, Kind, Lock,
};

mod reference;

const HOUR: Billing =
    Billing { unit: Duration::from_secs(3_600), release_takes: Duration::from_secs(60) };

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Without the paid hour, which has separate tests.
fn by_timeouts() -> Policy {
    Policy { keep_paid_hour: false, ..Policy::default() }
}

struct Stage {
    clock: Arc<FakeClock>,
    activity: Activity,
    policy: Policy,
    tenure: Tenure,
}

impl Stage {
    fn new(policy: Policy) -> Self {
        let clock = Arc::new(FakeClock::default());
        // Long after the boot, so that no moment before it is needed.
        clock.advance(seconds(1_000_000));
        let tenure = Tenure::free(clock.now());
        Self { activity: Activity::new(clock.clone()), clock, policy, tenure }
    }

    fn billed(policy: Policy) -> Self {
        let stage = Self::new(policy);
        Self { tenure: Tenure { billing: Some(HOUR), ..stage.tenure }, ..stage }
    }

    fn pass(&self, length: u64) -> Verdict {
        self.clock.advance(seconds(length));
        self.verdict()
    }

    fn verdict(&self) -> Verdict {
        decide(&self.activity.snapshot(), &self.policy, &self.tenure, self.clock.now())
    }

    fn command(&self) {
        drop(self.activity.begin(Kind::Command, "GET /containers/json"));
    }

    fn containers(&self, names: &[&str], keeps: bool) {
        let counts = if keeps { Counts::Always } else { Counts::AsSet };
        self.activity.set_containers(
            names.iter().map(|name| Container { name: (*name).to_owned(), counts }).collect(),
        );
    }

    /// How long until it ends, if nothing more happens, checked every second.
    fn lives_for(&self) -> u64 {
        let begun = self.clock.now();
        while self.verdict().outcome != Outcome::Destroy {
            self.clock.advance(seconds(1));
            assert!(
                self.clock.now().since(begun) < seconds(1_000_000),
                "it never ends: {:?}",
                self.verdict()
            );
        }
        self.clock.now().since(begun).as_secs()
    }
}

#[test]
fn machine_ends_five_minutes_and_the_grace_period_after_the_last_command() {
    let stage = Stage::new(by_timeouts());
    stage.command();
    assert_eq!(stage.lives_for(), 330);
}

#[test]
fn silent_connections_and_running_containers_keep_it_for_longer() {
    let stage = Stage::new(by_timeouts());
    let open = stage.activity.begin(Kind::Forward, "web:8080");
    assert_eq!(stage.lives_for(), 1_830);
    drop(open);
    stage.containers(&["web"], false);
    assert_eq!(stage.lives_for(), 1_830);
    let watched = stage.activity.begin(Kind::Watch, "GET /containers/web/stats");
    for _ in 0..40 {
        stage.clock.advance(seconds(60));
        watched.traffic();
    }
    assert_eq!(stage.verdict().outcome, Outcome::Destroy, "a user only watches");
}

#[test]
fn work_keeps_it_while_it_goes_on() {
    for kind in [Kind::Command, Kind::Build, Kind::Transfer] {
        let stage = Stage::new(by_timeouts());
        let work = stage.activity.begin(kind, "x");
        let verdict = stage.pass(100_000);
        assert_eq!(
            (verdict.outcome, verdict.reasons[0].for_another, verdict.first_ending()),
            (Outcome::Keep, None, None),
            "{kind:?}"
        );
        drop(work);
        assert_eq!(stage.lives_for(), 330, "{kind:?}");
    }
}

#[test]
fn settings_decide_whether_running_containers_keep_it() {
    let lives = |containers| {
        let stage = Stage::new(Policy { containers, ..by_timeouts() });
        stage.containers(&["web"], false);
        stage.pass(100_000).outcome == Outcome::Keep
            || stage.activity.snapshot().containers.is_empty()
    };
    assert_eq!(
        [lives(Containers::Timeout), lives(Containers::Keep), lives(Containers::Ignore)],
        [false, true, false]
    );
    let stage = Stage::new(Policy { containers: Containers::Ignore, ..by_timeouts() });
    stage.containers(&["web"], false);
    assert_eq!(stage.lives_for(), 330);
    stage.containers(&["web"], true);
    let verdict = stage.pass(100_000);
    assert_eq!(
        (verdict.outcome, verdict.reasons[0].kind),
        (Outcome::Keep, ReasonKind::Container),
        "a label of its own"
    );
    assert!(verdict.reasons[0].what.contains("web"), "{verdict:?}");
}

#[test]
fn activity_within_the_grace_period_cancels_the_end() {
    let stage = Stage::new(by_timeouts());
    let verdict = stage.pass(310);
    assert_eq!(
        (verdict.outcome, verdict.first_ending().map(|ending| ending.in_another)),
        (Outcome::Grace, Some(seconds(20)))
    );
    assert_eq!(verdict.first_ending().map(|ending| ending.cancelled_by), Some(Cancel::Activity));
    stage.command();
    assert_eq!(stage.verdict().outcome, Outcome::Keep);
}

#[test]
fn activity_on_an_earlier_machine_does_not_shorten_the_life_of_this_one() {
    let mut stage = Stage::new(by_timeouts());
    stage.command();
    stage.clock.advance(seconds(86_400));
    stage.tenure = Tenure::free(stage.clock.now());
    assert_eq!(stage.lives_for(), 330);
}

#[test]
fn suspend_counts_as_idleness() {
    let stage = Stage::new(by_timeouts());
    stage.command();
    stage.clock.suspend(seconds(331));
    assert_eq!(stage.verdict().outcome, Outcome::Destroy);
}

#[test]
fn pin_keeps_it_until_its_end_or_until_it_is_removed() {
    let stage = Stage::new(by_timeouts());
    stage.activity.pin(Some(seconds(8 * 3_600)));
    assert_eq!(stage.lives_for(), 8 * 3_600 + 30);
    stage.activity.pin(None);
    let verdict = stage.pass(100_000);
    assert_eq!((verdict.outcome, verdict.reasons[0].kind), (Outcome::Keep, ReasonKind::Pin));
    assert!(stage.activity.unpin());
    assert_eq!(stage.verdict().outcome, Outcome::Destroy);
}

#[test]
fn paid_hour_is_used_until_the_grace_period_and_the_release_just_fit_in() {
    let stage = Stage::billed(Policy::default());
    stage.command();
    let verdict = stage.pass(400);
    assert_eq!(
        (verdict.outcome, verdict.reasons[0].kind),
        (Outcome::Keep, ReasonKind::PaidHour),
        "{verdict:?}"
    );
    assert_eq!(400 + stage.lives_for(), 3_540);

    let stage = Stage::billed(Policy::default());
    stage.clock.advance(seconds(3_300));
    stage.command();
    assert_eq!(stage.lives_for(), 3_840, "activity that ends in the second hour uses that one");

    let stage = Stage::billed(Policy::default());
    stage.clock.advance(seconds(3_250));
    stage.command();
    assert_eq!(
        stage.lives_for(),
        330,
        "too late for this hour: it ends at once, which may still be in time"
    );
}

#[test]
fn hour_counts_from_the_creation_and_not_from_the_first_connection() {
    let mut stage = Stage::billed(Policy::default());
    stage.tenure.age = seconds(1_800);
    assert_eq!(stage.lives_for(), 1_740);
}

#[test]
fn no_machine_gets_older_than_max_lifetime_even_at_work() {
    let stage = Stage::new(Policy { max_lifetime: Some(seconds(10_000)), ..by_timeouts() });
    let _work = stage.activity.begin(Kind::Build, "POST /build");
    stage.activity.pin(None);
    let verdict = stage.pass(9_980);
    let ending = verdict.first_ending().unwrap();
    assert_eq!(
        (verdict.outcome, ending.cause, ending.cancelled_by),
        (Outcome::Grace, Cause::MaxLifetime, Cancel::Nothing)
    );
    assert_eq!(stage.lives_for(), 20);
}

#[test]
fn hour_that_would_exceed_the_budget_is_not_started() {
    let mut stage = Stage::billed(Policy::default());
    stage.tenure.budget = Some(Budget { limit: 1_000_000, spent: 999_000, next_unit: 8_800 });
    let _work = stage.activity.begin(Kind::Command, "POST /containers/x/wait");
    let verdict = stage.pass(60);
    assert_eq!(verdict.outcome, Outcome::Keep, "this hour is paid");
    assert_eq!(stage.tenure.budget.and_then(|budget| budget.warning()), Some(99));
    assert_eq!(60 + stage.lives_for(), 3_540);
    assert_eq!(stage.verdict().first_ending().unwrap().cause, Cause::Budget);
}

#[test]
fn locked_screen_ends_the_machine_after_the_grace_period_and_unlocking_cancels_it() {
    let stage = Stage::billed(Policy::default());
    stage.containers(&["db"], false);
    stage.command();
    stage.activity.set_locked(true);
    let verdict = stage.pass(290);
    let lock = verdict.endings.iter().find(|ending| ending.cause == Cause::Lock).unwrap();
    assert_eq!(
        (verdict.outcome, lock.in_another, lock.cancelled_by),
        (Outcome::Grace, seconds(10), Cancel::Unlock)
    );
    stage.activity.set_locked(false);
    assert_eq!(stage.pass(60).outcome, Outcome::Keep);
    stage.activity.set_locked(true);
    assert_eq!(stage.lives_for(), 300, "in spite of the container and of the paid hour");
}

#[test]
fn work_and_pins_withstand_a_lock_and_the_ordinary_grace_period_follows() {
    let stage = Stage::new(by_timeouts());
    stage.activity.set_locked(true);
    let build = stage.activity.begin(Kind::Build, "POST /build");
    assert_eq!(stage.pass(5_000).outcome, Outcome::Keep);
    drop(build);
    assert_eq!(stage.lives_for(), 30);

    let stage = Stage::new(by_timeouts());
    stage.activity.pin(Some(seconds(9_000)));
    stage.activity.set_locked(true);
    assert_eq!(stage.lives_for(), 9_030);

    let stage = Stage::new(by_timeouts());
    let job = stage.activity.begin(Kind::Stream, "POST /containers/job/attach");
    stage.activity.set_locked(true);
    for _ in 0..20 {
        assert_eq!(stage.pass(250).outcome, Outcome::Keep, "its output goes on");
        job.traffic();
    }
    assert_eq!(stage.lives_for(), 330);
}

#[test]
fn settings_decide_the_effect_of_a_lock() {
    let lives = |action| {
        let stage =
            Stage::new(Policy { lock: Lock { action, grace: seconds(60) }, ..by_timeouts() });
        stage.containers(&["db"], false);
        stage.command();
        stage.activity.set_locked(true);
        stage.lives_for()
    };
    assert_eq!(
        [lives(LockAction::Shutdown), lives(LockAction::Shorten), lives(LockAction::Ignore)],
        [60, 330, 1_830]
    );
}
