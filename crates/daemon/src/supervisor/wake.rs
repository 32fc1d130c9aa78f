//! On the way to a machine.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use lifecycle::Clock;
use machine::{Actor, Behalf, MachineError, Observer, Phase, Ready, Summary};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tunnel::{Class, Destination};

use super::{
    CALLED_OFF_FOR, Command, DestroyOrder, Next, Release, Supervisor, called_off, with_causes,
};
use crate::end::{End, EndCause};
use crate::ledger::Accounts;
use crate::state::{Situation, State};

/// How long a failure that will not pass by itself, or that has cost money, answers for further
/// attempts: one docker command may make several requests, and each attempt could cost started
/// hours.
const NO_ATTEMPT_FOR: Duration = Duration::from_secs(60);

/// The reason of a release that follows.
const CALLED_OFF: &str = "an order of the user called the wake off";

/// How long a verdict on a server that does not answer is the answer to further requests: the
/// network may be mended at any moment, and one docker command makes several requests within a
/// second.
const VERDICT_HOLDS: Duration = Duration::from_secs(10);

/// Writes down what happens on the way, as it happens: a way may be cut off at any moment.
struct Witness<'a> {
    situation: &'a watch::Sender<Situation>,
    clock: &'a dyn Clock,
    accounts: Mutex<&'a mut Accounts>,
    /// Cancelled by an order of the user.
    calling_off: CancellationToken,
}

impl Witness<'_> {
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
        self.situation.send_modify(|situation| situation.phase(phase, detail, now));
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
        self.situation.send_modify(|situation| situation.last_end = Some(end));
    }

    fn is_called_off(&self) -> bool {
        self.calling_off.is_cancelled()
    }

    fn called_off(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.calling_off.cancelled())
    }
}

/// What the user ordered while a machine was on its way.
#[derive(Default)]
struct Orders {
    destroy: Vec<DestroyOrder>,
    /// The daemon is to end; who waits for that.
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
}

/// A hint whose commands mean this profile: another profile's `init` would change another token.
fn for_profile(hint: &str, profile: &str) -> String {
    match profile {
        "default" => hint.to_owned(),
        profile => hint.replace("`dockbridge ", &format!("`dockbridge --profile {profile} ")),
    }
}

impl Supervisor {
    pub(super) async fn wake(&mut self) -> Next {
        self.no_attempt_before = None;
        // Whoever wants one now takes back what was wanted before.
        self.remembered.wants_it_no_more();
        // One that is there already is paid for; the verdict tells when it goes.
        if !self.expected
            && let Some(message) = self.accounts.refusal(Timestamp::now())
        {
            return self.refuse(message);
        }
        self.enter(State::Waking);
        self.situation.send_modify(|now| now.phases.clear());
        let (arrived, orders) = self.on_the_way().await;
        let now = self.clock.now();
        if orders.because().is_some() {
            self.situation.send_modify(|situation| situation.phases_end(now));
            return self.obey(arrived, orders);
        }
        match arrived {
            Ok(ready) => {
                // Before anybody who waits hears that the attempt is over.
                self.introduce(&ready).await;
                self.situation.send_modify(|situation| {
                    situation.phases_end(now);
                    situation.attempted(None);
                });
                Next::Keep(Arc::new(ready))
            }
            Err(error) => {
                self.situation.send_modify(|situation| situation.phases_end(now));
                self.fail(&error)
            }
        }
    }

    /// A wake that was called off has ended. An order to destroy is carried out to its end, also
    /// where the machine came up at the last moment.
    fn obey(&mut self, arrived: Result<Ready, MachineError>, orders: Orders) -> Next {
        self.no_attempt_before = Some(Instant::now() + CALLED_OFF_FOR);
        let done = match &arrived {
            Ok(ready) => {
                format!(
                    "server {} is up, and goes on until its lease ends in {} s",
                    ready.summary.name,
                    self.lease.length.as_secs()
                )
            }
            Err(error) => with_causes(error),
        };
        tracing::info!(%done, "the wake is over by an order of the user");
        let Orders { mut destroy, stop } = orders;
        let is_stopping = stop.is_some();
        if destroy.is_empty() {
            for answer in stop.into_iter().flatten() {
                // Whoever asked may have gone.
                let _ = answer.send(done.clone());
            }
            return Next::End;
        }
        let then_stop = is_stopping || destroy.iter().any(|order| order.then_stop);
        let done = arrived.as_ref().err().map(|_| done);
        let first = destroy.remove(0);
        let mut release = Release::ordered(arrived.ok().map(Arc::new), first);
        release.answer.extend(destroy.into_iter().map(|order| order.answer));
        (release.done, release.then_stop) = (done, then_stop);
        CALLED_OFF.clone_into(&mut release.because);
        Next::Release(release)
    }

    /// The engine may be another one than the last machine's, and requests are going to reach it
    /// from here on.
    pub(super) async fn introduce(&self, ready: &Ready) {
        self.knowledge.meet(ready.tunnel.open(Destination::Docker, Class::Interactive)).await;
    }

    /// Everybody who waits is told. A machine that was there is looked for again, unless that
    /// cannot help.
    pub(super) fn fail(&mut self, error: &MachineError) -> Next {
        if error.is_lasting() || error.has_cost_money() {
            self.no_attempt_before = Some(Instant::now() + NO_ATTEMPT_FOR);
        } else if error.is_verdict() {
            self.no_attempt_before = Some(Instant::now() + VERDICT_HOLDS);
        }
        self.expected &= error.may_pass();
        let now = self.clock.now();
        let again = self.expected.then(|| now.plus(self.backoff.failed(rand::random())));
        let mut message = with_causes(error);
        if let Some(hint) = error.hint() {
            message = format!("{message}; {}", for_profile(hint, &self.profile));
        }
        tracing::error!(%message, "no machine");
        if let Some(ports) = &self.ports {
            ports.detach();
        }
        self.situation.send_modify(|situation| {
            situation.attempted(Some(message.clone()));
            situation.enter(State::Failed { message, again }, now);
        });
        Next::Rest
    }

    /// The person does not want one, by the settings.
    fn refuse(&mut self, message: String) -> Next {
        tracing::warn!(%message, "no machine");
        self.no_attempt_before = Some(Instant::now() + NO_ATTEMPT_FOR);
        let now = self.clock.now();
        self.situation.send_modify(|situation| {
            situation.attempted(Some(message.clone()));
            situation.enter(State::Failed { message, again: None }, now);
        });
        Next::Rest
    }

    /// The wake to its end. An order of the user calls it off: requests that wait are answered at
    /// once, and the wake ends in order, with no request to the cloud cut off.
    async fn on_the_way(&mut self) -> (Result<Ready, MachineError>, Orders) {
        let Self { provider, situation, clock, commands, accounts, wanted, .. } = self;
        let calling_off = CancellationToken::new();
        let witness = Witness {
            situation,
            clock: &**clock,
            accounts: Mutex::new(accounts),
            calling_off: calling_off.clone(),
        };
        let behalf = Behalf::new(Actor::User, "a request or `wake` needs a machine");
        let mut way = Box::pin(behalf.during(provider.ensure(&witness)));
        let (mut orders, mut is_open) = (Orders::default(), true);
        loop {
            if let Some(because) = orders.because() {
                let is_waited_for = *wanted.borrow_and_update() > situation.borrow().attempts;
                if is_waited_for {
                    situation
                        .send_modify(|situation| situation.attempted(Some(called_off(because))));
                }
                if !calling_off.is_cancelled() {
                    calling_off.cancel();
                    let state = State::Releasing { because: CALLED_OFF.to_owned(), trouble: None };
                    situation.send_modify(|situation| situation.enter(state, clock.now()));
                }
            }
            tokio::select! {
                arrived = &mut way => return (arrived, orders),
                command = commands.recv(), if is_open => match command {
                    Some(Command::Wake | Command::SayAlive(_) | Command::Volume(_)) => {}
                    Some(Command::Destroy(order)) => orders.destroy.push(order),
                    Some(Command::Stop(answer)) => orders.stop.get_or_insert_default().extend(answer),
                    None => {
                        is_open = false;
                        orders.stop.get_or_insert_default();
                    }
                },
                Ok(()) = wanted.changed(), if calling_off.is_cancelled() => {}
            }
        }
    }
}
