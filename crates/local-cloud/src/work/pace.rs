//! How long actions take: at least long enough to be seen running, or a duration from the spread
//! observed at Hetzner. The duration is a function of a seed, the kind of work, and the number of
//! previous works of that kind, so that a run can be repeated.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::Work;
use crate::options::Pace;

/// Long enough for a poll to find the action running.
const SEEN: Duration = Duration::from_millis(20);

/// Generates the durations of actions.
#[derive(Debug)]
pub(crate) struct Durations {
    pace: Pace,
    seed: u64,
    /// Number of draws of each kind, by the kind's position in [`spread`].
    drawn: Mutex<BTreeMap<u64, u64>>,
}

/// The shortest, the most likely and the longest duration, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spread {
    kind: u64,
    shortest: u32,
    likely: u32,
    longest: u32,
}

impl Durations {
    pub(crate) fn new(pace: Pace, seed: u64) -> Durations {
        Durations { pace, seed, drawn: Mutex::default() }
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// The minimum duration of this work; each call draws again.
    pub(crate) fn least(&self, work: &Work) -> Duration {
        if self.pace == Pace::Fast {
            return SEEN;
        }
        let spread = spread(work);
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let count = drawn.entry(spread.kind).or_default();
        let stream = self.seed ^ spread.kind.rotate_left(56) ^ count.rotate_left(32);
        *count += 1;
        spread.at(StdRng::seed_from_u64(stream).random_range(0.0..1.0))
    }
}

impl Spread {
    /// The duration below which a share of `share` of all draws lies: a triangular distribution.
    fn at(self, share: f64) -> Duration {
        let [shortest, likely, longest] = [self.shortest, self.likely, self.longest].map(f64::from);
        let width = longest - shortest;
        let up = (likely - shortest) / width;
        let ms = if share < up {
            shortest + (share * width * (likely - shortest)).sqrt()
        } else {
            longest - ((1.0 - share) * width * (longest - likely)).sqrt()
        };
        Duration::from_micros((ms * 1000.0) as u64)
    }
}

/// Reports of the live service, 2022 to 2026: creation with start 20 to 40 s, mostly 28 s;
/// creation without start 2.2 s; volumes 2 to 5 s; deletion about 11 s; a small snapshot 69 to 131
/// s. Works without a report use the figures of the most similar one.
fn spread(work: &Work) -> Spread {
    let (kind, shortest, likely, longest) = match work {
        Work::CreateServer { start_follows: true, .. } => (0, 10_000, 13_000, 22_000),
        Work::CreateServer { start_follows: false, .. } => (1, 1_600, 2_200, 4_000),
        Work::Start(_) => (2, 10_000, 15_000, 18_000),
        Work::Stop(_) => (3, 2_000, 5_000, 10_000),
        Work::Shutdown(_) => (4, 1_000, 2_000, 4_000),
        Work::SetRescue { .. } => (5, 1_000, 2_000, 4_000),
        Work::Reboot(_) => (6, 8_000, 15_000, 25_000),
        Work::Reset(_) => (7, 8_000, 15_000, 25_000),
        Work::Rebuild { .. } => (8, 20_000, 28_000, 45_000),
        Work::ChangeType { .. } => (9, 15_000, 28_000, 60_000),
        Work::CreateImage { .. } => (10, 60_000, 69_000, 131_000),
        Work::DeleteServer(_) => (11, 6_000, 11_000, 16_000),
        Work::CreateVolume(_) => (12, 2_000, 2_700, 6_000),
        Work::Attach { .. } => (13, 2_000, 3_000, 5_000),
        Work::Detach(_) => (14, 2_000, 3_000, 5_000),
        Work::Resize { .. } => (15, 2_000, 3_000, 5_000),
        Work::ApplyFirewall { .. } => (16, 1_000, 2_000, 4_000),
        Work::RemoveFirewall { .. } => (17, 1_000, 2_000, 4_000),
        Work::Nothing => (18, 500, 1_000, 2_000),
    };
    Spread { kind, shortest, likely, longest }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(seed: u64, works: &[Work]) -> Vec<Duration> {
        let durations = Durations::new(Pace::Real, seed);
        works.iter().map(|work| durations.least(work)).collect()
    }

    #[test]
    fn durations_fill_their_spread_and_crowd_around_the_likely_one() {
        let create = Work::CreateServer { server: 1, start_follows: true };
        let mut seen = draws(7, &vec![create.clone(); 2000]);
        seen.sort();
        let spread = spread(&create);
        let ms = |duration: Duration| u32::try_from(duration.as_millis()).unwrap();
        assert!(
            ms(seen[0]) >= spread.shortest && ms(seen[1999]) <= spread.longest,
            "{:?} {:?}",
            seen[0],
            seen[1999]
        );
        assert!(ms(seen[0]) < 10_500 && ms(seen[1999]) > 21_000, "{:?} {:?}", seen[0], seen[1999]);
        // The median of this triangle is 14.6 s.
        assert!((14_200..15_100).contains(&ms(seen[1000])), "{:?}", seen[1000]);
    }

    #[test]
    fn a_seed_repeats_the_durations_of_each_kind_whatever_runs_between() {
        let (start, attach) =
            (Work::Start(1), Work::Attach { volume: 2, server: 1, late: None, automount: false });
        let apart = draws(5, &[start.clone(), start.clone(), attach.clone(), attach.clone()]);
        let mixed = draws(5, &[attach.clone(), start.clone(), attach, start.clone()]);
        assert_eq!(
            [apart[0], apart[1], apart[2], apart[3]],
            [mixed[1], mixed[3], mixed[0], mixed[2]]
        );
        assert_ne!(apart[0], apart[1]);
        assert_ne!(draws(6, std::slice::from_ref(&start)), draws(5, std::slice::from_ref(&start)));
    }

    #[test]
    fn a_fast_action_is_just_seen() {
        assert_eq!(Durations::new(Pace::Fast, 1).least(&Work::Start(1)), SEEN);
    }
}
