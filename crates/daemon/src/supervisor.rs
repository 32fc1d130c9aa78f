//! The one task that decides what happens to the machine. Each state is a function that returns the
//! next; nothing else changes the state.

mod absence;
mod backoff;
mod keep;
mod lost;
mod release;
mod wake;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use gateway::EngineIdentity;
use jiff::Timestamp;
use lifecycle::{Activity, Clock, Moment, Policy};
use machine::{Actor, Consent, Lease, Provider, Ready, VolumeSummary, with_causes};
use ports::Ports;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;

pub(crate) use self::backoff::Backoff;
use crate::end::End;
use crate::ledger::Accounts;
use crate::remembered::Remembered;
use crate::state::{Situation, State};

/// What is asked of the supervisor from outside. (Wishes for a machine come by
/// [`crate::link::Link`].)
pub(crate) enum Command {
    /// A person wants a machine now, whatever failed before.
    Wake,
    /// Take the machine down; answered when it is gone.
    Destroy(DestroyOrder),
    /// A sign of life to the machine now, if there is one; answered when it has been given.
    SayAlive(Option<oneshot::Sender<()>>),
    /// The volume has another size now.
    Volume(VolumeSummary),
    /// The daemon ends; the machine is left to its lease. Answered where a wake was called off,
    /// with what became of it.
    Stop(Option<oneshot::Sender<String>>),
}

/// What the user who ordered an end is told: what was done, or why it was not.
type Answer = oneshot::Sender<Result<Option<String>, String>>;

/// An order of the user to take the machine down.
pub(crate) struct DestroyOrder {
    /// The daemon ends with the machine.
    pub(crate) then_stop: bool,
    pub(crate) answer: Answer,
}

/// A machine that is to be taken down.
struct Release {
    ready: Option<Arc<Ready>>,
    /// In words for a user.
    because: String,
    actor: Actor,
    consent: Consent,
    /// Who waits for the end.
    answer: Vec<Answer>,
    /// What has been done for it already, for those who wait.
    done: Option<String>,
    /// The daemon ends with the machine.
    then_stop: bool,
}

impl Release {
    /// As an order of the user has it.
    fn ordered(ready: Option<Arc<Ready>>, order: DestroyOrder) -> Self {
        Self {
            ready,
            because: "it was asked for".to_owned(),
            actor: Actor::User,
            consent: Consent::Given,
            answer: vec![order.answer],
            done: None,
            then_stop: order.then_stop,
        }
    }

    /// For nobody who waits.
    fn of_itself(
        ready: Option<Arc<Ready>>,
        because: String,
        actor: Actor,
        consent: Consent,
    ) -> Self {
        Self { ready, because, actor, consent, answer: Vec::new(), done: None, then_stop: false }
    }
}

/// The machine of one profile, and everything that moves with it.
pub(crate) struct Supervisor {
    pub(crate) profile: String,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) activity: Activity,
    pub(crate) policy: Policy,
    pub(crate) lease: Lease,
    /// What runs when, what it costs, and what it may.
    pub(crate) accounts: Accounts,
    /// Between heartbeats.
    pub(crate) interval: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ports: Option<Ports>,
    /// Of the engine, which may be another one on the next machine.
    pub(crate) knowledge: EngineIdentity,
    pub(crate) situation: watch::Sender<Situation>,
    pub(crate) wanted: watch::Receiver<u64>,
    pub(crate) commands: mpsc::Receiver<Command>,
    /// After a failure that will not pass by itself, wishes of clients are answered with it until
    /// then.
    pub(crate) no_attempt_before: Option<tokio::time::Instant>,
    /// Of attempts to reach a machine that was there.
    pub(crate) backoff: Backoff,
    /// There was a machine, and nobody has said that it is gone: it is looked for although no
    /// client asks.
    pub(crate) expected: bool,
    /// What the next daemon is to know.
    pub(crate) remembered: Remembered,
    /// When the machine was last told that we live, and until when it may live by that.
    pub(crate) heard: Option<Moment>,
    pub(crate) promised: Option<Moment>,
    /// Looks round for a machine since one was last there.
    pub(crate) looks: u32,
}

/// What a daemon begins with.
pub(crate) enum Beginning {
    /// There is no machine.
    Absent,
    /// There is one, or it could not be asked: only we keep it alive.
    Found,
    /// The last daemon was told to end it, and did not get to the end of it.
    WantedGone,
}

/// Where to go from a state.
enum Next {
    /// Nothing to do until somebody asks.
    Rest,
    /// Get a machine.
    Wake,
    /// It is there.
    Keep(Arc<Ready>),
    /// The path is lost; perhaps the machine, too. It is looked for after the pause.
    FindOut { reason: String, pause: Duration },
    /// Take it down.
    Release(Release),
    /// The daemon ends.
    End,
}

/// After an order that called requests off, others are answered with it: one docker command makes
/// several, and the later ones are not to wake another machine.
const CALLED_OFF_FOR: Duration = Duration::from_secs(5);

/// What a request is told that an order of the user wins over.
fn called_off(because: &str) -> String {
    format!("no machine is made for this request: {because}; the next docker command wakes one")
}

/// While somebody waits for a time to come: how often the time is looked at, which may jump when
/// the computer slept.
const LOOK: Duration = Duration::from_secs(1);

impl Supervisor {
    /// Runs until told to stop. A machine that exists already is taken over.
    pub(crate) async fn run(mut self, beginning: Beginning) {
        let mut next = match beginning {
            Beginning::Absent => Next::Rest,
            Beginning::Found => Next::FindOut {
                reason: "dockbridge has just \
                started"
                    .to_owned(),
                pause: Duration::ZERO,
            },
            Beginning::WantedGone => {
                let because = "it was asked for before dockbridge was started anew".to_owned();
                Next::Release(Release::of_itself(None, because, Actor::User, Consent::Given))
            }
        };
        loop {
            next = match next {
                Next::Rest => self.rest().await,
                Next::Wake => self.wake().await,
                Next::Keep(ready) => self.keep(ready).await,
                Next::FindOut { reason, pause } => self.find_out(reason, pause).await,
                Next::Release(release) => self.release(release).await,
                Next::End => return,
            };
        }
    }

    async fn rest(&mut self) -> Next {
        let again = self.looks_again();
        let mut round = pin!(self.look_round());
        loop {
            if self.is_wanted() {
                match self.no_attempt_before {
                    Some(until) if tokio::time::Instant::now() < until => {
                        self.answer_with_the_last_failure()
                    }
                    _ => return Next::Wake,
                }
            }
            tokio::select! {
                changed = self.wanted.changed() => if changed.is_err() { return Next::End },
                command = self.commands.recv() => if let Some(next) = ordered(command) { return next },
                () = until(&*self.clock, again) => return Next::FindOut { reason: self.last_failure(), pause: Duration::ZERO },
                found = &mut round => {
                    if let Some(reason) = found {
                        return Next::FindOut { reason, pause: Duration::ZERO };
                    }
                    self.looks = self.looks.saturating_add(1);
                    round.set(self.look_round());
                }
            }
        }
    }

    /// When a machine that was there is looked for again although nobody asked for it.
    fn looks_again(&self) -> Option<Moment> {
        match &self.situation.borrow().state {
            State::Failed { again, .. } => *again,
            _ => None,
        }
    }

    fn last_failure(&self) -> String {
        self.situation.borrow().failure.clone().unwrap_or_default()
    }

    fn is_wanted(&mut self) -> bool {
        *self.wanted.borrow_and_update() > self.situation.borrow().attempts
    }

    fn answer_with_the_last_failure(&self) {
        self.situation.send_modify(|now| now.attempts += 1);
    }

    /// Requests that wait are answered with an order of the user, which wins over them.
    fn refuse_waiting(&mut self, because: &str) {
        if self.is_wanted() {
            let message = called_off(because);
            self.situation.send_modify(|situation| situation.attempted(Some(message)));
            self.no_attempt_before = Some(tokio::time::Instant::now() + CALLED_OFF_FOR);
        }
    }

    /// This daemon has deleted a server.
    fn ended(&self, server: Option<u64>, actor: Actor, because: &str) {
        tracing::info!(server, actor = actor.words(), because, "the server was deleted");
        let end = End { server, actor, because: because.to_owned(), at: Timestamp::now() };
        self.situation.send_modify(|situation| situation.last_end = Some(end));
    }

    fn enter(&self, state: State) {
        match detail(&state) {
            Some(detail) => tracing::info!("the machine is {}: {detail}", state.word()),
            None => tracing::info!("the machine is {}", state.word()),
        }
        let now = self.clock.now();
        self.situation.send_modify(|situation| situation.enter(state, now));
    }

    /// The machine is gone, and with it the ports of its containers.
    fn leave_machine(&mut self, because: &str) {
        if let Some(ports) = &self.ports {
            ports.detach();
        }
        self.activity.set_containers(Vec::new());
        self.accounts.ends(Timestamp::now());
        self.remembered.gone();
        (self.expected, self.heard, self.promised) = (false, None, None);
        self.situation.send_modify(|situation| situation.last_known = None);
        self.enter(State::Absent { because: Some(because.to_owned()) });
    }
}

/// What a command means while no machine answers.
fn ordered(command: Option<Command>) -> Option<Next> {
    match command {
        Some(Command::Wake) => Some(Next::Wake),
        // The next look at the cloud tells the volume's size.
        Some(Command::SayAlive(_) | Command::Volume(_)) => None,
        Some(Command::Destroy(order)) => Some(Next::Release(Release::ordered(None, order))),
        Some(Command::Stop(_)) | None => Some(Next::End),
    }
}

/// Returns when the time has come; never for `None`. A computer that slept beyond it wakes up to
/// find that it has.
async fn until(clock: &dyn Clock, moment: Option<Moment>) {
    let Some(moment) = moment else { return std::future::pending().await };
    loop {
        let left = moment.since(clock.now());
        if left.is_zero() {
            return;
        }
        sleep(left.min(LOOK)).await;
    }
}

fn detail(state: &State) -> Option<&str> {
    match state {
        State::Absent { because } => because.as_deref(),
        State::Lost { reason, .. } => Some(reason),
        State::Releasing { because, .. } => Some(because),
        State::Failed { message, .. } => Some(message),
        State::Waking | State::Up(_) => None,
    }
}
