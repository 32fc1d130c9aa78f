//! A wake: from no machine to one that answers.

use std::sync::Arc;

use api::{Code, Error, RequestId};
use jiff::Timestamp;
use machine::{Actor, Behalf, MachineError, Ready, with_causes};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use tunnel::{Class, Destination, for_request};

use super::inbox::{Arrival, Release};
use super::recovery::{LASTING_FAILURE_HOLDS, REFUSAL_HOLDS};
use super::witness::Witness;
use super::{Command, DestroyOrder, Next, Supervisor, called_off};
use crate::request_id::named;
use crate::state::MachineState;

/// The reason of a release that follows.
const CALLED_OFF: &str = "an order of the user called the wake off";

/// What the user ordered during a wake.
#[derive(Default)]
struct Orders {
    destroy: Vec<DestroyOrder>,
    /// The daemon ends; these wait for that.
    stop: Option<Vec<oneshot::Sender<String>>>,
}

impl Orders {
    /// For requests that an order wins over; `None` without an order.
    fn because(&self) -> Option<&'static str> {
        match (self.destroy.is_empty(), &self.stop) {
            (false, _) => Some("the machine is being destroyed by an order of the user"),
            (true, Some(_)) => Some("dockbridge is stopping"),
            (true, None) => None,
        }
    }

    /// `false` once nothing arrives any more.
    fn receive(&mut self, arrival: Arrival) -> bool {
        match arrival {
            Arrival::Request
            | Arrival::Command(Command::Wake(_) | Command::Heartbeat(_) | Command::Volume(_)) => {}
            Arrival::Command(Command::Destroy(order)) => self.destroy.push(order),
            Arrival::Command(Command::Stop(answer)) => {
                self.stop.get_or_insert_default().extend(answer);
            }
            Arrival::Closed => {
                self.stop.get_or_insert_default();
                return false;
            }
        }
        true
    }
}

impl Supervisor {
    /// What is logged meanwhile, and an error, have the id of the request that began the attempt.
    pub(super) async fn wake(&mut self, request: Option<RequestId>) -> Next {
        let attempt = self.state.borrow().attempts + 1;
        let begun_by = request.map(tracing::field::display);
        let span = tracing::info_span!("wake", attempt, request = begun_by);
        let waking = self.attempt_wake().instrument(span);
        match request {
            Some(request) => for_request(request, waking).await,
            None => waking.await,
        }
    }

    async fn attempt_wake(&mut self) -> Next {
        self.recovery.attempts();
        // A request for a machine revokes an earlier order to destroy it.
        self.records.last.revoke_destroy();
        self.records.accounts.set_limit(self.settings.budget());
        // One that exists already is paid for; the policy decides when it ends.
        if !self.recovery.is_expected()
            && let Some(message) = self.records.accounts.refusal(Timestamp::now())
        {
            return self.refuse(message);
        }
        self.enter(MachineState::Waking);
        self.state.send_modify(|state| state.phases.clear());
        let (woken, orders) = self.get_machine().await;
        let now = self.now();
        if orders.because().is_some() {
            self.state.send_modify(|state| state.phases_end(now));
            return self.obey(woken, orders);
        }
        match woken {
            Ok(ready) => {
                // Before the requests that wait learn that the attempt is over.
                self.introduce(&ready).await;
                self.state.send_modify(|state| {
                    state.phases_end(now);
                    state.attempted(None);
                });
                Next::Keep(Arc::new(ready))
            }
            Err(error) => {
                self.state.send_modify(|state| state.phases_end(now));
                self.fail(&error)
            }
        }
    }

    /// A wake that was called off has ended. An order to destroy is carried out to its end, even if
    /// the machine came up at the last moment.
    fn obey(&mut self, woken: Result<Ready, MachineError>, orders: Orders) -> Next {
        self.recovery.refuse_for(REFUSAL_HOLDS, self.now());
        let done = match &woken {
            Ok(ready) => format!(
                "server {} is up, and goes on until its lease ends in {} s",
                ready.summary.name,
                self.settings.lease.length.as_secs()
            ),
            Err(error) => with_causes(error),
        };
        tracing::info!(%done, "an order of the user has ended the wake");
        let Orders { mut destroy, stop } = orders;
        let is_stopping = stop.is_some();
        if destroy.is_empty() {
            for answer in stop.into_iter().flatten() {
                // The user may have ended the command.
                let _ = answer.send(done.clone());
            }
            return Next::End;
        }
        let done = woken.as_ref().err().map(|_| done);
        let first = destroy.remove(0);
        let mut release = Release::ordered(woken.ok().map(Arc::new), first);
        destroy.into_iter().for_each(|order| release.join(order));
        release.then_stop |= is_stopping;
        release.done = done;
        CALLED_OFF.clone_into(&mut release.because);
        Next::Release(release)
    }

    /// The engine may be another one than the last machine's, and requests reach it from here on.
    pub(super) async fn introduce(&self, ready: &Ready) {
        let connection = ready.tunnel.open(Destination::Docker, Class::Interactive);
        self.parts.knowledge.meet(connection).await;
    }

    /// Requests that wait get the error. A machine that existed is looked for again, unless that
    /// cannot help.
    pub(super) fn fail(&mut self, error: &MachineError) -> Next {
        let now = self.now();
        let again = self.recovery.failed(error, now, rand::random());
        let mut error = named(Error::new(error.code(), with_causes(error)));
        error.hints.extend(self.parts.hints.of_error(error.code));
        tracing::error!(code = %error.code, message = %error, "no machine");
        if let Some(ports) = &self.parts.ports {
            ports.detach();
        }
        self.state.send_modify(|state| {
            state.attempted(Some(error.clone()));
            state.enter(MachineState::Failed { error: Box::new(error), again }, now);
        });
        Next::Rest
    }

    /// The settings do not allow a machine.
    fn refuse(&mut self, message: String) -> Next {
        tracing::warn!(%message, "no machine");
        let error = named(Error::new(Code::NotAllowed, message));
        let now = self.now();
        self.recovery.refuse_for(LASTING_FAILURE_HOLDS, now);
        self.state.send_modify(|state| {
            state.attempted(Some(error.clone()));
            state.enter(MachineState::Failed { error: Box::new(error), again: None }, now);
        });
        Next::Rest
    }

    /// Waits for a machine. An order of the user calls the wake off: requests that wait are
    /// answered at once, and the wake ends in order, without cutting off a request to the cloud.
    async fn get_machine(&mut self) -> (Result<Ready, MachineError>, Orders) {
        let Self { parts, records, state, inbox, .. } = self;
        let calling_off = CancellationToken::new();
        let clock = &*parts.clock;
        let witness = Witness::new(state, clock, &mut records.accounts, calling_off.clone());
        let behalf = Behalf::new(Actor::User, "a request or `wake` needs a machine");
        let mut waking = Box::pin(behalf.during(parts.provider.ensure(&witness)));
        let (mut orders, mut is_open) = (Orders::default(), true);
        loop {
            if let Some(because) = orders.because() {
                if inbox.wanted() > state.borrow().attempts {
                    state.send_modify(|state| state.attempted(Some(called_off(because))));
                }
                if !calling_off.is_cancelled() {
                    calling_off.cancel();
                    let releasing =
                        MachineState::Releasing { because: CALLED_OFF.to_owned(), trouble: None };
                    state.send_modify(|state| state.enter(releasing, clock.now()));
                }
            }
            tokio::select! {
                woken = &mut waking => return (woken, orders),
                arrival = inbox.next(), if is_open => is_open = orders.receive(arrival),
            }
        }
    }
}
