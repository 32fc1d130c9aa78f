//! While there is no machine: what became of the last one, as far as can be told from here, and a
//! look round for one that nobody here knows of. An attempt that failed may have left one half
//! made, and a machine that could not delete itself is off and billed.

use std::time::Duration;

use jiff::Timestamp;
use machine::Summary;

use super::{Supervisor, until};
use crate::end::EndCause;
use crate::state::State;

/// After a failure; it doubles with each look.
const FIRST_LOOK_ROUND: Duration = Duration::from_secs(30);
/// A started hour is lost in this time at most six times over, and the cloud is asked as often as
/// no limit minds.
const LONGEST_LOOK_ROUND: Duration = Duration::from_secs(10 * 60);

/// The pause before look number `looks` (from 0) since a machine was last there.
fn pause(has_failed: bool, looks: u32) -> Duration {
    match has_failed {
        true => {
            FIRST_LOOK_ROUND.saturating_mul(2_u32.saturating_pow(looks)).min(LONGEST_LOOK_ROUND)
        }
        false => LONGEST_LOOK_ROUND,
    }
}

/// Whether it is ours to care for. One that runs belongs to another client, or its lease ends it;
/// after a failure of ours it may be what that left. One that is new and off may be on another
/// client's way to a machine.
fn concerns_us(found: &Summary, has_failed: bool) -> bool {
    found.id.is_some() && (has_failed || found.is_off_for_good(Timestamp::now().as_second()))
}

impl Supervisor {
    /// One look, after its pause. What was found is told in words for a person.
    pub(super) fn look_round(&self) -> impl Future<Output = Option<String>> + use<> {
        let has_failed = matches!(self.situation.borrow().state, State::Failed { .. });
        let (provider, clock, looks) = (self.provider.clone(), self.clock.clone(), self.looks);
        async move {
            let due = clock.now().plus(pause(has_failed, looks));
            until(&*clock, Some(due)).await;
            match provider.find().await {
                Ok(Some(found)) if concerns_us(&found, has_failed) => {
                    Some(format!("{} was found in the cloud", found.name))
                }
                Ok(_) => None,
                Err(error) => {
                    tracing::debug!(error = %machine::with_causes(&error), "no look round");
                    None
                }
            }
        }
    }

    /// Whether nothing that was promised to the machine holds any more.
    fn lease_is_over(&self) -> bool {
        self.promised.is_some_and(|until| until.since(self.clock.now()).is_zero())
    }

    /// Why the machine is there no longer.
    pub(super) fn gone_because(&self) -> String {
        if let Some(because) = self.ended_here() {
            return because;
        }
        let silent = self.heard.map(|at| self.clock.now().since(at).as_secs());
        match silent {
            _ if !self.expected => "there is no machine".to_owned(),
            Some(silent) if self.lease_is_over() => {
                format!(
                    "it ended itself with its lease: it heard nothing of this computer, which \
                     slept or was cut off, for {silent} s"
                )
            }
            _ => "it is gone, and nobody here has ended it: it was deleted in the cloud, or by \
                another client"
                .to_owned(),
        }
    }

    /// Why this daemon has deleted the machine that was known last, if it has.
    fn ended_here(&self) -> Option<String> {
        let situation = self.situation.borrow();
        let (known, end) = (situation.last_known.as_ref()?, situation.last_end.as_ref()?);
        let is_it = end.server.is_some() && known.machine.id == end.server;
        is_it.then(|| format!("{} deleted it: {}", end.actor.words(), end.because))
    }

    /// Why a machine is off that nobody here has switched off.
    pub(super) fn off_because(&self) -> String {
        match self.lease_is_over() {
            true => "it powered itself off with its lease, and is still billed".to_owned(),
            false => "it is off and still billed".to_owned(),
        }
    }

    /// The machine is gone, and nobody saw its end.
    pub(super) fn lose_machine(&mut self, because: &str) {
        self.accounts.machines_ended_unseen(&EndCause::unseen(because), Timestamp::now());
        self.leave_machine(because);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failure_the_cloud_is_asked_soon_and_then_less_and_less() {
        let seconds: Vec<u64> = (0..7).map(|looks| pause(true, looks).as_secs()).collect();
        assert_eq!(seconds, [30, 60, 120, 240, 480, 600, 600]);
        assert_eq!((pause(false, 0).as_secs(), pause(true, u32::MAX).as_secs()), (600, 600));
    }
}
