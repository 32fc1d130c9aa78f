//! What is happening and what happened. Guards are handed out for things with an end, so that a forgotten one cannot keep a machine:
//! dropping it ends the activity.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::{Clock, Moment};

/// Kinds of activity, which the policy treats differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A request to the Docker API that has not been answered to its end.
    Command,
    /// An upgraded or endless stream: `run -it`, `exec`, `logs -f`, `events`.
    Stream,
    /// A connection through a published port.
    Forward,
}

/// One thing that goes on now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// What kind it is.
    pub kind: Kind,
    /// Who or what, in words for a person: `POST /containers/create`, `web:8080`.
    pub source: String,
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
    /// Who or what.
    pub source: String,
}

/// All that [`crate::decide`] needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// What goes on now.
    pub live: Vec<Live>,
    /// The last sign of life by kind, whether it still goes on or not.
    pub last: BTreeMap<Kind, Seen>,
    /// Running containers, as the machine reports them.
    pub running_containers: u32,
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
    running_containers: u32,
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

    /// Something begins; it ends when the guard is dropped.
    pub fn begin(&self, kind: Kind, source: impl Into<String>) -> Guard {
        let now = self.clock.now();
        let source = source.into();
        let mut inner = self.lock();
        let id = inner.next;
        inner.next += 1;
        inner.last.insert(kind, Seen { at: now, source: source.clone() });
        inner.live.insert(id, Live { kind, source, since: now, last_traffic: now });
        Guard { activity: self.clone(), id }
    }

    /// The machine's own count of running containers.
    pub fn set_running_containers(&self, count: u32) {
        self.lock().running_containers = count;
    }

    /// The state as it is now.
    pub fn snapshot(&self) -> Snapshot {
        let inner = self.lock();
        Snapshot { live: inner.live.values().cloned().collect(), last: inner.last.clone(), running_containers: inner.running_containers }
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
        this.last_traffic = now;
        match last.get_mut(&this.kind) {
            Some(seen) => {
                seen.at = now;
                // Mostly the same as last time; this is called for each piece of a transfer.
                if seen.source != this.source {
                    seen.source.clone_from(&this.source);
                }
            }
            None => drop(last.insert(this.kind, Seen { at: now, source: this.source.clone() })),
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
    id: u64,
}

impl Guard {
    /// Bytes passed. Callers need not be sparing: it takes one uncontended lock.
    pub fn traffic(&self) {
        self.activity.seen(self.id, false);
    }

    /// A command turned into a stream: its silence is judged differently from now on.
    pub fn becomes(&self, kind: Kind) {
        if let Some(live) = self.activity.lock().live.get_mut(&self.id) {
            live.kind = kind;
        }
        self.traffic();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.activity.seen(self.id, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FakeClock;
    use std::time::Duration;

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
}
