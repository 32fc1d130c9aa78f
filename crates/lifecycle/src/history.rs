//! What went on, by kind: how many activities there were, their bytes, and the last that ended.
//! Bounded, and no part of any decision. Pure.

use std::collections::{BTreeMap, VecDeque};

use crate::clock::Moment;
use crate::kind::Kind;

/// Ended activities kept of each kind: what a user looks back on at a glance.
const KEPT: usize = 8;
/// Characters kept of what an activity was: with an id of 64 characters, most requests fit.
const LONGEST_SOURCE: usize = 120;

/// Bytes of activities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bytes {
    /// To the machine.
    pub sent: u64,
    /// From the machine.
    pub received: u64,
}

impl Bytes {
    /// Adds others.
    pub fn add(&mut self, other: Bytes) {
        self.sent = self.sent.saturating_add(other.sent);
        self.received = self.received.saturating_add(other.received);
    }
}

/// The activities of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KindHistory {
    /// Activities that go on.
    pub now: u64,
    /// Activities that ended.
    pub ended: u64,
    /// Of all activities.
    pub bytes: Bytes,
    /// The last ones that ended, newest first.
    pub recent: VecDeque<Ended>,
}

/// An activity that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// What it was, human-readable.
    pub source: String,
    /// The client, by its own name.
    pub client: Option<String>,
    /// When it began.
    pub since: Moment,
    /// When it ended.
    pub at: Moment,
    /// Its bytes.
    pub bytes: Bytes,
}

/// The activities of all kinds since the record began. A kind without any has no entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History(pub BTreeMap<Kind, KindHistory>);

impl History {
    pub(crate) fn ended(&mut self, kind: Kind, mut ended: Ended) {
        ended.source = clipped(ended.source);
        ended.client = ended.client.map(clipped);
        let kind = self.0.entry(kind).or_default();
        kind.ended += 1;
        kind.bytes.add(ended.bytes);
        kind.recent.truncate(KEPT - 1);
        kind.recent.push_front(ended);
    }

    /// With what goes on.
    pub(crate) fn with(mut self, live: impl Iterator<Item = (Kind, Bytes)>) -> Self {
        for (kind, bytes) in live {
            let kind = self.0.entry(kind).or_default();
            kind.now += 1;
            kind.bytes.add(bytes);
        }
        self
    }
}

fn clipped(text: String) -> String {
    match text.char_indices().nth(LONGEST_SOURCE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::{Activity, Clock as _, FakeClock};

    #[test]
    fn bytes_count_for_the_kind_that_an_activity_has_become() {
        let clock = Arc::new(FakeClock::default());
        let activity = Activity::new(clock.clone());
        let guard = activity.begin_for(Kind::Command, "POST /exec", Some("docker".to_owned()));
        guard.sent(3);
        guard.becomes(Kind::Stream);
        guard.received(40);
        let bytes = Bytes { sent: 3, received: 40 };
        let begun = clock.now();
        let going_on = KindHistory { now: 1, bytes, ..KindHistory::default() };
        assert_eq!(activity.history().0, [(Kind::Stream, going_on)].into());
        clock.advance(Duration::from_secs(5));
        drop(guard);
        let ended = Ended {
            source: "POST /exec".to_owned(),
            client: Some("docker".to_owned()),
            since: begun,
            at: clock.now(),
            bytes,
        };
        let over = KindHistory { now: 0, ended: 1, bytes, recent: [ended].into() };
        assert_eq!(activity.history().0, [(Kind::Stream, over)].into());
    }

    #[test]
    fn bytes_of_a_watch_count_although_they_are_no_activity() {
        let activity = Activity::new(Arc::new(FakeClock::default()));
        let guard = activity.begin(Kind::Watch, "GET /containers/web/stats");
        guard.received(7);
        drop(guard);
        let watched = &activity.history().0[&Kind::Watch];
        assert_eq!((watched.ended, watched.bytes.received), (1, 7));
    }

    #[test]
    fn history_is_bounded_and_its_newest_entry_is_first() {
        let activity = Activity::new(Arc::new(FakeClock::default()));
        for number in 0..50 {
            drop(activity.begin(Kind::Command, format!("{number} {}", "x".repeat(500))));
        }
        let commands = &activity.history().0[&Kind::Command];
        assert_eq!((commands.ended, commands.recent.len()), (50, KEPT));
        let newest = &commands.recent[0].source;
        assert!(newest.starts_with("49 x") && newest.ends_with('…'), "{newest}");
        assert_eq!(newest.chars().count(), LONGEST_SOURCE + 1);
    }
}
