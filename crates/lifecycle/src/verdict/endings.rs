//! How a machine may end: by idleness, a lock, its age or the budget, each with what cancels it
//! during its grace period.

use super::holds::{Hold, end_of};
use super::{Cancel, Cause, Ending, Scene, in_words};
use crate::Moment;
use crate::policy::LockAction;

/// One possible end of the machine.
pub(super) struct PossibleEnd {
    pub(super) cause: Cause,
    pub(super) because: String,
    pub(super) grace_from: Moment,
    pub(super) at: Moment,
    pub(super) cancelled_by: Cancel,
}

impl PossibleEnd {
    pub(super) fn ending(self, now: Moment) -> Ending {
        Ending {
            cause: self.cause,
            because: self.because,
            in_another: self.at.since(now),
            grace_in: self.grace_from.since(now),
            cancelled_by: self.cancelled_by,
        }
    }
}

impl Scene<'_> {
    pub(super) fn idle(&self, holds: &[Hold]) -> Option<PossibleEnd> {
        let end = end_of(holds)?;
        Some(PossibleEnd {
            cause: Cause::Idle,
            because: format!("nothing has used it for {}", in_words(self.now.since(self.last))),
            grace_from: end,
            at: end.plus(self.policy.grace_period),
            cancelled_by: Cancel::Activity,
        })
    }

    pub(super) fn lock(&self, holds: &[Hold]) -> Option<PossibleEnd> {
        let locked =
            self.snapshot.locked.filter(|_| self.policy.lock.action == LockAction::Shutdown)?;
        let work: Vec<&Hold> = holds.iter().filter(|hold| hold.withstands_lock).collect();
        if work.iter().any(|hold| hold.until.is_none()) {
            return None;
        }
        // Work that ended during the lock is followed by the ordinary grace period at least.
        let worked_until =
            work.iter().filter_map(|hold| hold.until_under_lock(self.policy.lock.grace)).max();
        let ended = self.snapshot.last_activity().map(|seen| seen.at).filter(|at| *at > locked);
        let by_lock = (locked, locked.plus(self.policy.lock.grace));
        let after_work = worked_until
            .into_iter()
            .chain(ended)
            .max()
            .map(|end| (end, end.plus(self.policy.grace_period)));
        let (grace_from, at) = after_work.filter(|(_, at)| *at > by_lock.1).unwrap_or(by_lock);
        Some(PossibleEnd {
            cause: Cause::Lock,
            because: format!("the screen has been locked for {}", in_words(self.now.since(locked))),
            grace_from,
            at,
            cancelled_by: Cancel::Unlock,
        })
    }

    pub(super) fn max_lifetime(&self) -> Option<PossibleEnd> {
        let limit = self.policy.max_lifetime?;
        let at = self.tenure.when_aged(limit);
        Some(self.hard(
            Cause::MaxLifetime,
            format!("it is as old as activity.max_lifetime allows ({})", in_words(limit)),
            at,
        ))
    }

    pub(super) fn budget(&self) -> Option<PossibleEnd> {
        let (billing, budget) = (self.tenure.billing?, self.tenure.budget?);
        if budget.allows_another() {
            return None;
        }
        let over = self.tenure.when_aged(billing.paid_until(self.tenure.age_at(self.now)));
        Some(self.hard(
            Cause::Budget,
            "another hour would exceed this month's budget".to_owned(),
            over.minus(billing.release_takes),
        ))
    }

    fn hard(&self, cause: Cause, because: String, at: Moment) -> PossibleEnd {
        PossibleEnd {
            cause,
            because,
            grace_from: at.minus(self.policy.grace_period),
            at,
            cancelled_by: Cancel::Nothing,
        }
    }
}
