//! What servers used over the last hour, from samples of their usage since boot. Without a sample
//! it invents figures of an idle server, as a function of server and time.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use crate::hypervisor::Usage;
use crate::state::Id;

/// Interval of samples of a running server.
pub(crate) const EVERY: Duration = Duration::from_secs(5);

/// Samples of an hour.
const KEPT: usize = 720;

/// Maximum age of a sample that describes a moment.
const FRESH: Duration = Duration::from_secs(15);

#[derive(Debug, Default)]
pub(crate) struct Samples(BTreeMap<Id, VecDeque<(Timestamp, Usage)>>);

/// What a server does in a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rates {
    /// Percent of one core.
    pub(crate) cpu: f64,
    /// Bytes.
    pub(crate) disk_read: f64,
    pub(crate) disk_written: f64,
    pub(crate) received: f64,
    pub(crate) sent: f64,
    pub(crate) packets_received: f64,
    pub(crate) packets_sent: f64,
}

impl Samples {
    /// Samples the running servers; drops the samples of all others.
    pub(crate) fn take(&mut self, now: Timestamp, used: Vec<(Id, Usage)>) {
        self.0.retain(|id, _| used.iter().any(|(server, _)| server == id));
        for (server, usage) in used {
            let samples = self.0.entry(server).or_default();
            samples.push_back((now, usage));
            while samples.len() > KEPT {
                samples.pop_front();
            }
        }
    }

    /// What the server did in the `step` before this moment.
    pub(crate) fn rates(&self, server: Id, at: Timestamp, step: Duration) -> Rates {
        self.measured(server, at, step).unwrap_or_else(|| made_up(server, at))
    }

    fn measured(&self, server: Id, at: Timestamp, step: Duration) -> Option<Rates> {
        let samples = self.0.get(&server)?;
        let last = samples.iter().rposition(|(taken, _)| *taken <= at)?;
        let (until, to) = samples[last];
        if at.duration_since(until).unsigned_abs() > FRESH {
            return None;
        }
        let before = samples
            .iter()
            .take(last)
            .rev()
            .find(|(taken, _)| at.duration_since(*taken).unsigned_abs() >= step);
        let (since, from) = *before.or(samples.front().filter(|_| last > 0))?;
        Some(between(from, to, until.duration_since(since).as_secs_f64()))
    }
}

/// A decrease, as after a boot, counts as zero.
fn between(from: Usage, to: Usage, seconds: f64) -> Rates {
    let rate = |from: u64, to: u64| to.saturating_sub(from) as f64 / seconds.max(0.001);
    Rates {
        cpu: to.cpu.saturating_sub(from.cpu).as_secs_f64() / seconds.max(0.001) * 100.0,
        disk_read: rate(from.disk_read, to.disk_read),
        disk_written: rate(from.disk_written, to.disk_written),
        received: rate(from.received, to.received),
        sent: rate(from.sent, to.sent),
        packets_received: rate(from.packets_received, to.packets_received),
        packets_sent: rate(from.packets_sent, to.packets_sent),
    }
}

fn made_up(server: Id, at: Timestamp) -> Rates {
    let mut state = server.rotate_left(32) ^ at.as_second().unsigned_abs();
    let mut between = |least: f64, most: f64| {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let share = ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
        least + share * (most - least)
    };
    Rates {
        cpu: between(0.3, 3.0),
        disk_read: between(0.0, 4_096.0),
        disk_written: between(4_096.0, 40_960.0),
        received: between(100.0, 2_000.0),
        sent: between(100.0, 2_000.0),
        packets_received: between(1.0, 12.0),
        packets_sent: between(1.0, 10.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    fn used(seconds: u64) -> Usage {
        Usage { cpu: Duration::from_secs(seconds), received: seconds * 1000, ..Usage::default() }
    }

    const STEP: Duration = Duration::from_secs(5);

    #[test]
    fn rates_are_those_between_two_samples() {
        let mut samples = Samples::default();
        for (second, cpu) in [(0, 10), (5, 15), (10, 15)] {
            samples.take(at(second), vec![(1, used(cpu))]);
        }
        let rates = |second| samples.measured(1, at(second), STEP).map(|r| (r.cpu, r.received));
        assert_eq!(
            [rates(5), rates(7), rates(10)],
            [Some((100.0, 1000.0)), Some((100.0, 1000.0)), Some((0.0, 0.0))]
        );
        assert_eq!(
            samples.measured(1, at(10), STEP * 2).map(|r| r.cpu),
            Some(50.0),
            "over a longer step"
        );
        for unknown in [-1, 0, 26] {
            assert_eq!(rates(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_server_that_does_not_run_any_more_is_forgotten() {
        let mut samples = Samples::default();
        samples.take(at(0), vec![(1, used(1)), (2, used(1))]);
        samples.take(at(5), vec![(2, used(2))]);
        assert_eq!(samples.0.keys().collect::<Vec<_>>(), [&2]);
        samples.take(at(10), vec![(2, used(0))]);
        assert_eq!(samples.rates(2, at(10), STEP).cpu, 0.0, "it has rebooted");
    }

    #[test]
    fn made_up_figures_change_and_repeat() {
        let samples = Samples::default();
        let rates = |second| samples.rates(1, at(second), STEP);
        assert_ne!(rates(0), rates(5));
        assert_eq!(rates(0), rates(0));
        assert!((0..1000).all(|second| (0.3..3.0).contains(&rates(second).cpu)));
    }
}
