//! Why a machine ended that this daemon did not see end, as far as that can be known from here.

use jiff::Timestamp;

use super::Supervisor;
use crate::end::EndCause;

impl Supervisor {
    /// Why the machine is gone, human-readable.
    pub(super) fn gone_because(&self) -> String {
        if let Some(because) = self.deleted_because() {
            return because;
        }
        let silence = self.recovery.silence(self.now()).map(|silence| silence.as_secs());
        match silence {
            _ if !self.recovery.is_expected() => "there is no machine".to_owned(),
            Some(silence) if self.recovery.lease_is_over(self.now()) => {
                format!(
                    "it ended itself with its lease: it received no heartbeat of this computer, \
                     which slept or was cut off, for {silence} s"
                )
            }
            _ => "it is gone, and this dockbridge did not end it: it was deleted in the cloud, or \
                  by another client"
                .to_owned(),
        }
    }

    /// Why this daemon has deleted the machine that was last known, if it has.
    fn deleted_because(&self) -> Option<String> {
        let state = self.state.borrow();
        let (known, end) = (state.last_known.as_ref()?, state.last_end.as_ref()?);
        let is_it = end.server.is_some() && known.machine.id == end.server;
        is_it.then(|| format!("{} deleted it: {}", end.actor.words(), end.because))
    }

    /// Why a machine is off that this daemon did not switch off.
    pub(super) fn off_because(&self) -> String {
        match self.recovery.lease_is_over(self.now()) {
            true => "it powered itself off with its lease, and is still billed".to_owned(),
            false => "it is off and still billed".to_owned(),
        }
    }

    /// The machine is gone, and its end was not seen.
    pub(super) fn lose_machine(&mut self, because: &str) {
        let cause = EndCause::unseen(because);
        self.records.accounts.machines_ended_unseen(&cause, Timestamp::now());
        self.leave_machine(because);
    }
}
