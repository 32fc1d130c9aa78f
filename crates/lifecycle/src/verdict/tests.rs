use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::{
    Activity, Billing, Budget, Clock, Container, Containers, FakeClock, Guard, Kind, Lock,
};

const HOUR: Billing =
    Billing { unit: Duration::from_secs(3_600), release_takes: Duration::from_secs(60) };

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Without the paid hour, which has tests of its own.
fn by_time_outs() -> Policy {
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
        // Long after the boot, so that nothing is cut off at its moment.
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
        self.activity.set_containers(
            names.iter().map(|name| Container { name: (*name).to_owned(), keeps }).collect(),
        );
    }

    /// How long until it goes, if nothing happens any more, looked at every second.
    fn lives_for(&self) -> u64 {
        let begun = self.clock.now();
        while self.verdict().outcome != Outcome::Destroy {
            self.clock.advance(seconds(1));
            assert!(
                self.clock.now().since(begun) < seconds(1_000_000),
                "it never goes: {:?}",
                self.verdict()
            );
        }
        self.clock.now().since(begun).as_secs()
    }
}

#[test]
fn a_machine_goes_five_minutes_and_the_grace_after_the_last_command() {
    let stage = Stage::new(by_time_outs());
    stage.command();
    assert_eq!(stage.lives_for(), 330);
}

#[test]
fn silent_connections_and_running_containers_keep_it_for_longer() {
    let stage = Stage::new(by_time_outs());
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
    assert_eq!(stage.verdict().outcome, Outcome::Destroy, "somebody only looks");
}

#[test]
fn work_keeps_it_for_as_long_as_it_goes_on() {
    for kind in [Kind::Command, Kind::Build, Kind::Transfer] {
        let stage = Stage::new(by_time_outs());
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
fn what_running_containers_mean_is_the_persons_choice() {
    let lives = |containers| {
        let stage = Stage::new(Policy { containers, ..by_time_outs() });
        stage.containers(&["web"], false);
        stage.pass(100_000).outcome == Outcome::Keep
            || stage.activity.snapshot().containers.is_empty()
    };
    assert_eq!(
        [lives(Containers::Timeout), lives(Containers::Keep), lives(Containers::Ignore)],
        [false, true, false]
    );
    let stage = Stage::new(Policy { containers: Containers::Ignore, ..by_time_outs() });
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
fn activity_within_the_grace_cancels_the_end() {
    let stage = Stage::new(by_time_outs());
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
fn an_activity_of_an_earlier_machine_does_not_shorten_the_life_of_this_one() {
    let mut stage = Stage::new(by_time_outs());
    stage.command();
    stage.clock.advance(seconds(86_400));
    stage.tenure = Tenure::free(stage.clock.now());
    assert_eq!(stage.lives_for(), 330);
}

#[test]
fn sleep_counts_as_idleness() {
    let stage = Stage::new(by_time_outs());
    stage.command();
    stage.clock.suspend(seconds(331));
    assert_eq!(stage.verdict().outcome, Outcome::Destroy);
}

#[test]
fn a_pin_keeps_it_until_its_end_or_until_it_is_taken_off() {
    let stage = Stage::new(by_time_outs());
    stage.activity.pin(Some(seconds(8 * 3_600)));
    assert_eq!(stage.lives_for(), 8 * 3_600 + 30);
    stage.activity.pin(None);
    let verdict = stage.pass(100_000);
    assert_eq!((verdict.outcome, verdict.reasons[0].kind), (Outcome::Keep, ReasonKind::Pin));
    assert!(stage.activity.unpin());
    assert_eq!(stage.verdict().outcome, Outcome::Destroy);
}

#[test]
fn a_paid_hour_is_used_until_the_grace_and_the_way_down_just_fit_in() {
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
    assert_eq!(stage.lives_for(), 3_840, "what ends in the second hour uses that one");

    let stage = Stage::billed(Policy::default());
    stage.clock.advance(seconds(3_250));
    stage.command();
    assert_eq!(
        stage.lives_for(),
        330,
        "too late for this hour: at once, which may still be in time"
    );
}

#[test]
fn the_hour_counts_from_the_machines_creation_and_not_from_when_we_came() {
    let mut stage = Stage::billed(Policy::default());
    stage.tenure.age = seconds(1_800);
    assert_eq!(stage.lives_for(), 1_740);
}

#[test]
fn no_machine_gets_older_than_max_lifetime_whatever_it_does() {
    let stage = Stage::new(Policy { max_lifetime: Some(seconds(10_000)), ..by_time_outs() });
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
fn an_hour_that_would_exceed_the_budget_is_not_begun() {
    let mut stage = Stage::billed(Policy::default());
    stage.tenure.budget = Some(Budget { limit: 1_000_000, spent: 999_000, next_unit: 8_800 });
    let _work = stage.activity.begin(Kind::Command, "POST /containers/x/wait");
    let verdict = stage.pass(60);
    assert_eq!(verdict.outcome, Outcome::Keep, "this hour is paid");
    assert_eq!(verdict.warnings, ["99 % of this month's budget are spent"]);
    assert_eq!(60 + stage.lives_for(), 3_540);
    assert_eq!(stage.verdict().first_ending().unwrap().cause, Cause::Budget);
}

#[test]
fn a_locked_screen_ends_the_machine_after_the_grace_and_unlocking_cancels_it() {
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
fn work_and_pins_withstand_a_lock_and_are_followed_by_the_ordinary_grace() {
    let stage = Stage::new(by_time_outs());
    stage.activity.set_locked(true);
    let build = stage.activity.begin(Kind::Build, "POST /build");
    assert_eq!(stage.pass(5_000).outcome, Outcome::Keep);
    drop(build);
    assert_eq!(stage.lives_for(), 30);

    let stage = Stage::new(by_time_outs());
    stage.activity.pin(Some(seconds(9_000)));
    stage.activity.set_locked(true);
    assert_eq!(stage.lives_for(), 9_030);

    let stage = Stage::new(by_time_outs());
    let job = stage.activity.begin(Kind::Stream, "POST /containers/job/attach");
    stage.activity.set_locked(true);
    for _ in 0..20 {
        assert_eq!(stage.pass(250).outcome, Outcome::Keep, "its output goes on");
        job.traffic();
    }
    assert_eq!(stage.lives_for(), 330);
}

#[test]
fn what_a_lock_means_is_the_persons_choice() {
    let lives = |action| {
        let stage =
            Stage::new(Policy { lock: Lock { action, grace: seconds(60) }, ..by_time_outs() });
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

#[derive(Debug, Clone)]
enum Step {
    Begin(Kind),
    End(usize),
    Traffic(usize),
    Becomes(usize),
    Containers(usize, bool),
    Pin(Option<u64>),
    Unpin,
    Lock(bool),
    Pass(u64),
    Sleep(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kind = prop_oneof![
        Just(Kind::Command),
        Just(Kind::Build),
        Just(Kind::Transfer),
        Just(Kind::Stream),
        Just(Kind::Watch),
        Just(Kind::Forward)
    ];
    let step = prop_oneof![
        3 => kind.prop_map(Step::Begin),
        4 => (0..4usize).prop_map(Step::End),
        2 => (0..4usize).prop_map(Step::Traffic),
        1 => (0..4usize).prop_map(Step::Becomes),
        1 => ((0..3usize), prop::bool::weighted(0.2)).prop_map(|(count, keeps)| Step::Containers(count, keeps)),
        1 => prop::option::weighted(0.7, 1..8_000u64).prop_map(Step::Pin),
        1 => Just(Step::Unpin),
        2 => any::<bool>().prop_map(Step::Lock),
        6 => (0..2_400u64).prop_map(Step::Pass),
        1 => (0..20_000u64).prop_map(Step::Sleep),
    ];
    prop::collection::vec(step, 1..120)
}

fn policies() -> impl Strategy<Value = Policy> {
    let action = prop_oneof![
        Just(LockAction::Shutdown),
        Just(LockAction::Shorten),
        Just(LockAction::Ignore)
    ];
    let containers =
        prop_oneof![Just(Containers::Timeout), Just(Containers::Keep), Just(Containers::Ignore)];
    (any::<bool>(), containers, action, prop::option::weighted(0.3, 2_000..40_000u64)).prop_map(
        |(keep_paid_hour, containers, action, max_lifetime)| Policy {
            keep_paid_hour,
            containers,
            lock: Lock { action, grace: seconds(120) },
            max_lifetime: max_lifetime.map(seconds),
            ..Policy::default()
        },
    )
}

/// What is open, as the reference knows it.
struct Open {
    guard: Guard,
    kind: Kind,
    traffic: Moment,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6_000))]

    /// The reference keeps nothing but what is open, the last sign of life, and who has said what.
    #[test]
    fn the_machine_goes_exactly_when_nothing_keeps_it(policy in policies(), steps in steps()) {
        let stage = Stage::billed(policy.clone());
        let born = stage.clock.now();
        let mut last_sign = born;
        let mut containers = (0, false);
        let mut pin: Option<Option<Moment>> = None;
        let mut locked: Option<Moment> = None;
        let mut open: Vec<Open> = Vec::new();
        for step in steps {
            let now = stage.clock.now();
            match step {
                Step::Begin(kind) => {
                    open.push(Open { guard: stage.activity.begin(kind, "x"), kind, traffic: now });
                    last_sign = now;
                }
                Step::End(at) if at < open.len() => {
                    if open.swap_remove(at).kind != Kind::Watch { last_sign = now; }
                }
                Step::Traffic(at) if at < open.len() => {
                    open[at].guard.traffic();
                    if open[at].kind != Kind::Watch { open[at].traffic = now; last_sign = now; }
                }
                Step::Becomes(at) if at < open.len() && open[at].kind == Kind::Command => {
                    open[at].guard.becomes(Kind::Stream);
                    (open[at].kind, open[at].traffic, last_sign) = (Kind::Stream, now, now);
                }
                Step::End(_) | Step::Traffic(_) | Step::Becomes(_) => {}
                Step::Containers(count, keeps) => {
                    stage.containers(&["a", "b"][..count], keeps);
                    containers = (count, keeps);
                }
                Step::Pin(length) => { stage.activity.pin(length.map(seconds)); pin = Some(length.map(|length| now.plus(seconds(length)))); }
                Step::Unpin => { stage.activity.unpin(); pin = None; }
                Step::Lock(is) => { stage.activity.set_locked(is); locked = if is { locked.or(Some(now)) } else { None }; }
                Step::Pass(length) => stage.clock.advance(seconds(length)),
                Step::Sleep(length) => stage.clock.suspend(seconds(length)),
            }
            let now = stage.clock.now();
            let age = now.since(born);
            let work = open.iter().any(|open| open.kind.is_work());
            let labelled = containers.0 > 0 && containers.1;
            let pinned = pin.is_some_and(|until| until.is_none_or(|until| now < until));
            let locked_for = locked.map(|locked| now.since(locked));
            let shortened = policy.lock.action == LockAction::Shorten && locked_for.is_some_and(|locked| locked >= policy.lock.grace);
            let silent_limit = if shortened { policy.idle_timeout } else { policy.connection_timeout };
            let connected = open.iter().any(|open| now.since(open.traffic) < silent_limit);
            let contained = containers.0 > 0 && match policy.containers {
                Containers::Keep => true,
                Containers::Timeout => now.since(last_sign) < silent_limit,
                Containers::Ignore => false,
            };
            let used = work || labelled || pinned || connected || contained || now.since(last_sign) < policy.idle_timeout;
            let talking = open.iter().any(|open| matches!(open.kind, Kind::Stream | Kind::Forward) && now.since(open.traffic) < policy.lock.grace);
            let too_old = policy.max_lifetime.is_some_and(|limit| age >= limit);
            let verdict = stage.verdict();

            match verdict.outcome {
                Outcome::Keep => {
                    prop_assert!(!verdict.reasons.is_empty());
                    prop_assert!(used || (policy.keep_paid_hour && !shortened), "kept without a \
                        reason: {:?}", verdict);
                }
                Outcome::Grace => prop_assert!(!verdict.endings.is_empty()),
                Outcome::Destroy => {
                    let by_lock = policy.lock.action == LockAction::Shutdown
                        && locked_for.is_some_and(|locked| locked >= policy.lock.grace)
                        && !work && !labelled && !pinned && !talking;
                    let idle = now.since(last_sign) >= policy.idle_timeout + policy.grace_period;
                    prop_assert!(too_old || by_lock || (!used && idle), "{:?}", verdict);
                    prop_assert_eq!(verdict.first_ending().map(|ending| ending.in_another), Some(Duration::ZERO));
                }
            }
            prop_assert!(!too_old || verdict.outcome == Outcome::Destroy);
            if used && !too_old && policy.lock.action != LockAction::Shutdown {
                prop_assert_ne!(verdict.outcome, Outcome::Destroy);
            }
        }
    }
}
