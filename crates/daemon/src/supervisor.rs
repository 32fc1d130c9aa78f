//! The one task that decides what happens to the machine. Each state is a function that returns the next; nothing else changes the state.

mod keep;
mod release;
mod wake;

use std::sync::Arc;
use std::time::Duration;

use lifecycle::{Activity, Clock, Policy};
use machine::{Consent, Lease, Provider, Ready, ServerStatus, with_causes};
use ports::Ports;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;

use crate::state::{Situation, State};

/// What is asked of the supervisor from outside. (Wishes for a machine come by [`crate::link::Link`].)
pub(crate) enum Command {
    /// A person wants a machine now, whatever failed before.
    Wake,
    /// Take the machine down; answered when it is gone.
    Destroy(oneshot::Sender<Result<Option<String>, String>>),
    /// The daemon ends; the machine is left to its lease.
    Stop,
}

/// The machine of one profile, and everything that moves with it.
pub(crate) struct Supervisor {
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) activity: Activity,
    pub(crate) policy: Policy,
    pub(crate) lease: Lease,
    /// Between heartbeats.
    pub(crate) interval: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ports: Option<Ports>,
    pub(crate) situation: watch::Sender<Situation>,
    pub(crate) wanted: watch::Receiver<u64>,
    pub(crate) commands: mpsc::Receiver<Command>,
    /// After a failure that will not pass by itself, wishes of clients are answered with it until then.
    pub(crate) no_attempt_before: Option<tokio::time::Instant>,
}

/// Where to go from a state.
enum Next {
    /// Nothing to do until somebody asks.
    Rest,
    /// Get a machine.
    Wake,
    /// It is there.
    Keep(Arc<Ready>),
    /// The path is lost; perhaps the machine, too.
    FindOut(String),
    /// Take it down.
    Release { ready: Option<Arc<Ready>>, because: String, consent: Consent, answer: Vec<oneshot::Sender<Result<Option<String>, String>>> },
    /// The daemon ends.
    End,
}

/// Pauses between attempts to find a machine again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

impl Supervisor {
    /// Runs until told to stop. A machine that exists already is taken over.
    pub(crate) async fn run(mut self, mut found: bool) {
        let mut next = Next::Rest;
        loop {
            next = match next {
                Next::Rest if std::mem::take(&mut found) => Next::FindOut("dockbridge has just started".to_owned()),
                Next::Rest => self.rest().await,
                Next::Wake => self.wake().await,
                Next::Keep(ready) => self.keep(ready).await,
                Next::FindOut(reason) => self.find_out(reason).await,
                Next::Release { ready, because, consent, answer } => self.release(ready, because, consent, answer).await,
                Next::End => return,
            };
        }
    }

    async fn rest(&mut self) -> Next {
        loop {
            if self.is_wanted() {
                match self.no_attempt_before {
                    Some(until) if tokio::time::Instant::now() < until => self.answer_with_the_last_failure(),
                    _ => return Next::Wake,
                }
            }
            tokio::select! {
                changed = self.wanted.changed() => if changed.is_err() { return Next::End },
                command = self.commands.recv() => match command {
                    Some(Command::Wake) => return Next::Wake,
                    Some(Command::Destroy(answer)) => return Next::Release {
                        ready: None,
                        because: "it was asked for".to_owned(),
                        consent: Consent::Given,
                        answer: vec![answer],
                    },
                    Some(Command::Stop) | None => return Next::End,
                },
            }
        }
    }

    /// Looks whether there is still a machine. One that runs is connected to again; one that is off is removed; that there is none is said. Nothing is
    /// made here unless a client waits for it.
    async fn find_out(&mut self, reason: String) -> Next {
        let mut pause = FIRST_PAUSE;
        self.enter(State::Lost { reason });
        loop {
            if self.is_wanted() {
                return Next::Wake;
            }
            let found = tokio::select! {
                found = self.provider.find() => found,
                command = self.commands.recv() => match self.ordered(command) {
                    Some(next) => return next,
                    None => continue,
                },
            };
            match found {
                Ok(None) => {
                    self.leave_machine("there is no machine");
                    return Next::Rest;
                }
                Ok(Some(summary)) => match summary.status {
                    ServerStatus::Running | ServerStatus::Starting => return Next::Wake,
                    // Off for a moment: a new server is, before its first start.
                    ServerStatus::Off if summary.busy => pause = FIRST_PAUSE,
                    ServerStatus::Off => {
                        let because = "it is off and still billed".to_owned();
                        return Next::Release { ready: None, because, consent: Consent::Given, answer: Vec::new() };
                    }
                    ServerStatus::Stopping | ServerStatus::Deleting | ServerStatus::Other => pause = FIRST_PAUSE,
                },
                Err(error) => tracing::warn!(error = %with_causes(&error), "the cloud cannot be asked"),
            }
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                _ = self.wanted.changed() => {}
                command = self.commands.recv() => if let Some(next) = self.ordered(command) { return next },
            }
        }
    }

    /// What a command means while no machine answers.
    fn ordered(&self, command: Option<Command>) -> Option<Next> {
        match command {
            Some(Command::Wake) => Some(Next::Wake),
            Some(Command::Destroy(answer)) => {
                Some(Next::Release { ready: None, because: "it was asked for".to_owned(), consent: Consent::Given, answer: vec![answer] })
            }
            Some(Command::Stop) | None => Some(Next::End),
        }
    }

    fn is_wanted(&mut self) -> bool {
        *self.wanted.borrow_and_update() > self.situation.borrow().attempts
    }

    fn answer_with_the_last_failure(&self) {
        self.situation.send_modify(|now| now.attempts += 1);
    }

    fn enter(&self, state: State) {
        tracing::info!(state = state.word(), detail = ?detail(&state), "machine");
        let now = self.clock.now();
        self.situation.send_modify(|situation| situation.enter(state, now));
    }

    /// The machine is gone, and with it the ports of its containers.
    fn leave_machine(&self, because: &str) {
        if let Some(ports) = &self.ports {
            ports.detach();
        }
        self.activity.set_running_containers(0);
        self.enter(State::Absent { because: Some(because.to_owned()) });
    }
}

fn detail(state: &State) -> Option<&str> {
    match state {
        State::Absent { because } => because.as_deref(),
        State::Lost { reason } => Some(reason),
        State::Releasing { because, .. } => Some(because),
        State::Failed { message } => Some(message),
        State::Waking | State::Up(_) => None,
    }
}
