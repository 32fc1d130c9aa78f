//! Which image the next machine is made from: the one in the settings, or one of dockbridge's own
//! snapshots. A snapshot is not faster by nature (a cloud may take minutes to copy one to where it
//! is needed), so only measurements made here count. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::boot_history::{History, Wake};

/// Wakes of each image that must be known before two images are compared.
const ENOUGH: usize = 2;
/// Older measurements do not count: the cloud changes.
const COUNTS_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long a snapshot that did not boot is avoided: each attempt costs a started hour and minutes
/// of waiting.
pub(crate) const AVOIDED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// An image that a machine could be made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The cloud's id.
    pub id: u64,
    /// Human-readable, such as `docker-ce` or `snapshot 4711`.
    pub name: String,
    /// Where it comes from.
    pub kind: ImageKind,
    /// GB that the server's disk needs at least.
    pub disk: u64,
}

/// Where an image comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageKind {
    /// An image of the cloud, or the one that the user named.
    Plain,
    /// A snapshot that `image build docker` made.
    Own,
}

/// The chosen image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageChoice {
    /// The image.
    pub image: Candidate,
    /// Human-readable reason.
    pub because: String,
}

/// Chooses between the first plain image and the first own snapshot among the candidates. `None`
/// if there are no candidates.
pub fn choose(
    candidates: &[Candidate],
    location: &str,
    history: &History,
    now: Timestamp,
) -> Option<ImageChoice> {
    let first = |kind: ImageKind| candidates.iter().find(|candidate| candidate.kind == kind);
    let took =
        |image: &Candidate, because: String| Some(ImageChoice { image: image.clone(), because });
    let (plain, own) = match (first(ImageKind::Plain), first(ImageKind::Own)) {
        (Some(plain), Some(own)) => (plain, own),
        (Some(plain), None) => return took(plain, "no own snapshot fits".to_owned()),
        (None, Some(own)) => return took(own, "nothing else fits".to_owned()),
        (None, None) => return None,
    };
    if let Some(at) = history.last_failure(own.id).filter(|at| within(AVOIDED_FOR, *at, now)) {
        let ago = match (now.as_second() - at) / 3_600 {
            ..1 => "less than an hour ago".to_owned(),
            hours => format!("{hours} h ago"),
        };
        return took(plain, format!("a machine from {} did not come up {ago}", own.name));
    }
    by_measurement(plain, own, location, history, now)
}

/// The image with fewer than [`ENOUGH`] measurements, else the one with the smaller median.
fn by_measurement(
    plain: &Candidate,
    own: &Candidate,
    location: &str,
    history: &History,
    now: Timestamp,
) -> Option<ImageChoice> {
    let took =
        |image: &Candidate, because: String| Some(ImageChoice { image: image.clone(), because });
    let measured = |image: &Candidate| -> Vec<u64> {
        let counts = |wake: &&Wake| within(COUNTS_FOR, wake.at, now);
        history.of(image.id, location).filter(counts).map(|wake| wake.took_ms).collect()
    };
    let (of_plain, of_own) = (measured(plain), measured(own));
    let fewer =
        if of_plain.len() < of_own.len() { (plain, of_plain.len()) } else { (own, of_own.len()) };
    if let (image, times @ ..ENOUGH) = fewer {
        let because =
            format!("it is being measured in {location}: {times} of {ENOUGH} wakes are known");
        return took(image, because);
    }
    let (plain_took, own_took) = (median(of_plain), median(of_own));
    let figures = |one: u64, other: u64| {
        format!(
            "its median wake in {location} took {}, that of the other {}",
            seconds(one),
            seconds(other)
        )
    };
    match own_took <= plain_took {
        true => took(own, figures(own_took, plain_took)),
        false => took(plain, figures(plain_took, own_took)),
    }
}

/// Whether `at` is less than `span` ago. A moment in the future counts as now, since the clock may
/// have been set back.
fn within(span: Duration, at: i64, now: Timestamp) -> bool {
    let age = now.as_second().saturating_sub(at);
    u64::try_from(age).map_or(true, |age| age < span.as_secs())
}

/// Of an even number of values the mean of the two in the middle; 0 of none.
fn median(mut times: Vec<u64>) -> u64 {
    times.sort_unstable();
    let middle = times.len() / 2;
    match (times.get(middle.wrapping_sub(1)), times.get(middle)) {
        (Some(below), Some(above)) if times.len().is_multiple_of(2) => {
            u64::midpoint(*below, *above)
        }
        (_, Some(above)) => *above,
        _ => 0,
    }
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn now() -> Timestamp {
        Timestamp::from_second(NOW).unwrap()
    }

    fn plain() -> Candidate {
        Candidate { id: 1, name: "docker-ce".to_owned(), kind: ImageKind::Plain, disk: 5 }
    }

    fn own() -> Candidate {
        Candidate { id: 2, name: "snapshot 2".to_owned(), kind: ImageKind::Own, disk: 40 }
    }

    /// Each wake: seconds before now, image, location, milliseconds.
    fn history(wakes: &[(i64, u64, &str, u64)]) -> History {
        let mut history = History::default();
        for (ago, image, location, took_ms) in wakes {
            let (server_type, location) = ("cx23".to_owned(), (*location).to_owned());
            history.woke(Wake {
                image: *image,
                server_type,
                location,
                at: NOW - ago,
                took_ms: *took_ms,
                stages: Vec::new(),
            });
        }
        history
    }

    fn chosen(history: &History) -> (u64, String) {
        let choice = choose(&[plain(), own()], "fsn1", history, now()).unwrap();
        (choice.image.id, choice.because)
    }

    #[test]
    fn unmeasured_image_is_tried_and_the_reason_says_so() {
        assert_eq!(
            chosen(&History::default()),
            (2, "it is being measured in fsn1: 0 of 2 wakes are known".to_owned())
        );
        let one = history(&[(9, 2, "fsn1", 100)]);
        assert_eq!(
            chosen(&one),
            (1, "it is being measured in fsn1: 0 of 2 wakes are known".to_owned())
        );
        let elsewhere = history(&[(9, 2, "hel1", 100), (8, 2, "hel1", 100)]);
        assert_eq!(chosen(&elsewhere).0, 2, "wakes in another location do not count");
    }

    #[test]
    fn smaller_median_wins_and_a_tie_goes_to_the_snapshot() {
        let slow = history(&[
            (9, 1, "fsn1", 30_000),
            (8, 1, "fsn1", 31_000),
            (7, 2, "fsn1", 60_000),
            (6, 2, "fsn1", 20_000),
        ]);
        assert_eq!(
            chosen(&slow),
            (1, "its median wake in fsn1 took 30.5 s, that of the other 40.0 s".to_owned())
        );
        let tie = history(&[
            (9, 1, "fsn1", 300),
            (8, 1, "fsn1", 100),
            (7, 2, "fsn1", 200),
            (6, 2, "fsn1", 200),
        ]);
        assert_eq!(chosen(&tie).0, 2);
    }

    #[test]
    fn snapshot_that_did_not_boot_is_avoided_for_a_day() {
        let mut fast = history(&[
            (9, 1, "fsn1", 300),
            (8, 1, "fsn1", 300),
            (7, 2, "fsn1", 2),
            (6, 2, "fsn1", 2),
        ]);
        fast.failed(2, Timestamp::from_second(NOW - 2 * 3_600).unwrap());
        assert_eq!(
            chosen(&fast),
            (1, "a machine from snapshot 2 did not come up 2 h ago".to_owned())
        );
        fast.failed(1, now());
        assert_eq!(chosen(&fast).0, 1, "a failure of the plain image changes nothing");
        let later = now() + AVOIDED_FOR;
        assert_eq!(choose(&[plain(), own()], "fsn1", &fast, later).unwrap().image.id, 2);
        let only = choose(&[own()], "fsn1", &fast, now()).unwrap();
        assert_eq!(only.image.id, 2, "it is the only candidate");
    }

    fn some_history() -> impl Strategy<Value = History> {
        let wake =
            (0i64..60 * 24 * 3_600, 1u64..4, prop_oneof![Just("fsn1"), Just("hel1")], 1u64..1_000);
        let failure = (0i64..60 * 24 * 3_600, 1u64..4);
        (proptest::collection::vec(wake, 0..40), proptest::collection::vec(failure, 0..3)).prop_map(
            |(wakes, failures)| {
                let mut history = history(&wakes);
                for (ago, image) in failures {
                    history.failed(image, Timestamp::from_second(NOW - ago).unwrap());
                }
                history
            },
        )
    }

    proptest! {
        #[test]
        fn choice_is_one_of_the_candidates_and_has_a_reason(
            history in some_history(), with_plain: bool, with_own: bool,
        ) {
            let candidates: Vec<Candidate> =
                [with_plain.then(plain), with_own.then(own)].into_iter().flatten().collect();
            let choice = choose(&candidates, "fsn1", &history, now());
            prop_assert_eq!(choice.is_some(), with_plain || with_own);
            if let Some(choice) = choice {
                prop_assert!(candidates.contains(&choice.image) && !choice.because.is_empty());
            }
        }

        #[test]
        fn snapshot_that_failed_lately_is_not_chosen_where_another_image_exists(
            history in some_history(), ago in 0i64..24 * 3_600,
        ) {
            let mut history = history;
            history.failed(2, Timestamp::from_second(NOW - ago).unwrap());
            prop_assert_eq!(chosen(&history).0, 1);
        }

        /// A series of wakes first measures both images, then uses the faster one.
        #[test]
        fn both_images_are_measured_and_then_the_faster_one_is_chosen(
            plain_took in 1u64..1_000,
            own_took in 1u64..1_000,
            noise in proptest::collection::vec(0u64..100, 12),
        ) {
            let mut history = History::default();
            let mut tried = Vec::new();
            for (step, noise) in (0i64..).zip(noise) {
                let image = chosen(&history).0;
                tried.push(image);
                let took_ms = noise + 100 * if image == 1 { plain_took } else { own_took };
                let (server_type, location) = ("cx23".to_owned(), "fsn1".to_owned());
                let at = NOW - 100 + step;
                let stages = Vec::new();
                history.woke(Wake { image, server_type, location, at, took_ms, stages });
            }
            for image in [1, 2] {
                let measured = tried[..2 * ENOUGH].iter().filter(|tried| **tried == image);
                prop_assert!(measured.count() == ENOUGH);
            }
            if plain_took.abs_diff(own_took) > 1 {
                let faster = if plain_took < own_took { 1 } else { 2 };
                prop_assert!(tried[2 * ENOUGH..].iter().all(|tried| *tried == faster), "{tried:?}");
            }
        }
    }
}
