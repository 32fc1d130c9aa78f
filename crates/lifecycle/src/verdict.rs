//! The decision: a plain function of what is known, the person's policy and the present moment.
//!
//! Two lists are made: what keeps the machine, and the ways in which it may end. Whatever ends it first decides; a way that starts with a grace says
//! what cancels it.

use std::cmp::Reverse;
use std::time::Duration;

use serde::Serialize;

use crate::activity::Live;
use crate::policy::{Containers, LockAction};
use crate::{Kind, Moment, Policy, Snapshot, Tenure};

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
        self.first_ending().map_or_else(|| "nothing keeps it".to_owned(), |ending| ending.because.clone())
    }
}

/// What to do with a machine.
pub fn decide(snapshot: &Snapshot, policy: &Policy, tenure: &Tenure, now: Moment) -> Verdict {
    let scene = Scene::of(snapshot, policy, tenure, now);
    let mut holds = scene.holds();
    if policy.keep_paid_hour && !scene.shortened {
        holds.extend(scene.paid_hour(&holds));
    }
    let mut ways: Vec<Way> = [scene.idle(&holds), scene.lock(&holds), scene.max_lifetime(), scene.budget()].into_iter().flatten().collect();
    ways.sort_by_key(|way| way.at);

    let mut reasons: Vec<Reason> = holds.into_iter().filter(|hold| hold.is_on(now)).map(|hold| hold.told(now)).collect();
    // `None` goes on for ever and comes first.
    reasons.sort_by_key(|reason| Reverse(reason.for_another.unwrap_or(Duration::MAX)));
    let outcome = match ways.first() {
        Some(way) if now >= way.at => Outcome::Destroy,
        Some(way) if now >= way.grace_from => Outcome::Grace,
        _ => Outcome::Keep,
    };
    let warning = tenure.budget.and_then(|budget| budget.warning());
    let warnings = warning.map(|percent| format!("{percent} % of this month's budget are spent")).into_iter().collect();
    Verdict { outcome, reasons, endings: ways.into_iter().map(|way| way.told(now)).collect(), warnings }
}

/// Something that keeps the machine until a moment, or without an end.
struct Hold {
    kind: ReasonKind,
    what: String,
    client: Option<String>,
    since: Option<Moment>,
    last_traffic: Option<Moment>,
    until: Option<Moment>,
    /// It holds while the screen is locked, too.
    withstands_lock: bool,
}

impl Hold {
    fn is_on(&self, now: Moment) -> bool {
        self.until.is_none_or(|until| until > now)
    }

    fn told(self, now: Moment) -> Reason {
        Reason {
            kind: self.kind,
            what: self.what,
            client: self.client,
            age: self.since.map(|since| now.since(since)),
            silent: self.last_traffic.map(|last| now.since(last)),
            for_another: self.until.map(|until| until.since(now)),
        }
    }
}

/// A way in which the machine may end.
struct Way {
    cause: Cause,
    because: String,
    grace_from: Moment,
    at: Moment,
    cancelled_by: Cancel,
}

impl Way {
    fn told(self, now: Moment) -> Ending {
        Ending {
            cause: self.cause,
            because: self.because,
            in_another: self.at.since(now),
            grace_in: self.grace_from.since(now),
            cancelled_by: self.cancelled_by,
        }
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
        let shortened =
            policy.lock.action == LockAction::Shorten && snapshot.locked.is_some_and(|locked| now.since(locked) >= policy.lock.grace);
        let last = snapshot.last_activity().map_or(tenure.since, |seen| seen.at.max(tenure.since));
        Self { snapshot, policy, tenure, now, shortened, last }
    }

    fn connection_timeout(&self) -> Duration {
        if self.shortened { self.policy.connection_timeout.min(self.policy.idle_timeout) } else { self.policy.connection_timeout }
    }

    /// What keeps it or kept it, by activity, containers and pin.
    fn holds(&self) -> Vec<Hold> {
        let mut holds: Vec<Hold> = self.snapshot.live.iter().map(|live| self.live(live)).collect();
        holds.push(self.recent());
        holds.extend(self.containers());
        holds.extend(self.pin());
        holds
    }

    fn live(&self, live: &Live) -> Hold {
        let silent_until = live.last_traffic.plus(self.connection_timeout());
        Hold {
            kind: match live.kind {
                Kind::Command => ReasonKind::Command,
                Kind::Build => ReasonKind::Build,
                Kind::Transfer => ReasonKind::Transfer,
                Kind::Stream => ReasonKind::Stream,
                Kind::Watch => ReasonKind::Watch,
                Kind::Forward => ReasonKind::Port,
            },
            what: live.source.clone(),
            client: live.client.clone(),
            since: Some(live.since),
            last_traffic: Some(live.last_traffic),
            until: (!live.kind.is_work()).then_some(silent_until),
            withstands_lock: live.kind != Kind::Watch,
        }
    }

    fn recent(&self) -> Hold {
        let seen = self.snapshot.last_activity().filter(|seen| seen.at >= self.tenure.since);
        Hold {
            kind: ReasonKind::Recent,
            what: seen.map_or_else(|| "the machine has just been made".to_owned(), |seen| format!("last activity: {}", seen.source)),
            client: seen.and_then(|seen| seen.client.clone()),
            since: Some(self.last),
            last_traffic: None,
            until: Some(self.last.plus(self.policy.idle_timeout)),
            withstands_lock: false,
        }
    }

    fn containers(&self) -> Vec<Hold> {
        let running = &self.snapshot.containers;
        let hold = |what: String, until, withstands_lock| Hold {
            kind: ReasonKind::Container,
            what,
            client: None,
            since: None,
            last_traffic: None,
            until,
            withstands_lock,
        };
        let mut holds: Vec<Hold> = running
            .iter()
            .filter(|container| container.keeps)
            .map(|container| hold(format!("container {} has the label dockbridge.keep", container.name), None, true))
            .collect();
        let names = match &running[..] {
            [] => return holds,
            [one] => format!("container {} is running", one.name),
            [first, second] => format!("containers {} and {} are running", first.name, second.name),
            [first, second, rest @ ..] => format!("containers {}, {} and {} more are running", first.name, second.name, rest.len()),
        };
        match self.policy.containers {
            Containers::Ignore => {}
            Containers::Keep => holds.push(hold(names, None, false)),
            Containers::Timeout => holds.push(hold(names, Some(self.last.plus(self.connection_timeout())), false)),
        }
        holds
    }

    fn pin(&self) -> Option<Hold> {
        let pin = self.snapshot.pin?;
        Some(Hold {
            kind: ReasonKind::Pin,
            what: "pinned by a person".to_owned(),
            client: None,
            since: Some(pin.since),
            last_traffic: None,
            until: pin.until,
            withstands_lock: true,
        })
    }

    /// The rest of the hour in which the last of the others ends.
    fn paid_hour(&self, holds: &[Hold]) -> Option<Hold> {
        let billing = self.tenure.billing?;
        let end = end_of(holds)?.max(self.tenure.since);
        let over = self.tenure.when_aged(billing.paid_until(self.tenure.age_at(end)));
        // From the end, the grace and the way down have to fit in; what ends later than that goes at once, and with luck costs nothing more.
        let latest = over.minus(billing.release_takes.saturating_add(self.policy.grace_period));
        let what = format!("the hour is paid for another {}", in_words(over.since(self.now)));
        (latest > end).then_some(Hold {
            kind: ReasonKind::PaidHour,
            what,
            client: None,
            since: None,
            last_traffic: None,
            until: Some(latest),
            withstands_lock: false,
        })
    }

    fn idle(&self, holds: &[Hold]) -> Option<Way> {
        let end = end_of(holds)?;
        Some(Way {
            cause: Cause::Idle,
            because: format!("nothing has used it for {}", in_words(self.now.since(self.last))),
            grace_from: end,
            at: end.plus(self.policy.grace_period),
            cancelled_by: Cancel::Activity,
        })
    }

    fn lock(&self, holds: &[Hold]) -> Option<Way> {
        let locked = self.snapshot.locked.filter(|_| self.policy.lock.action == LockAction::Shutdown)?;
        let work: Vec<&Hold> = holds.iter().filter(|hold| hold.withstands_lock).collect();
        if work.iter().any(|hold| hold.until.is_none()) {
            return None;
        }
        // Work that has ended under the lock is followed by the ordinary grace at least.
        let worked_until = work.iter().filter_map(|hold| hold.until_under_lock(self.policy.lock.grace)).max();
        let ended = self.snapshot.last_activity().map(|seen| seen.at).filter(|at| *at > locked);
        let by_lock = (locked, locked.plus(self.policy.lock.grace));
        let after_work = worked_until.into_iter().chain(ended).max().map(|end| (end, end.plus(self.policy.grace_period)));
        let (grace_from, at) = after_work.filter(|(_, at)| *at > by_lock.1).unwrap_or(by_lock);
        Some(Way {
            cause: Cause::Lock,
            because: format!("the screen has been locked for {}", in_words(self.now.since(locked))),
            grace_from,
            at,
            cancelled_by: Cancel::Unlock,
        })
    }

    fn max_lifetime(&self) -> Option<Way> {
        let limit = self.policy.max_lifetime?;
        let at = self.tenure.when_aged(limit);
        Some(self.hard(Cause::MaxLifetime, format!("it is as old as activity.max_lifetime allows ({})", in_words(limit)), at))
    }

    fn budget(&self) -> Option<Way> {
        let (billing, budget) = (self.tenure.billing?, self.tenure.budget?);
        if budget.allows_another() {
            return None;
        }
        let over = self.tenure.when_aged(billing.paid_until(self.tenure.age_at(self.now)));
        Some(self.hard(Cause::Budget, "another hour would exceed this month's budget".to_owned(), over.minus(billing.release_takes)))
    }

    fn hard(&self, cause: Cause, because: String, at: Moment) -> Way {
        Way { cause, because, grace_from: at.minus(self.policy.grace_period), at, cancelled_by: Cancel::Nothing }
    }
}

impl Hold {
    /// When it stops being work: under a lock, a connection counts for as long as the lock itself would wait.
    fn until_under_lock(&self, grace: Duration) -> Option<Moment> {
        match self.last_traffic {
            Some(last) => Some(last.plus(grace)),
            None => self.until,
        }
    }
}

/// When the last of them ends; `None` while one has no end.
fn end_of(holds: &[Hold]) -> Option<Moment> {
    holds.iter().map(|hold| hold.until).try_fold(Moment::default(), |last, until| Some(last.max(until?)))
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
