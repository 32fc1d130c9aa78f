//! What goes on and what went on. Activities have guards: dropping a guard ends its activity, so
//! that no forgotten one keeps a machine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Moment};
use crate::containers::Container;
use crate::history::{Bytes, Ended, History};
use crate::kind::Kind;

/// An activity that goes on now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Its kind.
    pub kind: Kind,
    /// What it is, human-readable: `POST /containers/create`, `web:8080`.
    pub source: String,
    /// The client, by its own name: `Docker-Client/28.2.2 (linux)`.
    pub client: Option<String>,
    /// When it began.
    pub since: Moment,
    /// When bytes last passed, or when it began.
    pub last_traffic: Moment,
    /// The bytes that passed.
    pub bytes: Bytes,
}

/// The last activity of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// When.
    pub at: Moment,
    /// What.
    pub source: String,
    /// The client, by its own name.
    pub client: Option<String>,
}

/// The user wants the machine to stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin {
    /// Since when.
    pub since: Moment,
    /// Until when; `None` for no end.
    pub until: Option<Moment>,
}

/// The activity that [`crate::decide`] looks at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// Activities that go on now.
    pub live: Vec<Live>,
    /// The last activity of each kind, whether it still goes on or not.
    pub last: BTreeMap<Kind, Seen>,
    /// Running containers, as the engine lists them.
    pub containers: Vec<Container>,
    /// The user's pin.
    pub pin: Option<Pin>,
    /// Since when the screen is locked, or the computer is about to suspend.
    pub locked: Option<Moment>,
}

impl Snapshot {
    /// The last activity of any kind.
    pub fn last_activity(&self) -> Option<&Seen> {
        self.last.values().max_by_key(|seen| seen.at)
    }
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    live: BTreeMap<u64, Live>,
    last: BTreeMap<Kind, Seen>,
    past: History,
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

    /// The clock of all moments in the record.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// An activity begins; it ends when the guard is dropped.
    pub fn begin(&self, kind: Kind, source: impl Into<String>) -> Guard {
        self.begin_for(kind, source, None)
    }

    /// [`Activity::begin`] for a client that has named itself.
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
        let bytes = Bytes::default();
        inner.live.insert(id, Live { kind, source, client, since: now, last_traffic: now, bytes });
        Guard { activity: self.clone(), id: Some(id) }
    }

    /// Sets the containers that run on the machine.
    pub fn set_containers(&self, containers: Vec<Container>) {
        self.lock().containers = containers;
    }

    /// Pins the machine, for a time or without an end. A second pin replaces the first.
    pub fn pin(&self, length: Option<Duration>) {
        let now = self.clock.now();
        self.lock().pin = Some(Pin { since: now, until: length.map(|length| now.plus(length)) });
    }

    /// Removes the pin. Returns whether there was one.
    pub fn unpin(&self) -> bool {
        self.lock().pin.take().is_some()
    }

    /// The screen is locked or the computer suspends, or that is over. A lock that is reported
    /// twice counts from the first report.
    pub fn set_locked(&self, locked: bool) {
        let now = self.clock.now();
        let mut inner = self.lock();
        inner.locked = if locked { inner.locked.or(Some(now)) } else { None };
    }

    /// The present activity.
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

    /// What goes on and what went on, by kind, with its bytes.
    pub fn history(&self) -> History {
        let inner = self.lock();
        inner.past.clone().with(inner.live.values().map(|live| (live.kind, live.bytes)))
    }

    // Each critical section leaves the record consistent, so that a panic elsewhere does no harm.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self, id: u64, bytes: Bytes, end: bool) {
        let now = self.clock.now();
        let mut inner = self.lock();
        let Inner { live, last, past, .. } = &mut *inner;
        let Some(this) = live.get_mut(&id) else { return };
        this.bytes.add(bytes);
        if this.kind != Kind::Watch {
            this.last_traffic = now;
            match last.get_mut(&this.kind) {
                Some(seen) => {
                    seen.at = now;
                    // Mostly the same as last time. This is called for each piece of a transfer.
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
        }
        if end && let Some(ended) = live.remove(&id) {
            let Live { kind, source, client, since, bytes, .. } = ended;
            past.ended(kind, Ended { source, client, since, at: now, bytes });
        }
    }
}

/// Keeps an activity alive until it is dropped.
#[derive(Debug)]
pub struct Guard {
    activity: Activity,
    /// `None` for a request that is no activity.
    id: Option<u64>,
}

impl Guard {
    /// For a request that is no activity: it neither keeps a machine nor counts as its last
    /// activity.
    pub fn of_nothing(activity: &Activity) -> Self {
        Self { activity: activity.clone(), id: None }
    }

    /// Something passed. Cheap enough for each piece: it takes one uncontended lock.
    pub fn traffic(&self) {
        self.passed(Bytes::default());
    }

    /// Bytes passed to the machine, which counts as [`Guard::traffic`].
    pub fn sent(&self, bytes: usize) {
        self.passed(Bytes { sent: bytes as u64, received: 0 });
    }

    /// Bytes passed from the machine, which counts as [`Guard::traffic`].
    pub fn received(&self, bytes: usize) {
        self.passed(Bytes { sent: 0, received: bytes as u64 });
    }

    fn passed(&self, bytes: Bytes) {
        if let Some(id) = self.id {
            self.activity.seen(id, bytes, false);
        }
    }

    /// A command became a stream: from now on its silence counts.
    pub fn becomes(&self, kind: Kind) {
        let Some(id) = self.id else { return };
        // As its former kind: the change is an activity, even if the bytes of the new kind are not.
        self.traffic();
        if let Some(live) = self.activity.lock().live.get_mut(&id) {
            live.kind = kind;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.activity.seen(id, Bytes::default(), true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FakeClock;

    #[test]
    fn end_of_an_activity_counts_as_activity() {
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
    fn command_that_becomes_a_stream_is_listed_once() {
        let activity = Activity::new(Arc::new(FakeClock::default()));
        let guard = activity.begin(Kind::Command, "POST /exec/start");
        guard.becomes(Kind::Stream);
        let live = activity.snapshot().live;
        assert_eq!(live.len(), 1);
        assert_eq!(live[0].kind, Kind::Stream);
    }

    #[test]
    fn bytes_of_a_watch_are_no_activity() {
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
    fn request_that_is_no_activity_leaves_no_trace() {
        let activity = Activity::new(Arc::new(FakeClock::default()));
        let guard = Guard::of_nothing(&activity);
        guard.traffic();
        guard.becomes(Kind::Stream);
        assert_eq!(activity.snapshot(), Snapshot::default());
    }

    #[test]
    fn lock_that_is_reported_twice_counts_from_the_first_report() {
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
