//! The decision: a plain function of what is known, the person's policy and the present moment.
//!
//! Two lists are made: what keeps the machine, and the ways in which it may end. Whatever ends it
//! first decides; a way that starts with a grace says what cancels it.

mod endings;
mod holds;

use std::cmp::Reverse;
use std::time::Duration;

use serde::Serialize;

use self::endings::Way;
use crate::policy::LockAction;
use crate::{Moment, Policy, Snapshot, Tenure};

/// What a reason is about.
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
    /// Somebody looks at figures.
    Watch,
    /// A connection through a published port.
    Port,
    /// The last sign of life.
    Recent,
    /// Running containers.
    Container,
    /// A person's pin.
    Pin,
    /// The rest of what is paid.
    PaidHour,
}

/// One thing that keeps the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// What it is about.
    pub kind: ReasonKind,
    /// In words for a person.
    pub what: String,
    /// Whose it is, as the client calls itself.
    pub client: Option<String>,
    /// How long ago it began.
    pub age: Option<Duration>,
    /// For how long nothing has passed, where bytes count.
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
    /// It is as old as the person lets it get.
    MaxLifetime,
    /// Another hour would exceed the budget.
    Budget,
}

/// What takes an ending back once its grace has begun.
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

/// One way in which the machine may end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ending {
    /// Why.
    pub cause: Cause,
    /// In words for a person, as in "since …".
    pub because: String,
    /// Until then, if nothing changes.
    pub in_another: Duration,
    /// Until its grace begins; zero once it has.
    pub grace_in: Duration,
    /// What takes it back.
    pub cancelled_by: Cancel,
}

/// What is done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It stays.
    Keep,
    /// It stays until the grace of its first ending is over.
    Grace,
    /// It goes.
    Destroy,
}

/// What the policy says now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// What is done.
    pub outcome: Outcome,
    /// What keeps the machine, strongest first.
    pub reasons: Vec<Reason>,
    /// How it would end, first first; empty while something goes on that only a person can end.
    pub endings: Vec<Ending>,
    /// What a person should know before it comes to that.
    pub warnings: Vec<String>,
}

impl Verdict {
    /// What ends it first.
    pub fn first_ending(&self) -> Option<&Ending> {
        self.endings.first()
    }

    /// In words for a person, once it goes.
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
    let mut ways: Vec<Way> =
        [scene.idle(&holds), scene.lock(&holds), scene.max_lifetime(), scene.budget()]
            .into_iter()
            .flatten()
            .collect();
    ways.sort_by_key(|way| way.at);

    let mut reasons: Vec<Reason> =
        holds.into_iter().filter(|hold| hold.is_on(now)).map(|hold| hold.told(now)).collect();
    // `None` goes on for ever and comes first.
    reasons.sort_by_key(|reason| Reverse(reason.for_another.unwrap_or(Duration::MAX)));
    let outcome = match ways.first() {
        Some(way) if now >= way.at => Outcome::Destroy,
        Some(way) if now >= way.grace_from => Outcome::Grace,
        _ => Outcome::Keep,
    };
    let warning = tenure.budget.and_then(|budget| budget.warning());
    let warnings = warning
        .map(|percent| format!("{percent} % of this month's budget are spent"))
        .into_iter()
        .collect();
    Verdict {
        outcome,
        reasons,
        endings: ways.into_iter().map(|way| way.told(now)).collect(),
        warnings,
    }
}

/// Everything that a decision looks at.
struct Scene<'a> {
    snapshot: &'a Snapshot,
    policy: &'a Policy,
    tenure: &'a Tenure,
    now: Moment,
    /// The lock has lasted long enough to make everything as short as a command.
    shortened: bool,
    /// The last sign of life, of this machine.
    last: Moment,
}

impl<'a> Scene<'a> {
    fn of(snapshot: &'a Snapshot, policy: &'a Policy, tenure: &'a Tenure, now: Moment) -> Self {
        let shortened = policy.lock.action == LockAction::Shorten
            && snapshot.locked.is_some_and(|locked| now.since(locked) >= policy.lock.grace);
        let last = snapshot.last_activity().map_or(tenure.since, |seen| seen.at.max(tenure.since));
        Self { snapshot, policy, tenure, now, shortened, last }
    }

    /// When a timeout that begins at a moment is over; `None` for one that never is.
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
