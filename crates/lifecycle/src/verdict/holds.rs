//! What keeps a machine: each activity, the last activity, containers, a pin, and the rest of the
//! paid hour, each until a moment or without an end.

use std::time::Duration;

use super::{Reason, ReasonKind, Scene, in_words};
use crate::activity::Live;
use crate::containers::{Claim, Lasts, claims};
use crate::{Kind, Moment, Policy};

/// Something that keeps the machine until a moment, or without an end.
pub(super) struct Hold {
    pub(super) kind: ReasonKind,
    pub(super) what: String,
    pub(super) client: Option<String>,
    pub(super) since: Option<Moment>,
    pub(super) last_traffic: Option<Moment>,
    pub(super) until: Option<Moment>,
    /// It also counts while the screen is locked.
    pub(super) withstands_lock: bool,
}

impl Hold {
    pub(super) fn is_on(&self, now: Moment) -> bool {
        self.until.is_none_or(|until| until > now)
    }

    pub(super) fn reason(self, now: Moment) -> Reason {
        Reason {
            kind: self.kind,
            what: self.what,
            client: self.client,
            age: self.since.map(|since| now.since(since)),
            silent: self.last_traffic.map(|last| now.since(last)),
            for_another: self.until.map(|until| until.since(now)),
        }
    }

    /// When it ends under a lock: a connection counts for the lock's grace period after its last
    /// bytes.
    pub(super) fn until_under_lock(&self, grace: Duration) -> Option<Moment> {
        match self.last_traffic {
            Some(last) => Some(last.plus(grace)),
            None => self.until,
        }
    }
}

impl Scene<'_> {
    /// What keeps or kept it by activity, containers and pin.
    pub(super) fn holds(&self) -> Vec<Hold> {
        let mut holds: Vec<Hold> = self.snapshot.live.iter().map(|live| self.live(live)).collect();
        holds.push(self.recent());
        holds.extend(self.containers());
        holds.extend(self.pin());
        holds
    }

    fn live(&self, live: &Live) -> Hold {
        let silent_until = Self::over(live.last_traffic, self.connection_timeout());
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
            until: silent_until.filter(|_| !live.kind.is_work()),
            withstands_lock: live.kind != Kind::Watch,
        }
    }

    fn recent(&self) -> Hold {
        let seen = self.snapshot.last_activity().filter(|seen| seen.at >= self.tenure.since);
        Hold {
            kind: ReasonKind::Recent,
            what: match seen {
                _ if self.policy.idle_timeout == Policy::UNLIMITED => {
                    "idleness ends no machine (activity.idle_timeout: none)".to_owned()
                }
                None => "the machine has just been created".to_owned(),
                Some(seen) => format!("last activity: {}", seen.source),
            },
            client: seen.and_then(|seen| seen.client.clone()),
            since: Some(self.last),
            last_traffic: None,
            until: Self::over(self.last, self.policy.idle_timeout),
            withstands_lock: false,
        }
    }

    fn containers(&self) -> Vec<Hold> {
        let hold = |Claim { what, lasts }| Hold {
            kind: ReasonKind::Container,
            what,
            client: None,
            since: None,
            last_traffic: None,
            until: match lasts {
                Lasts::Always | Lasts::Running => None,
                Lasts::Timeout => Self::over(self.last, self.connection_timeout()),
            },
            withstands_lock: lasts == Lasts::Always,
        };
        let running = &self.snapshot.containers;
        claims(running, self.policy.containers).into_iter().map(hold).collect()
    }

    fn pin(&self) -> Option<Hold> {
        let pin = self.snapshot.pin?;
        Some(Hold {
            kind: ReasonKind::Pin,
            what: "pinned by the user".to_owned(),
            client: None,
            since: Some(pin.since),
            last_traffic: None,
            until: pin.until,
            withstands_lock: true,
        })
    }

    /// The rest of the hour in which the last of the others ends.
    pub(super) fn paid_hour(&self, holds: &[Hold]) -> Option<Hold> {
        let billing = self.tenure.billing?;
        let end = end_of(holds)?.max(self.tenure.since);
        let over = self.tenure.when_aged(billing.paid_until(self.tenure.age_at(end)));
        // The grace period and the release have to fit into the rest of the hour. A machine that
        // becomes idle later is taken down at once, and with luck costs no further hour.
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
}

/// When the last of them ends; `None` while one has no end.
pub(super) fn end_of(holds: &[Hold]) -> Option<Moment> {
    holds
        .iter()
        .map(|hold| hold.until)
        .try_fold(Moment::default(), |last, until| Some(last.max(until?)))
}
