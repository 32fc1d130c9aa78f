//! Which image the next machine is made from: the one that is set, or a snapshot of our own. A
//! snapshot is not faster by nature (a cloud may take minutes to copy one to where it is needed),
//! so that what counts is what was measured here. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::wakes::{History, Wake};

/// So many wakes of each before they are compared.
const ENOUGH: usize = 2;
/// What was measured longer ago no longer tells what the cloud does today.
const COUNTS_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// A snapshot that did not boot is not tried again for so long: each attempt costs a started hour
/// and minutes of waiting.
pub(crate) const AVOIDED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// An image that a machine could be made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The cloud's id.
    pub id: u64,
    /// For people, such as `docker-ce` or `snapshot 4711`.
    pub name: String,
    /// Where it comes from.
    pub kind: Kind,
    /// GB that the server's disk has at least.
    pub disk: u64,
}

/// Where an image comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The cloud's, or whatever the person named.
    Plain,
    /// A snapshot that `image build docker` made.
    Own,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The image.
    pub image: Candidate,
    /// In words for a person.
    pub because: String,
}

/// Chooses among a plain image and a snapshot of ours, either of which may be missing; `None`
/// without any. Other candidates of a kind than the first are not looked at.
pub fn choose(
    candidates: &[Candidate],
    location: &str,
    history: &History,
    now: Timestamp,
) -> Option<Choice> {
    let first = |kind: Kind| candidates.iter().find(|candidate| candidate.kind == kind);
    let took = |image: &Candidate, because: String| Some(Choice { image: image.clone(), because });
    let (plain, own) = match (first(Kind::Plain), first(Kind::Own)) {
        (Some(plain), Some(own)) => (plain, own),
        (Some(plain), None) => {
            return took(plain, "there is no snapshot of our own that fits".to_owned());
        }
        (None, Some(own)) => return took(own, "there is nothing else that fits".to_owned()),
        (None, None) => return None,
    };
    if let Some(at) = history.last_failure(own.id).filter(|at| within(AVOIDED_FOR, *at, now)) {
        let ago = match (now.as_second() - at) / 3_600 {
            ..1 => "less than an hour ago".to_owned(),
            hours => format!("{hours} h ago"),
        };
        return took(plain, format!("a machine from {} did not come up {ago}", own.name));
    }
    let measured = |image: &Candidate| -> Vec<u64> {
        let counts = |wake: &&Wake| within(COUNTS_FOR, wake.at, now);
        history.of(image.id, location).filter(counts).map(|wake| wake.took_ms).collect()
    };
    let (of_plain, of_own) = (measured(plain), measured(own));
    let fewer =
        if of_plain.len() < of_own.len() { (plain, of_plain.len()) } else { (own, of_own.len()) };
    if let (image, times @ ..ENOUGH) = fewer {
        return took(
            image,
            format!("it is being measured in {location}: {times} of {ENOUGH} wakes are known"),
        );
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

/// A clock that was set back does not make it longer.
fn within(span: Duration, at: i64, now: Timestamp) -> bool {
    let age = now.as_second().saturating_sub(at);
    u64::try_from(age).map_or(true, |age| age < span.as_secs())
}

/// Of an even number the mean of the two in the middle; never called with none.
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
        Candidate { id: 1, name: "docker-ce".to_owned(), kind: Kind::Plain, disk: 5 }
    }

    fn own() -> Candidate {
        Candidate { id: 2, name: "snapshot 2".to_owned(), kind: Kind::Own, disk: 40 }
    }

    /// Seconds before now, image, location, milliseconds.
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
    fn what_is_not_measured_is_tried_and_told() {
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
        assert_eq!(chosen(&elsewhere).0, 2, "another location tells nothing");
    }

    #[test]
    fn the_smaller_median_wins_and_a_tie_goes_to_the_snapshot() {
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
    fn a_snapshot_that_did_not_boot_is_left_alone_for_a_day() {
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
        assert_eq!(chosen(&fast).0, 1, "there is nothing to fall back on from the plain image");
        let later = now() + AVOIDED_FOR;
        assert_eq!(choose(&[plain(), own()], "fsn1", &fast, later).unwrap().image.id, 2);
        let only = choose(&[own()], "fsn1", &fast, now()).unwrap();
        assert_eq!(only.image.id, 2, "it is all there is");
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
        fn it_is_always_one_of_the_candidates_and_says_why(history in some_history(), with_plain: bool, with_own: bool) {
            let candidates: Vec<Candidate> = [with_plain.then(plain), with_own.then(own)].into_iter().flatten().collect();
            let choice = choose(&candidates, "fsn1", &history, now());
            prop_assert_eq!(choice.is_some(), with_plain || with_own);
            if let Some(choice) = choice {
                prop_assert!(candidates.contains(&choice.image) && !choice.because.is_empty());
            }
        }

        #[test]
        fn a_snapshot_that_failed_lately_is_never_chosen_where_there_is_another(history in some_history(), ago in 0i64..24 * 3_600) {
            let mut history = history;
            history.failed(2, Timestamp::from_second(NOW - ago).unwrap());
            prop_assert_eq!(chosen(&history).0, 1);
        }

        /// Whoever wakes machines with it ends with enough of both, and then with the faster one.
        #[test]
        fn it_measures_both_and_settles_for_the_faster(plain_took in 1u64..1_000, own_took in 1u64..1_000, noise in proptest::collection::vec(0u64..100, 12)) {
            let mut history = History::default();
            let mut tried = Vec::new();
            for (step, noise) in (0i64..).zip(noise) {
                let image = chosen(&history).0;
                tried.push(image);
                let took_ms = noise + 100 * if image == 1 { plain_took } else { own_took };
                let (server_type, location) = ("cx23".to_owned(), "fsn1".to_owned());
                history.woke(Wake { image, server_type, location, at: NOW - 100 + step, took_ms, stages: Vec::new() });
            }
            for image in [1, 2] {
                prop_assert!(tried[..2 * ENOUGH].iter().filter(|tried| **tried == image).count() == ENOUGH);
            }
            if plain_took.abs_diff(own_took) > 1 {
                let faster = if plain_took < own_took { 1 } else { 2 };
                prop_assert!(tried[2 * ENOUGH..].iter().all(|tried| *tried == faster), "{tried:?}");
            }
        }
    }
}
