//! The decision: a plain function of what is known, the person's policy and the present moment.

use std::time::Duration;

use serde::Serialize;

use crate::{Kind, Moment, Snapshot};

/// The person's settings, section `activity`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// A machine goes this long after the last command.
    pub idle_timeout: Duration,
    /// Open but silent connections and running containers keep it this long after the last sign of life.
    pub connection_timeout: Duration,
    /// Between the verdict and the deed; any activity cancels it.
    pub grace_period: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(5 * 60),
            connection_timeout: Duration::from_secs(30 * 60),
            grace_period: Duration::from_secs(30),
        }
    }
}

/// One thing that keeps the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// In words for a person.
    pub what: String,
    /// It counts this much longer; `None` while it goes on.
    pub for_another: Option<Duration>,
}

/// What the policy says now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// The machine stays, for these reasons, strongest first.
    Keep {
        /// Never empty.
        reasons: Vec<Reason>,
        /// Until the last of them ends by itself; `None` while one goes on.
        for_another: Option<Duration>,
    },
    /// Nothing keeps it; it is destroyed when the grace is over.
    Grace {
        /// Remaining grace.
        for_another: Duration,
        /// What is going to be told as the reason.
        because: String,
    },
    /// It goes now.
    Destroy {
        /// In words for a person.
        because: String,
    },
}

/// What to do with the machine that exists since `born`.
pub fn decide(snapshot: &Snapshot, policy: &Policy, born: Moment, now: Moment) -> Verdict {
    let mut reasons: Vec<Reason> = snapshot
        .live
        .iter()
        .filter_map(|live| {
            let for_another = match live.kind {
                Kind::Command => None,
                Kind::Stream | Kind::Forward => {
                    Some(remaining(live.last_traffic, policy.connection_timeout, now).filter(|left| !left.is_zero())?)
                }
            };
            Some(Reason { what: live.source.clone(), for_another })
        })
        .collect();

    let (last, what) = match snapshot.last_activity() {
        Some(seen) if seen.at >= born => (seen.at, format!("last activity: {}", seen.source)),
        Some(_) | None => (born, "the machine has just been made".to_owned()),
    };
    if let Some(left) = remaining(last, policy.idle_timeout, now) {
        reasons.push(Reason { what, for_another: Some(left) });
    }
    if snapshot.running_containers > 0
        && let Some(left) = remaining(last, policy.connection_timeout, now)
    {
        let what = match snapshot.running_containers {
            1 => "1 container is running".to_owned(),
            count => format!("{count} containers are running"),
        };
        reasons.push(Reason { what, for_another: Some(left) });
    }

    if !reasons.is_empty() {
        // `None` goes on for ever and comes first.
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.for_another.unwrap_or(Duration::MAX)));
        let for_another = reasons.first().and_then(|reason| reason.for_another);
        return Verdict::Keep { reasons, for_another };
    }

    let idle_since = idle_since(snapshot, policy, last);
    let because = format!("nothing has used it for {} s", now.since(last).as_secs());
    match remaining(idle_since, policy.grace_period, now) {
        Some(for_another) => Verdict::Grace { for_another, because },
        None => Verdict::Destroy { because },
    }
}

/// When the last reason ended by itself.
fn idle_since(snapshot: &Snapshot, policy: &Policy, last: Moment) -> Moment {
    let mut ends = vec![last.plus(policy.idle_timeout)];
    if snapshot.running_containers > 0 {
        ends.push(last.plus(policy.connection_timeout));
    }
    ends.extend(snapshot.live.iter().map(|live| live.last_traffic.plus(policy.connection_timeout)));
    ends.into_iter().max().unwrap_or(last)
}

/// What is left of `timeout` counted from `from`; `None` when it is over.
fn remaining(from: Moment, timeout: Duration, now: Moment) -> Option<Duration> {
    timeout.checked_sub(now.since(from)).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::{Activity, Clock, FakeClock, Guard};

    #[derive(Debug, Clone)]
    enum Step {
        Begin(Kind),
        End(usize),
        Traffic(usize),
        Becomes(usize),
        Containers(u32),
        Pass(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let kind = prop_oneof![Just(Kind::Command), Just(Kind::Stream), Just(Kind::Forward)];
        let step = prop_oneof![
            kind.prop_map(Step::Begin),
            (0..8usize).prop_map(Step::End),
            (0..8usize).prop_map(Step::Traffic),
            (0..8usize).prop_map(Step::Becomes),
            (0..3u32).prop_map(Step::Containers),
            (0..2_400u64).prop_map(Step::Pass),
        ];
        prop::collection::vec(step, 1..200)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        /// The reference keeps nothing but the last sign of life and the kinds of what is open.
        #[test]
        fn the_machine_goes_exactly_when_nothing_keeps_it(steps in steps()) {
            let policy = Policy::default();
            let clock = Arc::new(FakeClock::default());
            let activity = Activity::new(clock.clone());
            let born = clock.now();
            let mut last_sign = born;
            let mut containers = 0;
            let mut open: Vec<(Guard, Kind, Moment)> = Vec::new();
            for step in steps {
                let now = clock.now();
                match step {
                    Step::Begin(kind) => { open.push((activity.begin(kind, "x"), kind, now)); last_sign = now; }
                    Step::End(at) if at < open.len() => { open.swap_remove(at); last_sign = now; }
                    Step::Traffic(at) if at < open.len() => { open[at].0.traffic(); open[at].2 = now; last_sign = now; }
                    Step::Becomes(at) if at < open.len() => {
                        open[at].0.becomes(Kind::Stream);
                        open[at].1 = Kind::Stream;
                        open[at].2 = now;
                        last_sign = now;
                    }
                    Step::End(_) | Step::Traffic(_) | Step::Becomes(_) => {}
                    Step::Containers(count) => { activity.set_running_containers(count); containers = count; }
                    Step::Pass(seconds) => clock.advance(Duration::from_secs(seconds)),
                }
                let now = clock.now();
                let command = open.iter().any(|(_, kind, _)| *kind == Kind::Command);
                let stream = open.iter().any(|(_, _, traffic)| now.since(*traffic) < policy.connection_timeout);
                let limit = if containers > 0 { policy.connection_timeout } else { policy.idle_timeout };
                let kept = command || stream || now.since(last_sign) < limit;
                match decide(&activity.snapshot(), &policy, born, now) {
                    Verdict::Keep { reasons, for_another } => {
                        prop_assert!(kept);
                        prop_assert!(!reasons.is_empty());
                        prop_assert_eq!(for_another.is_none(), command);
                    }
                    Verdict::Grace { for_another, .. } => {
                        prop_assert!(!kept);
                        prop_assert!(for_another <= policy.grace_period);
                    }
                    Verdict::Destroy { .. } => {
                        prop_assert!(!kept);
                        prop_assert!(now.since(last_sign) >= policy.idle_timeout + policy.grace_period);
                    }
                }
            }
        }
    }

    #[test]
    fn activity_within_the_grace_cancels_the_end() {
        let policy = Policy::default();
        let clock = Arc::new(FakeClock::default());
        let activity = Activity::new(clock.clone());
        let born = clock.now();
        clock.advance(policy.idle_timeout + Duration::from_secs(10));
        let verdict = decide(&activity.snapshot(), &policy, born, clock.now());
        assert!(matches!(verdict, Verdict::Grace { for_another, .. } if for_another == Duration::from_secs(20)), "{verdict:?}");
        drop(activity.begin(Kind::Command, "GET /containers/json"));
        let verdict = decide(&activity.snapshot(), &policy, born, clock.now());
        assert!(matches!(verdict, Verdict::Keep { .. }), "{verdict:?}");
    }

    #[test]
    fn an_activity_of_an_earlier_machine_does_not_shorten_the_life_of_this_one() {
        let policy = Policy::default();
        let clock = Arc::new(FakeClock::default());
        let activity = Activity::new(clock.clone());
        drop(activity.begin(Kind::Command, "x"));
        clock.advance(Duration::from_secs(86_400));
        let verdict = decide(&activity.snapshot(), &policy, clock.now(), clock.now());
        assert!(matches!(verdict, Verdict::Keep { .. }), "{verdict:?}");
    }
}
