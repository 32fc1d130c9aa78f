//! How past machines booted: from which image, in how long, and which images failed. Bounded, and
//! may be lost: it only helps to choose the next image. Pure except for [`BootHistory`], which
//! stores each change through a callback.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use api::Phase;

/// Wakes kept of each image in each location: enough for a median that one slow boot does not move.
const KEPT_OF_EACH: usize = 9;
/// Wakes kept in all: a deleted image leaves its measurements behind.
const KEPT: usize = 64;
/// Failed boots kept.
const KEPT_FAILURES: usize = 16;

/// A machine that came up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wake {
    /// The image's id.
    pub image: u64,
    /// Such as `cx23`.
    pub server_type: String,
    /// Such as `fsn1`. The cloud may have to copy a snapshot to a location first.
    pub location: String,
    /// Seconds since 1970 at the request for a server.
    pub at: i64,
    /// From the request for a server to docker's first answer, in milliseconds.
    pub took_ms: u64,
    /// The stages of this time, in order.
    pub stages: Vec<Stage>,
}

/// A stage of a wake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// The stage.
    pub phase: Phase,
    /// Its duration, in milliseconds.
    pub took_ms: u64,
}

/// A machine that did not come up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The image's id.
    pub image: u64,
    /// Seconds since 1970.
    pub at: i64,
}

/// Why a server was made from its image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The server's id.
    pub server: u64,
    /// Human-readable.
    pub because: String,
}

/// The known past wakes of one profile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    wakes: Vec<Wake>,
    failures: Vec<Failure>,
    chosen: Option<Chosen>,
}

impl History {
    /// Records a machine that came up. The oldest wake of the same image and location is dropped.
    pub fn woke(&mut self, wake: Wake) {
        let is_same_kind =
            |other: &Wake| (other.image, &other.location) == (wake.image, &wake.location);
        let same_kind = self.wakes.iter().filter(|other| is_same_kind(other)).count();
        if same_kind >= KEPT_OF_EACH
            && let Some(oldest) = self.wakes.iter().position(is_same_kind)
        {
            self.wakes.remove(oldest);
        }
        self.wakes.push(wake);
        let surplus = self.wakes.len().saturating_sub(KEPT);
        self.wakes.drain(..surplus);
    }

    /// Records that a machine from this image did not come up.
    pub fn failed(&mut self, image: u64, now: Timestamp) {
        self.failures.push(Failure { image, at: now.as_second() });
        let surplus = self.failures.len().saturating_sub(KEPT_FAILURES);
        self.failures.drain(..surplus);
    }

    /// The wakes from this image in this location, oldest first.
    pub fn of<'a>(&'a self, image: u64, location: &'a str) -> impl Iterator<Item = &'a Wake> {
        self.wakes.iter().filter(move |wake| wake.image == image && wake.location == location)
    }

    /// How long the stage with these [`Phase::words`] usually takes: the median of the last wakes.
    /// `None` for a stage that was never timed.
    pub fn usual(&self, words: &str) -> Option<Duration> {
        let took = |wake: &Wake| {
            let stages = wake.stages.iter().filter(|stage| stage.phase.words() == words);
            stages.map(|stage| stage.took_ms).reduce(u64::saturating_add)
        };
        let mut last: Vec<u64> =
            self.wakes.iter().rev().filter_map(took).take(KEPT_OF_EACH).collect();
        last.sort_unstable();
        last.get(last.len() / 2).copied().map(Duration::from_millis)
    }

    /// When a machine from this image last failed to come up, in seconds since 1970.
    pub fn last_failure(&self, image: u64) -> Option<i64> {
        self.failures
            .iter()
            .filter(|failure| failure.image == image)
            .map(|failure| failure.at)
            .max()
    }

    /// Why this server was made from its image, where that is known.
    pub fn why(&self, server: u64) -> Option<&str> {
        self.chosen
            .as_ref()
            .filter(|chosen| chosen.server == server)
            .map(|chosen| chosen.because.as_str())
    }
}

type Store = dyn Fn(&History) + Send + Sync;

/// The history of one profile, which stores itself after each change. Clones share it.
#[derive(Clone)]
pub struct BootHistory {
    history: Arc<Mutex<History>>,
    store: Arc<Store>,
}

impl fmt::Debug for BootHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BootHistory").finish_non_exhaustive()
    }
}

impl BootHistory {
    /// Starts with a stored history; calls `store` after each change.
    pub fn new(history: History, store: impl Fn(&History) + Send + Sync + 'static) -> Self {
        Self { history: Arc::new(Mutex::new(history)), store: Arc::new(store) }
    }

    /// A copy of the history.
    pub fn history(&self) -> History {
        self.history.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn woke(&self, wake: Wake) {
        self.change(|history| history.woke(wake));
    }

    pub(crate) fn failed(&self, image: u64) {
        self.change(|history| history.failed(image, Timestamp::now()));
    }

    pub(crate) fn chose(&self, chosen: Chosen) {
        self.change(|history| history.chosen = Some(chosen));
    }

    fn change(&self, change: impl FnOnce(&mut History)) {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut history);
        (self.store)(&history);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn wake(image: u64, location: &str, took_ms: u64, at: i64) -> Wake {
        Wake {
            image,
            server_type: "cx23".to_owned(),
            location: location.to_owned(),
            at,
            took_ms,
            stages: Vec::new(),
        }
    }

    #[test]
    fn history_survives_serialization_and_an_older_file_is_read() {
        let mut history = History::default();
        history.woke(Wake {
            stages: vec![Stage { phase: Phase::Boot, took_ms: 7 }],
            ..wake(1, "fsn1", 9, 100)
        });
        history.failed(2, Timestamp::UNIX_EPOCH);
        let text = serde_json::to_string(&history).unwrap();
        assert_eq!(serde_json::from_str::<History>(&text).unwrap(), history);
        assert_eq!(serde_json::from_str::<History>("{}").unwrap(), History::default());
    }

    #[test]
    fn usual_time_of_a_stage_is_the_median_of_the_last_wakes() {
        let mut history = History::default();
        assert_eq!(history.usual("booting"), None);
        for (at, boot) in (0..).zip([90_000, 18_000, 20_000, 300_000, 19_000]) {
            let stages = vec![
                Stage { phase: Phase::Create, took_ms: 1_000 },
                Stage { phase: Phase::Boot, took_ms: boot },
            ];
            history.woke(Wake { stages, ..wake(1, "fsn1", boot, at) });
        }
        assert_eq!(history.usual("booting"), Some(Duration::from_secs(20)));
        assert_eq!(
            (history.usual("creating the server"), history.usual("connecting")),
            (Some(Duration::from_secs(1)), None)
        );
    }

    proptest! {
        #[test]
        fn history_is_bounded_and_keeps_the_newest_of_each_kind(
            wakes in proptest::collection::vec((0u64..12, any::<bool>()), 0..300),
        ) {
            let mut history = History::default();
            for (at, (image, near)) in (0..).zip(&wakes) {
                history.woke(wake(*image, if *near { "fsn1" } else { "hel1" }, 1, at));
                history.failed(*image, Timestamp::from_second(at).unwrap());
            }
            prop_assert!(history.wakes.len() <= KEPT && history.failures.len() <= KEPT_FAILURES);
            if let Some((image, near)) = wakes.last() {
                let location = if *near { "fsn1" } else { "hel1" };
                let kept: Vec<i64> = history.of(*image, location).map(|wake| wake.at).collect();
                prop_assert!(kept.len() <= KEPT_OF_EACH && kept.is_sorted());
                prop_assert_eq!(kept.last().copied(), i64::try_from(wakes.len() - 1).ok());
            }
        }
    }
}
