//! What is happening and what happened. Guards are handed out for things with an end, so that a
//! forgotten one cannot keep a machine: dropping it ends the activity.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::{Clock, Moment};

/// Kinds of activity, which the policy treats differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A request to the Docker API that has not been answered to its end.
    Command,
    /// A build; what it does between two lines of its output is silent and is work all the same.
    Build,
    /// Images and files on their way: pull, push, load, save, cp.
    Transfer,
    /// An upgraded or endless stream: `run -it`, `exec`, `logs -f`.
    Stream,
    /// Figures that go on for ever, such as `stats`: their bytes say that somebody looks, not that
    /// anything is done.
    Watch,
    /// A connection through a published port.
    Forward,
}

impl Kind {
    /// Keeps a machine for as long as it goes on, silent or not.
    pub const fn is_work(self) -> bool {
        matches!(self, Kind::Command | Kind::Build | Kind::Transfer)
    }
}

/// One thing that goes on now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// What kind it is.
    pub kind: Kind,
    /// What, in words for a person: `POST /containers/create`, `web:8080`.
    pub source: String,
    /// Who, as the client calls itself: `Docker-Client/28.2.2 (linux)`.
    pub client: Option<String>,
    /// When it began.
    pub since: Moment,
    /// When bytes last passed, or when it began.
    pub last_traffic: Moment,
}

/// The last sign of life of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// When.
    pub at: Moment,
    /// What.
    pub source: String,
    /// Who, as the client calls itself.
    pub client: Option<String>,
}

/// A running container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its label says that the machine stays while it runs.
    pub keeps: bool,
}

/// A person wants the machine to stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin {
    /// Since when.
    pub since: Moment,
    /// Until when; `None` until it is taken off.
    pub until: Option<Moment>,
}

/// All that [`crate::decide`] needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// What goes on now.
    pub live: Vec<Live>,
    /// The last sign of life by kind, whether it still goes on or not.
    pub last: BTreeMap<Kind, Seen>,
    /// Running containers, as the engine tells them.
    pub containers: Vec<Container>,
    /// The person's pin.
    pub pin: Option<Pin>,
    /// Since when the screen has been locked, or the computer has been about to sleep.
    pub locked: Option<Moment>,
}

impl Snapshot {
    /// The last sign of life of any kind.
    pub fn last_activity(&self) -> Option<&Seen> {
        self.last.values().max_by_key(|seen| seen.at)
    }
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    live: BTreeMap<u64, Live>,
    last: BTreeMap<Kind, Seen>,
    containers: Vec<Container>,
    pin: Option<Pin>,
    locked: Option<Moment>,
}

/// The record of one profile's activity. Cheap to clone; clones share the record.
#[derive(Debug, Clone)]
pub struct Activity {
    clock: Arc<dyn Clock>,
    inner: Arc<Mutex<Inner>>,
}

impl Activity {
    /// An empty record.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, inner: Arc::default() }
    }

    /// The clock by which all of this is counted.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Something begins; it ends when the guard is dropped.
    pub fn begin(&self, kind: Kind, source: impl Into<String>) -> Guard {
        self.begin_for(kind, source, None)
    }

    /// The same, by a client that has said who it is.
    pub fn begin_for(
        &self,
        kind: Kind,
        source: impl Into<String>,
        client: Option<String>,
    ) -> Guard {
        let now = self.clock.now();
        let source = source.into();
        let mut inner = self.lock();
        let id = inner.next;
        inner.next += 1;
        inner.last.insert(kind, Seen { at: now, source: source.clone(), client: client.clone() });
        inner.live.insert(id, Live { kind, source, client, since: now, last_traffic: now });
        Guard { activity: self.clone(), id: Some(id) }
    }

    /// What runs on the machine.
    pub fn set_containers(&self, containers: Vec<Container>) {
        self.lock().containers = containers;
    }

    /// Pins the machine for a time, or until it is unpinned; a second pin replaces the first.
    pub fn pin(&self, length: Option<Duration>) {
        let now = self.clock.now();
        self.lock().pin = Some(Pin { since: now, until: length.map(|length| now.plus(length)) });
    }

    /// Takes the pin off. Whether there was one.
    pub fn unpin(&self) -> bool {
        self.lock().pin.take().is_some()
    }

    /// The screen is locked or the computer falls asleep, or that is over. A lock that is told
    /// twice counts from the first time.
    pub fn set_locked(&self, locked: bool) {
        let now = self.clock.now();
        let mut inner = self.lock();
        inner.locked = if locked { inner.locked.or(Some(now)) } else { None };
    }

    /// The state as it is now.
    pub fn snapshot(&self) -> Snapshot {
        let inner = self.lock();
        Snapshot {
            live: inner.live.values().cloned().collect(),
            last: inner.last.clone(),
            containers: inner.containers.clone(),
            pin: inner.pin,
            locked: inner.locked,
        }
    }

    // Every critical section leaves the record whole, so a panic elsewhere does not make it wrong.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self, id: u64, end: bool) {
        let now = self.clock.now();
        let mut inner = self.lock();
        let Inner { live, last, .. } = &mut *inner;
        let Some(this) = live.get_mut(&id) else { return };
        if this.kind == Kind::Watch {
            if end {
                live.remove(&id);
            }
            return;
        }
        this.last_traffic = now;
        match last.get_mut(&this.kind) {
            Some(seen) => {
                seen.at = now;
                // Mostly the same as last time; this is called for each piece of a transfer.
                if seen.source != this.source || seen.client != this.client {
                    seen.source.clone_from(&this.source);
                    seen.client.clone_from(&this.client);
                }
            }
            None => drop(last.insert(
                this.kind,
                Seen { at: now, source: this.source.clone(), client: this.client.clone() },
            )),
        }
        if end {
            live.remove(&id);
        }
    }
}

/// Keeps an activity alive until it is dropped.
#[derive(Debug)]
pub struct Guard {
    activity: Activity,
    /// `None` for what is no activity.
    id: Option<u64>,
}

impl Guard {
    /// For a request that is treated like all others and neither keeps a machine nor is a sign of
    /// life.
    pub fn of_nothing(activity: &Activity) -> Self {
        Self { activity: activity.clone(), id: None }
    }

    /// Bytes passed. Callers need not be sparing: it takes one uncontended lock.
    pub fn traffic(&self) {
        if let Some(id) = self.id {
            self.activity.seen(id, false);
        }
    }

    /// A command turned into a stream: its silence is judged differently from now on.
    pub fn becomes(&self, kind: Kind) {
        let Some(id) = self.id else { return };
        // As what it was: that it became a stream is a sign of life, whatever is made of its bytes.
        self.traffic();
        if let Some(live) = self.activity.lock().live.get_mut(&id) {
            live.kind = kind;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.activity.seen(id, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FakeClock;

    #[test]
    fn the_end_of_an_activity_is_a_sign_of_life_too() {
        let clock = Arc::new(FakeClock::default());
        let activity = Activity::new(clock.clone());
        let guard = activity.begin(Kind::Command, "POST /build");
        clock.advance(Duration::from_secs(60));
        drop(guard);
        let snapshot = activity.snapshot();
        assert!(snapshot.live.is_empty());
        assert_eq!(snapshot.last_activity().map(|seen| seen.at), Some(clock.now()));
    }

    #[test]
    fn a_command_that_becomes_a_stream_is_listed_once() {
        let activity = Activity::new(Arc::new(FakeClock::default()));
        let guard = activity.begin(Kind::Command, "POST /exec/start");
        guard.becomes(Kind::Stream);
        let live = activity.snapshot().live;
        assert_eq!(live.len(), 1);
        assert_eq!(live[0].kind, Kind::Stream);
    }

    #[test]
    fn the_bytes_of_a_watch_are_no_sign_of_life() {
        let clock = Arc::new(FakeClock::default());
        let activity = Activity::new(clock.clone());
        let begun = clock.now();
        let guard = activity.begin(Kind::Command, "GET /containers/web/stats");
        guard.becomes(Kind::Watch);
        clock.advance(Duration::from_secs(60));
        guard.traffic();
        let snapshot = activity.snapshot();
        assert_eq!(
            (snapshot.live[0].last_traffic, snapshot.last_activity().map(|seen| seen.at)),
            (begun, Some(begun))
        );
        drop(guard);
        assert_eq!(activity.snapshot().last_activity().map(|seen| seen.at), Some(begun));
        assert!(activity.snapshot().live.is_empty());
    }

    #[test]
    fn what_is_no_activity_leaves_no_trace() {
        let activity = Activity::new(Arc::new(FakeClock::default()));
        let guard = Guard::of_nothing(&activity);
        guard.traffic();
        guard.becomes(Kind::Stream);
        assert_eq!(activity.snapshot(), Snapshot::default());
    }

    #[test]
    fn a_lock_that_is_told_twice_counts_from_the_first_time() {
        let clock = Arc::new(FakeClock::default());
        let activity = Activity::new(clock.clone());
        activity.set_locked(true);
        let first = clock.now();
        clock.advance(Duration::from_secs(9));
        activity.set_locked(true);
        assert_eq!(activity.snapshot().locked, Some(first));
        activity.set_locked(false);
        assert_eq!(activity.snapshot().locked, None);
    }
}
