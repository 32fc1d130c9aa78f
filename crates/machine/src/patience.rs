//! How long one attempt to log in may take. Pure.
//!
//! The first ones are short, because a packet that was lost while a server boots is not answered
//! later; the later ones leave time for a path that is slow.

use std::time::Duration;

const STAIRS: [Duration; 3] =
    [Duration::from_secs(5), Duration::from_secs(15), Duration::from_secs(30)];

/// The limit of an attempt after `before` attempts that came to nothing: 5 s, 15 s, and 30 s from
/// then on.
pub fn patience(before: u32) -> Duration {
    let at = usize::try_from(before).map_or(STAIRS.len(), |before| before).min(STAIRS.len() - 1);
    STAIRS[at]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_have_five_fifteen_and_then_thirty_seconds() {
        let seconds = [0, 1, 2, 3, 1_000, u32::MAX].map(|before| patience(before).as_secs());
        assert_eq!(seconds, [5, 15, 30, 30, 30, 30]);
    }
}
