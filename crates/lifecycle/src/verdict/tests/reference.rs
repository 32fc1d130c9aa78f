//! A reference implementation of the decision, which keeps only what is open, the last activity and
//! the settings, and random steps by which both are compared.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::*;
use crate::LockAction;

#[derive(Debug, Clone)]
enum Step {
    Begin(Kind),
    End(usize),
    Traffic(usize),
    Becomes(usize),
    Containers(Vec<Counts>),
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
    let counts = prop_oneof![
        4 => Just(Counts::AsSet),
        1 => Just(Counts::Always),
        1 => Just(Counts::Never),
    ];
    let containers = prop::collection::vec(counts, 0..3);
    let step = prop_oneof![
        3 => kind.prop_map(Step::Begin),
        4 => (0..4usize).prop_map(Step::End),
        2 => (0..4usize).prop_map(Step::Traffic),
        1 => (0..4usize).prop_map(Step::Becomes),
        1 => containers.prop_map(Step::Containers),
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

/// An open activity, as the reference knows it.
struct Open {
    guard: Guard,
    kind: Kind,
    traffic: Moment,
}

/// What the reference knows.
struct Reference {
    born: Moment,
    last_activity: Moment,
    /// How each running container counts.
    containers: Vec<Counts>,
    pin: Option<Option<Moment>>,
    locked: Option<Moment>,
    open: Vec<Open>,
}

impl Reference {
    fn new(now: Moment) -> Self {
        Self {
            born: now,
            last_activity: now,
            containers: Vec::new(),
            pin: None,
            locked: None,
            open: Vec::new(),
        }
    }

    /// Takes a step, on the stage and in the reference.
    fn takes(&mut self, step: &Step, stage: &Stage) {
        let now = stage.clock.now();
        match *step {
            Step::Containers(ref counts) => {
                let container =
                    |counts: &Counts| Container { name: "a".to_owned(), counts: *counts };
                stage.activity.set_containers(counts.iter().map(container).collect());
                self.containers.clone_from(counts);
            }
            Step::Begin(kind) => {
                let guard = stage.activity.begin(kind, "x");
                self.open.push(Open { guard, kind, traffic: now });
                self.last_activity = now;
            }
            Step::End(at) if at < self.open.len() => {
                if self.open.swap_remove(at).kind != Kind::Watch {
                    self.last_activity = now;
                }
            }
            Step::Traffic(at) if at < self.open.len() => {
                let open = &mut self.open[at];
                open.guard.traffic();
                if open.kind != Kind::Watch {
                    (open.traffic, self.last_activity) = (now, now);
                }
            }
            Step::Becomes(at) if at < self.open.len() && self.open[at].kind == Kind::Command => {
                let open = &mut self.open[at];
                open.guard.becomes(Kind::Stream);
                (open.kind, open.traffic, self.last_activity) = (Kind::Stream, now, now);
            }
            Step::End(_) | Step::Traffic(_) | Step::Becomes(_) => {}
            Step::Pin(length) => {
                stage.activity.pin(length.map(seconds));
                self.pin = Some(length.map(|length| now.plus(seconds(length))));
            }
            Step::Unpin => {
                stage.activity.unpin();
                self.pin = None;
            }
            Step::Lock(is) => {
                stage.activity.set_locked(is);
                self.locked = if is { self.locked.or(Some(now)) } else { None };
            }
            Step::Pass(length) => stage.clock.advance(seconds(length)),
            Step::Sleep(length) => stage.clock.suspend(seconds(length)),
        }
    }

    fn agrees(&self, verdict: &Verdict, policy: &Policy, now: Moment) -> Result<(), TestCaseError> {
        let idle = now.since(self.last_activity);
        let work = self.open.iter().any(|open| open.kind.is_work());
        let labeled = self.containers.contains(&Counts::Always);
        let pinned = self.pin.is_some_and(|until| until.is_none_or(|until| now < until));
        let grace = policy.lock.grace;
        let lock_is_over = self.locked.is_some_and(|locked| now.since(locked) >= grace);
        let shortened = policy.lock.action == LockAction::Shorten && lock_is_over;
        let silent_limit = match shortened {
            true => policy.idle_timeout,
            false => policy.connection_timeout,
        };
        let connected = self.open.iter().any(|open| now.since(open.traffic) < silent_limit);
        let contained = self.containers.iter().any(|counts| *counts != Counts::Never)
            && match policy.containers {
                Containers::Keep => true,
                Containers::Timeout => idle < silent_limit,
                Containers::Ignore => false,
            };
        let kept = work || labeled || pinned || connected || contained;
        let used = kept || idle < policy.idle_timeout;
        let talking = self.open.iter().any(|open| {
            matches!(open.kind, Kind::Stream | Kind::Forward) && now.since(open.traffic) < grace
        });
        let too_old = policy.max_lifetime.is_some_and(|limit| now.since(self.born) >= limit);

        match verdict.outcome {
            Outcome::Keep => {
                prop_assert!(!verdict.reasons.is_empty());
                let has_reason = used || (policy.keep_paid_hour && !shortened);
                prop_assert!(has_reason, "kept without a reason: {:?}", verdict);
            }
            Outcome::Grace => prop_assert!(!verdict.endings.is_empty()),
            Outcome::Destroy => {
                let withstands = work || labeled || pinned || talking;
                let by_lock =
                    policy.lock.action == LockAction::Shutdown && lock_is_over && !withstands;
                let by_idleness = !used && idle >= policy.idle_timeout + policy.grace_period;
                prop_assert!(too_old || by_lock || by_idleness, "{:?}", verdict);
                let in_another = verdict.first_ending().map(|ending| ending.in_another);
                prop_assert_eq!(in_another, Some(Duration::ZERO));
            }
        }
        prop_assert!(!too_old || verdict.outcome == Outcome::Destroy);
        if used && !too_old && policy.lock.action != LockAction::Shutdown {
            prop_assert_ne!(verdict.outcome, Outcome::Destroy);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6_000))]

    #[test]
    fn machine_ends_exactly_when_nothing_keeps_it(policy in policies(), steps in steps()) {
        let stage = Stage::billed(policy.clone());
        let mut reference = Reference::new(stage.clock.now());
        for step in steps {
            reference.takes(&step, &stage);
            reference.agrees(&stage.verdict(), &policy, stage.clock.now())?;
        }
    }
}
