//! How often the path to a machine that answered was lost, and how each loss ended. Bounded. Pure.

use std::collections::VecDeque;

use api::{LossEnd, LossStatus, MachineState, Reconnects};
use lifecycle::Moment;

use crate::clock_time::ClockTime;

/// Losses kept.
const KEPT: usize = 8;

/// A loss of the path.
#[derive(Debug, Clone)]
struct Loss {
    since: Moment,
    reason: String,
    end: Option<(Moment, LossEnd)>,
}

/// The losses of a daemon's life, newest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Losses {
    reconnected: u64,
    recent: VecDeque<Loss>,
}

impl Losses {
    /// The machine goes from one state to another, for a reason. A loss goes on through attempts
    /// to connect and failures, until the machine answers or is gone.
    pub(crate) fn follow(
        &mut self,
        (from, to): (MachineState, MachineState),
        reason: Option<&str>,
        now: Moment,
    ) {
        let end = match (from, to) {
            (MachineState::Up, MachineState::Lost) => {
                let reason = reason.unwrap_or_default().to_owned();
                self.recent.truncate(KEPT - 1);
                self.recent.push_front(Loss { since: now, reason, end: None });
                return;
            }
            (_, MachineState::Up) => LossEnd::Reconnected,
            (_, MachineState::Absent) => LossEnd::Gone,
            _ => return,
        };
        if let Some(loss) = self.recent.front_mut().filter(|loss| loss.end.is_none()) {
            loss.end = Some((now, end));
            self.reconnected += u64::from(end == LossEnd::Reconnected);
        }
    }

    pub(crate) fn status(&self, wall: ClockTime) -> Reconnects {
        let status = |loss: &Loss| LossStatus {
            at: wall.at(loss.since),
            reason: loss.reason.clone(),
            seconds: loss.end.map_or(wall.now, |(at, _)| at).since(loss.since).as_secs_f64(),
            end: loss.end.map(|(_, end)| end),
        };
        Reconnects { total: self.reconnected, recent: self.recent.iter().map(status).collect() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use api::MachineState::{Absent, Failed, Lost, Releasing, Up, Waking};
    use jiff::Timestamp;

    use super::*;

    /// One state a second, from 0 on.
    fn after(states: &[MachineState]) -> Reconnects {
        let at = |second: usize| Moment::default().plus(Duration::from_secs(second as u64));
        let mut losses = Losses::default();
        for (second, states) in states.windows(2).enumerate() {
            losses.follow((states[0], states[1]), Some("no answer"), at(second + 1));
        }
        let time = Timestamp::from_second(1_000).unwrap();
        losses.status(ClockTime { now: at(100), time })
    }

    fn loss(at: i64, seconds: f64, end: Option<LossEnd>) -> LossStatus {
        LossStatus { at, reason: "no answer".to_owned(), seconds, end }
    }

    #[test]
    fn loss_lasts_until_the_machine_answers_or_is_gone() {
        let reconnected = loss(901, 2.0, Some(LossEnd::Reconnected));
        for path in [[Up, Lost, Waking, Up], [Up, Lost, Failed, Up]] {
            let expected = Reconnects { total: 1, recent: vec![reconnected.clone()] };
            assert_eq!(after(&path), expected, "{path:?}");
        }
        let gone = loss(901, 2.0, Some(LossEnd::Gone));
        let expected = Reconnects { total: 0, recent: vec![gone] };
        assert_eq!(after(&[Up, Lost, Releasing, Absent]), expected);
        let expected = Reconnects { total: 0, recent: vec![loss(901, 99.0, None)] };
        assert_eq!(after(&[Up, Lost]), expected);
    }

    #[test]
    fn wake_release_and_start_of_a_daemon_are_no_losses() {
        for states in [&[Absent, Waking, Up, Releasing, Absent][..], &[Absent, Lost, Up]] {
            assert_eq!(after(states), Reconnects::default(), "{states:?}");
        }
    }

    #[test]
    fn only_the_last_losses_are_kept_and_all_reconnects_counted() {
        let states: Vec<_> = [Up, Lost].into_iter().cycle().take(41).collect();
        let status = after(&states);
        assert_eq!((status.total, status.recent.len()), (20, KEPT));
        assert_eq!(status.recent[0].at, 939, "the newest is first");
    }
}
