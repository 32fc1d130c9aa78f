//! The decision: a plain function of the activity, the user's policy and the present moment.
//!
//! It makes two lists: what keeps the machine, and how it may end. The earliest end decides; each
//! end has a grace period, and names what cancels it.

mod endings;
mod holds;

use std::cmp::Reverse;
use std::time::Duration;

use serde::Serialize;

use self::endings::PossibleEnd;
use crate::policy::LockAction;
use crate::{Moment, Policy, Snapshot, Tenure};

/// What keeps the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonKind {
    /// A command that is being answered.
    Command,
    /// A build.
    Build,
    /// A transfer.
    Transfer,
    /// An open connection to a container.
    Stream,
    /// A user watches statistics.
    Watch,
    /// A connection through a published port.
    Port,
    /// The last activity.
    Recent,
    /// Running containers.
    Container,
    /// The user's pin.
    Pin,
    /// The rest of the hour that is paid.
    PaidHour,
}

/// One thing that keeps the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Its kind.
    pub kind: ReasonKind,
    /// Human-readable.
    pub what: String,
    /// The client, by its own name.
    pub client: Option<String>,
    /// How long ago it began.
    pub age: Option<Duration>,
    /// How long no bytes have passed, if bytes count.
    pub silent: Option<Duration>,
    /// It counts this much longer; `None` while it goes on.
    pub for_another: Option<Duration>,
}

/// Why a machine ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Nothing keeps it.
    Idle,
    /// The screen is locked.
    Lock,
    /// It is as old as the settings allow.
    MaxLifetime,
    /// Another hour would exceed the budget.
    Budget,
}

/// What cancels an end during its grace period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cancel {
    /// Any activity.
    Activity,
    /// Unlocking the screen.
    Unlock,
    /// Nothing but other settings.
    Nothing,
}

/// One possible end of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ending {
    /// Why.
    pub cause: Cause,
    /// Human-readable, as in "since …".
    pub because: String,
    /// Time until then, if nothing changes.
    pub in_another: Duration,
    /// Time until its grace period begins; zero once it has.
    pub grace_in: Duration,
    /// What cancels it.
    pub cancelled_by: Cancel,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It stays.
    Keep,
    /// It stays until the grace period of its first end is over.
    Grace,
    /// It is taken down.
    Destroy,
}

/// What the policy says now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// What to do.
    pub outcome: Outcome,
    /// What keeps the machine, strongest first.
    pub reasons: Vec<Reason>,
    /// How it would end, the earliest first; empty while something goes on that only the user ends.
    pub endings: Vec<Ending>,
}

impl Verdict {
    /// The earliest end.
    pub fn first_ending(&self) -> Option<&Ending> {
        self.endings.first()
    }

    /// Why it is taken down, human-readable.
    pub fn because(&self) -> String {
        self.first_ending()
            .map_or_else(|| "nothing keeps it".to_owned(), |ending| ending.because.clone())
    }
}

/// What to do with a machine.
pub fn decide(snapshot: &Snapshot, policy: &Policy, tenure: &Tenure, now: Moment) -> Verdict {
    let scene = Scene::of(snapshot, policy, tenure, now);
    let mut holds = scene.holds();
    if policy.keep_paid_hour && !scene.shortened {
        holds.extend(scene.paid_hour(&holds));
    }
    let mut ends: Vec<PossibleEnd> =
        [scene.idle(&holds), scene.lock(&holds), scene.max_lifetime(), scene.budget()]
            .into_iter()
            .flatten()
            .collect();
    ends.sort_by_key(|end| end.at);

    let mut reasons: Vec<Reason> =
        holds.into_iter().filter(|hold| hold.is_on(now)).map(|hold| hold.reason(now)).collect();
    // `None` has no end and comes first.
    reasons.sort_by_key(|reason| Reverse(reason.for_another.unwrap_or(Duration::MAX)));
    let outcome = match ends.first() {
        Some(end) if now >= end.at => Outcome::Destroy,
        Some(end) if now >= end.grace_from => Outcome::Grace,
        _ => Outcome::Keep,
    };
    let endings = ends.into_iter().map(|end| end.ending(now)).collect();
    Verdict { outcome, reasons, endings }
}

/// Everything that a decision looks at.
struct Scene<'a> {
    snapshot: &'a Snapshot,
    policy: &'a Policy,
    tenure: &'a Tenure,
    now: Moment,
    /// The lock has lasted for its grace period: nothing keeps the machine longer than a command.
    shortened: bool,
    /// The last activity on this machine.
    last: Moment,
}

impl<'a> Scene<'a> {
    fn of(snapshot: &'a Snapshot, policy: &'a Policy, tenure: &'a Tenure, now: Moment) -> Self {
        let shortened = policy.lock.action == LockAction::Shorten
            && snapshot.locked.is_some_and(|locked| now.since(locked) >= policy.lock.grace);
        let last = snapshot.last_activity().map_or(tenure.since, |seen| seen.at.max(tenure.since));
        Self { snapshot, policy, tenure, now, shortened, last }
    }

    /// The end of a timeout that begins at a moment; `None` for one that never ends.
    fn over(begun: Moment, timeout: Duration) -> Option<Moment> {
        (timeout != Policy::UNLIMITED).then(|| begun.plus(timeout))
    }

    fn connection_timeout(&self) -> Duration {
        if self.shortened {
            self.policy.connection_timeout.min(self.policy.idle_timeout)
        } else {
            self.policy.connection_timeout
        }
    }
}

/// `40 s`, `12 min`, `3 h 5 min`.
fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3_600, seconds / 60 % 60, seconds) {
        (0, _, 0..=119) => format!("{seconds} s"),
        (0, minutes, _) => format!("{minutes} min"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests;
