//! Taking the machine down. It bills until it is gone, so this goes on until it is, or until its
//! lease has certainly ended it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use machine::{Actor, Behalf, Consent, Destroyed, MachineError, Ready};
use tokio::time::{Instant, sleep};

use super::{Answer, Command, Next, Release, Supervisor, with_causes};
use crate::end::EndCause;
use crate::state::State;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Supervisor {
    pub(super) async fn release(&mut self, release: Release) -> Next {
        let Release { ready, because, actor, consent, mut answer, done, mut then_stop } = release;
        match &self.ports {
            // By itself: whoever comes to a port hears of it.
            Some(ports) if answer.is_empty() => ports.fall_asleep(),
            Some(ports) => ports.detach(),
            None => {}
        }
        // Whatever becomes of this daemon: who asked for it is not asked again.
        if !answer.is_empty() {
            self.remembered.wants_it_gone(Timestamp::now());
        }
        self.enter(State::Releasing { because: because.clone(), trouble: None });
        let server = self.known_server(ready.as_deref());
        let mut pause = FIRST_PAUSE;
        let begun = Instant::now();
        loop {
            let destroyed = self
                .destroyed(ready.as_deref(), consent, Behalf::new(actor, because.clone()))
                .await;
            // What was done for those who wait, before this or by this.
            let told = |now: &str| Some(done.clone().unwrap_or_else(|| now.to_owned()));
            let over = if then_stop { Next::End } else { Next::Rest };
            match destroyed {
                Ok(Destroyed::Gone { troubles }) => {
                    let mut told = "The machine is gone; its volume stays.".to_owned();
                    if !troubles.is_empty() {
                        let troubles = troubles.join("; ");
                        tracing::warn!(%troubles, "the machine is gone, not without trouble");
                        told.push_str(&format!(" Note: {troubles}."));
                    }
                    self.close(ready).await;
                    reply(&mut answer, &Ok(Some(told)));
                    self.ended(server, actor, &because);
                    let cause = EndCause::by(actor, because.clone());
                    self.accounts.machines_ended(&cause, Timestamp::now());
                    self.leave_machine(&because);
                    return over;
                }
                Ok(Destroyed::Absent) => {
                    self.close(ready).await;
                    reply(&mut answer, &Ok(told("There was no machine.")));
                    // It went before it was taken down.
                    let because = if self.expected { self.gone_because() } else { because };
                    self.lose_machine(&because);
                    return over;
                }
                Ok(Destroyed::NotOurs) => {
                    self.close(ready).await;
                    reply(
                        &mut answer,
                        &Ok(Some(
                            "This host is not ours: it was let go of, and goes on.".to_owned(),
                        )),
                    );
                    self.leave_machine(&because);
                    return over;
                }
                Ok(Destroyed::InUse { reason }) => {
                    tracing::info!(%reason, "kept for another client");
                    reply(&mut answer, &Err(format!("another client works on it: {reason}")));
                    return match ready {
                        Some(ready) => Next::Keep(ready),
                        None => Next::FindOut { reason, pause: Duration::ZERO },
                    };
                }
                Err(error) => {
                    let trouble = with_causes(&error);
                    tracing::error!(%trouble, "the machine is not gone yet");
                    // A person who waits is told; the daemon goes on trying.
                    reply(
                        &mut answer,
                        &Err(format!(
                            "{trouble}; dockbridge goes on trying, also when it is started anew"
                        )),
                    );
                    self.enter(State::Releasing {
                        because: because.clone(),
                        trouble: Some(trouble),
                    });
                }
            }
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                command = self.commands.recv() => match command {
                    Some(Command::SayAlive(_) | Command::Volume(_)) => {}
                    // The newer order of the user.
                    Some(Command::Wake) => return Next::Wake,
                    Some(Command::Destroy(another)) => {
                        self.remembered.wants_it_gone(Timestamp::now());
                        then_stop |= another.then_stop;
                        answer.push(another.answer);
                    }
                    Some(Command::Stop(_)) | None => return Next::End,
                },
                changed = self.wanted.changed(), if actor == Actor::User => if changed.is_err() { return Next::End },
            }
            if actor == Actor::User {
                self.refuse_waiting(
                    "the machine is to be destroyed by an order of the user, and the cloud has not \
                     done it yet",
                );
            } else if self.is_wanted() && begun.elapsed() > LONGEST_PAUSE {
                // A client waits, and the cloud did not let the machine go: it may be as good as
                // new.
                return Next::Wake;
            }
        }
    }

    /// One attempt. Requests that come meanwhile are answered at once where the user gave the
    /// order.
    async fn destroyed(
        &mut self,
        ready: Option<&Ready>,
        consent: Consent,
        behalf: Behalf,
    ) -> Result<Destroyed, MachineError> {
        let provider = self.provider.clone();
        let actor = behalf.actor;
        let mut destroying =
            Box::pin(behalf.during(provider.destroy(ready.map(|ready| &ready.tunnel), consent)));
        loop {
            if actor == Actor::User {
                self.refuse_waiting("the machine is being destroyed by an order of the user");
            }
            tokio::select! {
                destroyed = &mut destroying => return destroyed,
                // Fails only when the daemon ends, which comes as an order.
                Ok(()) = self.wanted.changed(), if actor == Actor::User => {}
            }
        }
    }

    /// The server that is taken down, as far as it is known.
    fn known_server(&self, ready: Option<&Ready>) -> Option<u64> {
        let last_known =
            || self.situation.borrow().last_known.as_ref().and_then(|last| last.machine.id);
        ready.map_or_else(last_known, |ready| ready.summary.id)
    }

    async fn close(&self, ready: Option<Arc<Ready>>) {
        if let Some(ready) = ready {
            ready.tunnel.close().await;
        }
    }
}

fn reply(answer: &mut Vec<Answer>, result: &Result<Option<String>, String>) {
    for answer in answer.drain(..) {
        // Whoever asked may have gone.
        let _ = answer.send(result.clone());
    }
}
