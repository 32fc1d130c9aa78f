//! How long one attempt to log in may take. Pure.
//!
//! The first attempts are short, because a packet that is lost while a server boots gets no answer
//! later. Later attempts leave time for a slow path.

use std::time::Duration;

const LIMITS: [Duration; 3] =
    [Duration::from_secs(5), Duration::from_secs(15), Duration::from_secs(30)];

/// The limit of the next attempt after `before` attempts that failed: 5 s, 15 s, then 30 s each.
pub fn login_timeout(before: u32) -> Duration {
    let at = usize::try_from(before).map_or(LIMITS.len(), |before| before).min(LIMITS.len() - 1);
    LIMITS[at]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_have_five_fifteen_and_then_thirty_seconds() {
        let seconds = [0, 1, 2, 3, 1_000, u32::MAX].map(|before| login_timeout(before).as_secs());
        assert_eq!(seconds, [5, 15, 30, 30, 30, 30]);
    }
}
