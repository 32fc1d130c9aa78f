//! The one clock for pauses of the stream: what was measured before a pause says little about what
//! follows it.

use std::time::Duration;

use tokio::time::Instant;

/// A stream that sends nothing for longer than this has paused.
const SHORTEST: Duration = Duration::from_secs(1);

pub(crate) struct Pause {
    last: Instant,
}

impl Pause {
    pub(crate) fn new(now: Instant) -> Self {
        Self { last: now }
    }

    /// Notes that the stream sends at `now`. Returns whether that ends a pause.
    pub(crate) fn is_over(&mut self, now: Instant) -> bool {
        let last = std::mem::replace(&mut self.last, now);
        now.saturating_duration_since(last) > SHORTEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_gap_of_more_than_a_second_is_a_pause() {
        let begun = Instant::now();
        let mut pause = Pause::new(begun);
        assert!(!pause.is_over(begun + SHORTEST));
        assert!(!pause.is_over(begun + 2 * SHORTEST), "counted from the last time");
        assert!(pause.is_over(begun + 4 * SHORTEST));
        assert!(!pause.is_over(begun + 4 * SHORTEST));
    }
}
