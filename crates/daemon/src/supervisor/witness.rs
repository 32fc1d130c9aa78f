//! Records the events of a wake as they happen: a wake may be cut off at any moment.

use std::sync::{Mutex, PoisonError};

use futures::future::BoxFuture;
use jiff::Timestamp;
use lifecycle::Clock;
use machine::{Actor, Observer, Phase, Summary};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::end::{End, EndCause};
use crate::ledger::Accounts;
use crate::state::DaemonState;

/// The observer of one wake.
pub(super) struct Witness<'a> {
    state: &'a watch::Sender<DaemonState>,
    clock: &'a dyn Clock,
    accounts: Mutex<&'a mut Accounts>,
    /// Cancelled by an order of the user.
    calling_off: CancellationToken,
}

impl<'a> Witness<'a> {
    pub(super) fn new(
        state: &'a watch::Sender<DaemonState>,
        clock: &'a dyn Clock,
        accounts: &'a mut Accounts,
        calling_off: CancellationToken,
    ) -> Self {
        Self { state, clock, accounts: Mutex::new(accounts), calling_off }
    }

    fn accounts<T>(&self, work: impl FnOnce(&mut Accounts) -> T) -> T {
        work(&mut self.accounts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Observer for Witness<'_> {
    fn stage(&self, phase: Phase, detail: Option<String>) {
        match &detail {
            Some(detail) => tracing::info!("{}: {detail}", phase.words()),
            None => tracing::info!("{}", phase.words()),
        }
        let now = self.clock.now();
        self.state.send_modify(|state| state.phase(phase, detail, now));
    }

    fn refusal(&self) -> Option<String> {
        self.accounts(|accounts| accounts.refusal(Timestamp::now()))
    }

    fn created(&self, server: &Summary) {
        self.accounts(|accounts| accounts.machine_exists(server, Timestamp::now()));
    }

    fn deleted(&self, id: u64, because: &str) {
        let now = Timestamp::now();
        let actor = if self.is_called_off() { Actor::User } else { Actor::Daemon };
        let cause = EndCause::by(actor, because);
        self.accounts(|accounts| accounts.server_ended(id, &cause, now));
        tracing::warn!(server = id, actor = actor.words(), because, "the server was deleted");
        let end = End { server: Some(id), actor, because: because.to_owned(), at: now };
        self.state.send_modify(|state| state.last_end = Some(end));
    }

    fn is_called_off(&self) -> bool {
        self.calling_off.is_cancelled()
    }

    fn called_off(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.calling_off.cancelled())
    }
}
