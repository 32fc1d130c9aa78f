//! Throughput from counters that are read now and then. Pure.

use std::collections::VecDeque;
use std::time::Duration;

/// Samples kept: the columns of a wide terminal.
const KEPT: usize = 240;

/// Bytes a second in both directions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rate {
    pub sent: u64,
    pub received: u64,
}

/// The last rates, newest first.
#[derive(Debug, Default)]
pub struct Rates {
    last: Option<(Duration, u64, u64)>,
    kept: VecDeque<Rate>,
}

impl Rates {
    /// The counters at a time since any fixed moment; `None` while there is no tunnel.
    pub fn read(&mut self, at: Duration, counters: Option<(u64, u64)>) {
        let Some((sent, received)) = counters else {
            self.last = None;
            self.keep(Rate::default());
            return;
        };
        if let Some((before, had_sent, had_received)) = self.last {
            let seconds = at.saturating_sub(before).as_secs_f64().max(1e-3);
            // A new tunnel counts from 0.
            let rate = |now: u64, had: u64| per_second(now.saturating_sub(had), seconds);
            self.keep(Rate { sent: rate(sent, had_sent), received: rate(received, had_received) });
        }
        self.last = Some((at, sent, received));
    }

    fn keep(&mut self, rate: Rate) {
        self.kept.truncate(KEPT - 1);
        self.kept.push_front(rate);
    }

    /// The newest.
    pub fn now(&self) -> Rate {
        self.kept.front().copied().unwrap_or_default()
    }

    /// The last ones that fit into `columns`, oldest first.
    pub fn last(&self, columns: usize, of: impl Fn(&Rate) -> u64) -> Vec<u64> {
        self.kept.iter().take(columns).rev().map(of).collect()
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "for display only"
)]
fn per_second(bytes: u64, seconds: f64) -> u64 {
    (bytes as f64 / seconds) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_is_the_difference_by_time_and_a_new_tunnel_is_no_traffic() {
        let mut rates = Rates::default();
        let at = Duration::from_secs;
        rates.read(at(10), Some((1_000, 5_000)));
        assert_eq!(rates.now(), Rate::default(), "one reading is no rate");
        rates.read(at(12), Some((3_000, 5_000)));
        assert_eq!(rates.now(), Rate { sent: 1_000, received: 0 });
        rates.read(at(13), Some((10, 20)));
        assert_eq!(rates.now(), Rate::default(), "counted from 0 again");
        rates.read(at(14), None);
        rates.read(at(15), Some((500_000, 500_000)));
        assert_eq!(rates.now(), Rate::default(), "what passed while there was no tunnel");
        rates.read(at(16), Some((500_007, 500_000)));
        assert_eq!(rates.last(3, |rate| rate.sent), [0, 0, 7]);
    }

    #[test]
    fn only_the_newest_samples_are_kept() {
        let mut rates = Rates::default();
        for second in 0..1_000 {
            rates.read(Duration::from_secs(second), Some((second * second, 0)));
        }
        let kept = rates.last(usize::MAX, |rate| rate.sent);
        assert_eq!((kept.len(), kept.last()), (KEPT, Some(&(999 * 999 - 998 * 998))));
    }
}
