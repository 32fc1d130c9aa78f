//! Taking the machine down. It bills until it is gone, so this goes on until it is, or until its lease has certainly ended it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use machine::{Consent, Destroyed, Ready};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::{Command, Next, Supervisor, with_causes};
use crate::state::State;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Supervisor {
    pub(super) async fn release(
        &mut self,
        ready: Option<Arc<Ready>>,
        because: String,
        consent: Consent,
        mut answer: Vec<oneshot::Sender<Result<Option<String>, String>>>,
    ) -> Next {
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
        let mut pause = FIRST_PAUSE;
        let begun = Instant::now();
        loop {
            let tunnel = ready.as_ref().map(|ready| &ready.tunnel);
            match self.provider.destroy(tunnel, consent).await {
                Ok(Destroyed::Gone { troubles }) => {
                    let mut told = "The machine is gone; its volume stays.".to_owned();
                    if !troubles.is_empty() {
                        let troubles = troubles.join("; ");
                        tracing::warn!(%troubles, "the machine is gone, not without trouble");
                        told.push_str(&format!(" Note: {troubles}."));
                    }
                    self.close(ready).await;
                    reply(&mut answer, &Ok(Some(told)));
                    self.leave_machine(&because);
                    return Next::Rest;
                }
                Ok(Destroyed::Absent) => {
                    self.close(ready).await;
                    reply(&mut answer, &Ok(Some("There was no machine.".to_owned())));
                    // It went before it was taken down.
                    let because = if self.expected { self.gone_because() } else { because };
                    self.lose_machine(&because);
                    return Next::Rest;
                }
                Ok(Destroyed::NotOurs) => {
                    self.close(ready).await;
                    reply(&mut answer, &Ok(Some("This host is not ours: it was let go of, and goes on.".to_owned())));
                    self.leave_machine(&because);
                    return Next::Rest;
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
                    reply(&mut answer, &Err(format!("{trouble}; dockbridge goes on trying, also when it is started anew")));
                    self.enter(State::Releasing { because: because.clone(), trouble: Some(trouble) });
                }
            }
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                command = self.commands.recv() => match command {
                    Some(Command::Wake | Command::SayAlive(_) | Command::Volume(_)) => {}
                    Some(Command::Destroy(another)) => {
                        self.remembered.wants_it_gone(Timestamp::now());
                        answer.push(another);
                    }
                    Some(Command::Stop) | None => return Next::End,
                },
            }
            // A client waits, and the cloud did not let the machine go: it may be as good as new.
            if self.is_wanted() && begun.elapsed() > LONGEST_PAUSE {
                return Next::Wake;
            }
        }
    }

    async fn close(&self, ready: Option<Arc<Ready>>) {
        if let Some(ready) = ready {
            ready.tunnel.close().await;
        }
    }
}

fn reply(answer: &mut Vec<oneshot::Sender<Result<Option<String>, String>>>, result: &Result<Option<String>, String>) {
    for answer in answer.drain(..) {
        // Whoever asked may have gone.
        let _ = answer.send(result.clone());
    }
}
