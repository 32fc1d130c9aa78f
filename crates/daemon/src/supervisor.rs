//! The one task that decides what happens to the machine. Each state of the machine is a function
//! that returns the next; nothing else changes the state. What to do next is decided in `step`, a
//! plain function; the other files carry it out and look again.

mod ended;
mod heartbeat;
mod inbox;
mod keep;
mod probe;
mod reconnect;
mod recovery;
mod release;
mod rest;
mod step;
mod wake;
mod witness;

use std::sync::Arc;
use std::time::Duration;

use api::{Code, Error, RequestId};
use gateway::EngineIdentity;
use jiff::Timestamp;
use lifecycle::{Activity, Clock, Moment, Policy};
use machine::{Actor, Consent, Lease, Provider, Ready};
use ports::Ports;
use tokio::sync::watch;
use tokio::time::sleep;

pub(crate) use self::inbox::{Command, DestroyOrder, Inbox};
use self::inbox::{Pending, Release};
pub(crate) use self::probe::{Probe, probe};
use self::recovery::REFUSAL_HOLDS;
pub(crate) use self::recovery::Recovery;
use self::step::{Action, Intent, Stage};
use crate::conditions::conditions;
use crate::end::End;
use crate::health::Health;
use crate::hints::Hints;
use crate::last_state::LastState;
use crate::ledger::Accounts;
use crate::rereading::InForce;
use crate::state::{DaemonState, MachineState};

/// What the settings say about one profile's machine.
pub(crate) struct Settings {
    /// These may change while the machine runs.
    pub(crate) in_force: watch::Receiver<InForce>,
    /// As this daemon began with it.
    pub(crate) lease: Lease,
    /// Time between heartbeats.
    pub(crate) heartbeat: Duration,
}

impl Settings {
    fn policy(&self) -> Policy {
        self.in_force.borrow().live.policy.clone()
    }

    /// The lease with the limit that holds now.
    fn lease(&self) -> Lease {
        Lease { idle_limit: self.in_force.borrow().live.idle_limit, ..self.lease.clone() }
    }

    fn budget(&self) -> Option<u64> {
        self.in_force.borrow().live.budget
    }
}

/// What the supervisor uses and drives.
pub(crate) struct Parts {
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) activity: Activity,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ports: Option<Ports>,
    /// Of the engine, which may be another one on the next machine.
    pub(crate) knowledge: EngineIdentity,
    /// What the user can do about an error.
    pub(crate) hints: Hints,
    /// The warnings that hold.
    pub(crate) health: Health,
}

/// What outlives the daemon.
pub(crate) struct Records {
    /// Which machines existed when, what they cost, and what they may.
    pub(crate) accounts: Accounts,
    /// What the next daemon needs to know.
    pub(crate) last: LastState,
}

/// The machine of one profile, and everything that moves with it.
pub(crate) struct Supervisor {
    pub(crate) settings: Settings,
    pub(crate) parts: Parts,
    pub(crate) records: Records,
    pub(crate) recovery: Recovery,
    /// Which all others watch.
    pub(crate) state: watch::Sender<DaemonState>,
    pub(crate) inbox: Inbox,
}

/// What a daemon begins with.
pub(crate) enum Beginning {
    /// There is no machine.
    Absent,
    /// There is a machine, or the cloud could not be asked: only this daemon keeps it alive.
    Found,
    /// The last daemon had an order to destroy the machine, and did not finish.
    Destroying,
}

/// The supervisor's next state.
enum Next {
    /// Nothing to do until something is wanted.
    Rest,
    /// Get a machine, for this request or command.
    Wake(Option<RequestId>),
    /// It answers.
    Keep(Arc<Ready>),
    /// The path is lost, and perhaps the machine. It is looked for after the pause.
    Reconnect { reason: String, pause: Duration },
    /// Take it down.
    Release(Release),
    /// The daemon ends.
    End,
}

/// The answer to a request that an order of the user wins over.
fn called_off(because: &str) -> Error {
    let message = format!(
        "no machine is made for this request: {because}; the next docker command wakes one"
    );
    Error::new(Code::DestroyOrdered, message)
}

/// How often a moment that is waited for is compared with the clock, which may jump when the
/// computer slept.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

impl Supervisor {
    /// Runs until it is ordered to stop. A machine that exists already is taken over.
    pub(crate) async fn run(mut self, beginning: Beginning) {
        let mut next = match beginning {
            Beginning::Absent => Next::Rest,
            Beginning::Found => Next::Reconnect {
                reason: "dockbridge has just started".to_owned(),
                pause: Duration::ZERO,
            },
            Beginning::Destroying => {
                let because = "it was asked for before dockbridge was restarted".to_owned();
                Next::Release(Release::of(None, because, Actor::User, Consent::Given))
            }
        };
        loop {
            next = match next {
                Next::Rest => self.rest().await,
                Next::Wake(request) => self.wake(request).await,
                Next::Keep(ready) => self.keep(ready).await,
                Next::Reconnect { reason, pause } => self.reconnect(reason, pause).await,
                Next::Release(release) => self.release(release).await,
                Next::End => return,
            };
        }
    }

    fn now(&self) -> Moment {
        self.parts.clock.now()
    }

    fn intent(&mut self) -> Intent {
        let wanted = self.inbox.wanted() > self.state.borrow().attempts;
        Intent { wanted, order: self.inbox.order() }
    }

    /// The next action in a stage.
    fn step(&mut self, stage: Stage) -> Action {
        let intent = self.intent();
        step::step(stage, intent, &self.recovery, self.now())
    }

    /// When the next action in a stage may be another one although nothing arrives.
    fn next_look(&mut self, stage: Stage) -> Option<Moment> {
        let intent = self.intent();
        step::next_look(stage, intent, self.now())
    }

    /// The state that an action leads on to. `ready` is the machine that answers.
    fn follow(&mut self, action: Action, ready: Option<Arc<Ready>>) -> Next {
        match (action, self.inbox.take_order()) {
            (Action::Wake, Some(Pending::Wake(request))) => Next::Wake(request),
            (Action::Wake, _) => Next::Wake(self.inbox.wanted_by()),
            (Action::Connect, _) => {
                Next::Reconnect { reason: self.last_failure(), pause: Duration::ZERO }
            }
            (Action::Destroy, Some(Pending::Destroy(order))) => {
                Next::Release(Release::ordered(ready, order))
            }
            (Action::End, _) => Next::End,
            // These are carried out where they come up, and change no state.
            (
                Action::Wait
                | Action::AnswerWithLastFailure
                | Action::RefuseRequests
                | Action::ReleaseAgain
                | Action::Destroy,
                _,
            ) => ready.map_or(Next::Rest, Next::Keep),
        }
    }

    fn last_failure(&self) -> String {
        self.state.borrow().failure.as_ref().map(Error::to_string).unwrap_or_default()
    }

    fn answer_with_last_failure(&self) {
        self.state.send_modify(|state| state.attempts += 1);
    }

    /// Requests that wait are refused: an order of the user wins over them.
    fn refuse_requests(&mut self, because: &str) {
        if self.intent().wanted {
            let error = called_off(because);
            self.state.send_modify(|state| state.attempted(Some(error)));
            self.recovery.refuse_for(REFUSAL_HOLDS, self.now());
        }
    }

    /// This daemon has deleted a server.
    fn has_deleted(&self, server: Option<u64>, actor: Actor, because: &str) {
        tracing::info!(server, actor = actor.words(), because, "the server was deleted");
        let end = End { server, actor, because: because.to_owned(), at: Timestamp::now() };
        self.state.send_modify(|state| state.last_end = Some(end));
    }

    fn enter(&self, machine: MachineState) {
        match machine.detail() {
            Some(detail) => tracing::info!("the machine is {}: {detail}", machine.kind()),
            None => tracing::info!("the machine is {}", machine.kind()),
        }
        let now = self.now();
        self.state.send_modify(|state| state.enter(machine, now));
        self.observe_conditions();
    }

    /// Which warnings hold, and since when, whether a client asks or not.
    fn observe_conditions(&self) {
        let Parts { ports, provider, health, .. } = &self.parts;
        let ports = ports.as_ref().map(Ports::list).unwrap_or_default();
        let mut holding = conditions(&self.state.borrow(), &ports, provider.clock_offset());
        holding.extend(self.settings.in_force.borrow().conditions.iter().cloned());
        health.observe(holding, self.now());
    }

    /// The machine is gone, and with it the ports of its containers.
    fn leave_machine(&mut self, because: &str) {
        if let Some(ports) = &self.parts.ports {
            ports.detach();
        }
        self.parts.activity.set_containers(Vec::new());
        self.records.last.machine_ended();
        self.recovery.ended();
        self.state.send_modify(|state| state.last_known = None);
        self.enter(MachineState::Absent { because: Some(because.to_owned()) });
    }
}

/// Returns when the moment has come; never for `None`. After a sleep beyond it the computer finds
/// that it has come.
pub(crate) async fn until(clock: &dyn Clock, moment: Option<Moment>) {
    let Some(moment) = moment else { return std::future::pending().await };
    loop {
        let left = moment.since(clock.now());
        if left.is_zero() {
            return;
        }
        sleep(left.min(LONGEST_SLEEP)).await;
    }
}
