//! On the way to a machine.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use lifecycle::Clock;
use machine::{Consent, MachineError, Observer, Phase, Ready, Summary};
use tokio::sync::watch;
use tokio::time::Instant;
use tunnel::{Class, Destination};

use super::{Command, Next, Supervisor, with_causes};
use crate::ledger::Accounts;
use crate::state::{Situation, State};

/// How long a failure that will not pass by itself, or that has cost money, answers for further attempts: one docker command may make several requests,
/// and each attempt could cost started hours.
const NO_ATTEMPT_FOR: Duration = Duration::from_secs(60);

/// Writes down what happens on the way, as it happens: a way may be cut off at any moment.
struct Witness<'a> {
    situation: &'a watch::Sender<Situation>,
    clock: &'a dyn Clock,
    accounts: Mutex<&'a mut Accounts>,
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
        self.accounts(|accounts| accounts.sees(server, Timestamp::now()));
    }

    fn deleted(&self, id: u64) {
        self.accounts(|accounts| accounts.one_ends(id, Timestamp::now()));
    }
}

/// What ended the way.
enum Ended {
    Arrived(Box<Result<machine::Ready, MachineError>>),
    Ordered(Next),
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
        let ended = self.on_the_way().await;
        let now = self.clock.now();
        match ended {
            Ended::Arrived(arrived) => match *arrived {
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
            },
            Ended::Ordered(next) => next,
        }
    }

    /// The engine may be another one than the last machine's, and requests are going to reach it from here on.
    pub(super) async fn introduce(&self, ready: &Ready) {
        self.knowledge.meet(ready.tunnel.open(Destination::Docker, Class::Interactive)).await;
    }

    /// Everybody who waits is told. A machine that was there is looked for again, unless that cannot help.
    pub(super) fn fail(&mut self, error: &MachineError) -> Next {
        if error.is_lasting() || error.has_cost_money() {
            self.no_attempt_before = Some(Instant::now() + NO_ATTEMPT_FOR);
        }
        self.expected &= error.may_pass();
        let now = self.clock.now();
        let again = self.expected.then(|| now.plus(self.backoff.failed(rand::random())));
        let mut message = with_causes(error);
        if let Some(hint) = error.hint() {
            message = format!("{message}; {hint}");
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

    async fn on_the_way(&mut self) -> Ended {
        let Self { provider, situation, clock, commands, accounts, .. } = self;
        let witness = Witness { situation, clock: &**clock, accounts: Mutex::new(accounts) };
        let way = provider.ensure(&witness);
        tokio::pin!(way);
        loop {
            tokio::select! {
                arrived = &mut way => return Ended::Arrived(Box::new(arrived)),
                command = commands.recv() => match command {
                    Some(Command::Wake | Command::SayAlive(_) | Command::Volume(_)) => {}
                    Some(Command::Destroy(answer)) => return Ended::Ordered(Next::Release {
                        ready: None,
                        because: "it was asked for".to_owned(),
                        consent: Consent::Given,
                        answer: vec![answer],
                    }),
                    Some(Command::Stop) | None => return Ended::Ordered(Next::End),
                },
            }
        }
    }
}
