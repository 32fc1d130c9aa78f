//! Takes the machine down. It bills until it is gone, so this goes on until it is, or until its
//! lease has certainly ended it.

use std::time::Duration;

use api::{Code, Error};
use jiff::Timestamp;
use lifecycle::Moment;
use machine::{Actor, Behalf, Destroyed, MachineError, Ready, with_causes};

use super::inbox::{Pending, Release};
use super::step::{Action, Stage};
use super::{Next, Supervisor, until};
use crate::end::EndCause;
use crate::state::MachineState;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Supervisor {
    pub(super) async fn release(&mut self, mut release: Release) -> Next {
        match &self.parts.ports {
            // By itself: a connection to a port gets the reason.
            Some(ports) if release.answers.is_empty() => ports.fall_asleep(),
            Some(ports) => ports.detach(),
            None => {}
        }
        // The order outlives this daemon.
        if !release.answers.is_empty() {
            self.records.last.order_destroy(Timestamp::now());
        }
        let because = release.because.clone();
        self.enter(MachineState::Releasing { because, trouble: None });
        let server = self.known_server(release.ready.as_deref());
        let (begun, mut pause) = (self.now(), FIRST_PAUSE);
        loop {
            match self.destroyed(&release).await {
                Ok(Destroyed::InUse { reason }) => return in_use(release, reason),
                Ok(destroyed) => return self.released(release, destroyed, server).await,
                Err(error) => self.report_trouble(&mut release, &error),
            }
            if let Some(next) = self.pause_release(&mut release, begun, pause).await {
                return next;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One attempt. Requests that come meanwhile are answered at once if the user gave the order.
    async fn destroyed(&mut self, release: &Release) -> Result<Destroyed, MachineError> {
        let provider = self.parts.provider.clone();
        let tunnel = release.ready.as_ref().map(|ready| &ready.tunnel);
        let behalf = Behalf::new(release.actor, release.because.clone());
        let mut destroying = Box::pin(behalf.during(provider.destroy(tunnel, release.consent)));
        let is_ordered = release.actor == Actor::User;
        loop {
            if is_ordered {
                self.refuse_requests("the machine is being destroyed by an order of the user");
            }
            tokio::select! {
                destroyed = &mut destroying => return destroyed,
                () = self.inbox.request(is_ordered) => {}
            }
        }
    }

    /// There is no machine any more, or dockbridge has left it.
    async fn released(
        &mut self,
        mut release: Release,
        destroyed: Destroyed,
        server: Option<u64>,
    ) -> Next {
        if let Some(ready) = release.ready.take() {
            ready.tunnel.close().await;
        }
        let Release { because, actor, then_stop, .. } = &release;
        let (because, actor, then_stop) = (because.clone(), *actor, *then_stop);
        match destroyed {
            Destroyed::Gone { troubles } => {
                release.reply(&Ok(Some(gone(&troubles))));
                self.has_deleted(server, actor, &because);
                let cause = EndCause::by(actor, because.clone());
                self.records.accounts.machines_ended(&cause, Timestamp::now());
                self.leave_machine(&because);
            }
            Destroyed::NotManaged => {
                let left = "This host is not dockbridge's: dockbridge has disconnected from it, \
                            and it goes on.";
                release.reply(&Ok(Some(left.to_owned())));
                self.leave_machine(&because);
            }
            Destroyed::Absent | Destroyed::InUse { .. } => {
                // What was done for the users who wait, before this.
                let done = release.done.take();
                release
                    .reply(&Ok(Some(done.unwrap_or_else(|| "There was no machine.".to_owned()))));
                // It ended before it was taken down.
                let is_expected = self.recovery.is_expected();
                let because = if is_expected { self.gone_because() } else { because };
                self.lose_machine(&because);
            }
        }
        if then_stop { Next::End } else { Next::Rest }
    }

    /// Users who wait get the error; the daemon goes on trying.
    fn report_trouble(&self, release: &mut Release, error: &MachineError) {
        let trouble = with_causes(error);
        tracing::error!(%trouble, "the machine is not gone yet");
        let message = format!("{trouble}; dockbridge keeps retrying, including after a restart");
        release.reply(&Err(Box::new(Error::new(error.code(), message))));
        let because = release.because.clone();
        self.enter(MachineState::Releasing { because, trouble: Some(trouble) });
    }

    /// Ends with the time or with another order to destroy (`None`), with another order, or for a
    /// client that has waited for long.
    async fn pause_release(
        &mut self,
        release: &mut Release,
        begun: Moment,
        pause: Duration,
    ) -> Option<Next> {
        let ordered = release.actor == Actor::User;
        let stage = Stage::Releasing { begun, due: self.now().plus(pause), ordered };
        loop {
            match self.step(stage) {
                Action::Wait => {}
                Action::RefuseRequests => {
                    self.refuse_requests(
                        "the machine is to be destroyed by an order of the user, and the cloud \
                         has not done it yet",
                    );
                    continue;
                }
                Action::ReleaseAgain => return None,
                Action::Destroy => {
                    if let Some(Pending::Destroy(order)) = self.inbox.take_order() {
                        self.records.last.order_destroy(Timestamp::now());
                        release.join(order);
                    }
                    return None;
                }
                action => return Some(self.follow(action, None)),
            }
            let look = self.next_look(stage);
            tokio::select! {
                _ = self.inbox.changed() => {}
                () = until(&*self.parts.clock, look) => {}
            }
        }
    }

    /// The server that is taken down, if it is known.
    fn known_server(&self, ready: Option<&Ready>) -> Option<u64> {
        let last_known = || self.state.borrow().last_known.as_ref()?.machine.id;
        ready.map_or_else(last_known, |ready| ready.summary.id)
    }
}

fn in_use(mut release: Release, reason: String) -> Next {
    tracing::info!(%reason, "kept for another client");
    let message = format!("another client works on it: {reason}");
    release.reply(&Err(Box::new(Error::new(Code::MachineInUse, message))));
    match release.ready {
        Some(ready) => Next::Keep(ready),
        None => Next::Reconnect { reason, pause: Duration::ZERO },
    }
}

fn gone(troubles: &[String]) -> String {
    let gone = "The machine is gone; its volume stays.";
    if troubles.is_empty() {
        return gone.to_owned();
    }
    let troubles = troubles.join("; ");
    tracing::warn!(%troubles, "the machine is gone, not without trouble");
    format!("{gone} Note: {troubles}.")
}
