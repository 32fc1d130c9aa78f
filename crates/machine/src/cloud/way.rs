//! From what there is to a machine that answers: look, plan one step, carry it out, look again.

use std::time::Duration;

use tokio::time::Instant;

use super::Cloud;
use super::connect::{Attempt, Lost};
use super::creation::Creation;
use super::looks::Looks;
use super::trial::{Made, Stopwatch};
use crate::error::MachineError;
use crate::observed::Observed;
use crate::plan::{Step, plan};
use crate::provider::{Observer, Phase, Ready, Summary};

/// From nothing to a machine takes under a minute where all goes well; a stock-out in every location and a slow boot are in this.
const LONGEST_WAY: Duration = Duration::from_secs(10 * 60);
/// Servers on one way: another client may take one down while we wait for it, and a creation may fail.
const MOST_MADE: u32 = 3;
/// How often the cloud may refuse to start a server that it has created before that one is given up.
const MOST_REFUSED_STARTS: u32 = 2;

/// Who wants a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Somebody waits for it: whatever it takes.
    Serve,
    /// Nobody does: the one that there is, if it answers.
    Join {
        /// How long it may take to answer.
        patience: Duration,
    },
}

impl Cloud {
    /// The way to a machine. `None` only where nobody waits for one and there is none.
    pub(super) async fn way_to_machine(&self, purpose: Purpose, observer: &dyn Observer) -> Result<Option<Ready>, MachineError> {
        let begun = Instant::now();
        let mut last = "looking up what there is".to_owned();
        let (mut made, mut refused_starts) = (0, 0);
        let (stopwatch, mut last_made) = (Stopwatch::default(), None::<Made>);
        let timed = Timed { stopwatch: &stopwatch, observer };
        let observer: &dyn Observer = &timed;
        observer.stage(Phase::LookUp, None);
        let (mut observed, catalogue) = tokio::try_join!(self.observe(), self.catalogue())?;
        let mut looks = Looks::new();
        let mut creation = None::<Creation>;
        while begun.elapsed() < LONGEST_WAY {
            let step = plan(&self.options.spec, &observed, &catalogue)?;
            if !matches!(step, Step::Await { .. } | Step::Connect(_)) {
                looks = Looks::new();
            }
            match step {
                Step::Create { .. } if purpose != Purpose::Serve => return Ok(None),
                // Each is billed for an hour, however short it lives.
                Step::Create { .. } if made == MOST_MADE => return Err(MachineError::NeverUp { made, last }),
                Step::Create { volume, ladder } => {
                    if let Some(reason) = observer.refusal() {
                        return Err(MachineError::NotAllowed { reason });
                    }
                    made += 1;
                    "creating the server".clone_into(&mut last);
                    // One that is gone before it answered was lost in the making.
                    if let Some(lost) = last_made.take() {
                        self.did_not_come_up(&lost);
                    }
                    if let Some(created) = Box::pin(self.create(&observed, volume, &ladder, &stopwatch, observer)).await? {
                        creation = Some(created.creation);
                        (last_made, refused_starts) = (Some(created.made), 0);
                        // The cloud's reply says what a look would.
                        observed = created.observed;
                        continue;
                    }
                }
                Step::Attach { volume, server } => {
                    "attaching the volume".clone_into(&mut last);
                    observer.stage(Phase::Create, Some(format!("attaching volume {volume}")));
                    let attached = self.client.volumes().attach(volume, server).await;
                    let settled = self.settled("attach the volume", attached.map(|action| vec![action])).await;
                    // The attaching that belongs to the creation, or another client, may have been faster.
                    if let Err(error) = settled
                        && !self.servers_and_volumes().await?.volumes.iter().any(|found| found.id == volume && found.server == Some(server))
                    {
                        return Err(error);
                    }
                }
                Step::PowerOn { server } if purpose != Purpose::Serve => {
                    return Err(MachineError::Silent { name: name_of(server, &observed), waited: begun.elapsed(), source: None });
                }
                Step::PowerOn { server } => {
                    "starting the server".clone_into(&mut last);
                    observer.stage(Phase::Create, Some("starting it, since the cloud has left it off".to_owned()));
                    let started = self.client.servers().power_on(server).await;
                    match self.settled("start the server", started.map(|action| vec![action])).await {
                        Ok(()) => {}
                        Err(error) if !error.is_refusal() => return Err(error),
                        Err(error) if refused_starts + 1 < MOST_REFUSED_STARTS => {
                            tracing::warn!(error = crate::with_causes(&error), "the cloud does not start the server");
                            refused_starts += 1;
                            looks.pause().await;
                        }
                        Err(error) => {
                            last = crate::with_causes(&error);
                            observer.stage(Phase::CleanUp, Some(last.clone()));
                            self.give_up(server, &observed, observer).await?;
                        }
                    }
                }
                Step::Delete { server, because } => {
                    last = format!("removing server {server}: {because}");
                    observer.stage(Phase::CleanUp, Some(because));
                    self.give_up(server, &observed, observer).await?;
                }
                Step::Await { what } => {
                    observer.stage(Phase::Wait, Some(what.clone()));
                    last = what;
                    looks.pause().await;
                }
                Step::Connect(server) => {
                    let under_way = creation.as_ref().filter(|creation| creation.server == server.id);
                    let attempt = Attempt { begun, purpose, creation: under_way };
                    match Box::pin(self.connect(&server, &observed, attempt, observer)).await {
                        Ok(ready) => {
                            self.came_up(last_made.as_ref(), &ready, &stopwatch);
                            return Ok(Some(ready));
                        }
                        Err(Lost::LookAgain(_) | Lost::Remove(MachineError::Silent { .. })) if purpose != Purpose::Serve => {
                            return Err(MachineError::Silent { name: server.name.clone(), waited: begun.elapsed(), source: None });
                        }
                        // It was replaced or deleted under our hands, or another client is just replacing its host key: look again.
                        Err(Lost::LookAgain(what)) => {
                            last = what;
                            looks.pause().await;
                        }
                        // There is no disk that could be started.
                        Err(Lost::Unmade(failure)) if is_of_the_creation_itself(&failure) => {
                            last = format!("removing server {}: {}", server.id, crate::with_causes(&failure));
                            observer.stage(Phase::CleanUp, Some(crate::with_causes(&failure)));
                            if let Some(made) = last_made.take() {
                                self.did_not_come_up(&made);
                            }
                            self.give_up(server.id, &observed, observer).await?;
                        }
                        Err(Lost::Unmade(failure)) => {
                            creation = None;
                            last = crate::with_causes(&failure);
                            tracing::warn!(server = server.id, failure = last, "the cloud could not make the server as ordered");
                        }
                        Err(Lost::Remove(error)) => {
                            let other_image = self.try_another_image(&mut last_made, server.id, &error);
                            self.give_up(server.id, &observed, observer).await?;
                            if !other_image {
                                return Err(error);
                            }
                            last = error.to_string();
                            observer.stage(Phase::CleanUp, Some(format!("{last}; once more from another image")));
                        }
                        Err(Lost::Replace(because)) => {
                            last = format!("removing server {}: {because}", server.id);
                            observer.stage(Phase::CleanUp, Some(because));
                            self.give_up(server.id, &observed, observer).await?;
                        }
                        Err(Lost::Failed(error)) => {
                            if !self.try_another_image(&mut last_made, server.id, &error) {
                                return Err(error);
                            }
                            last = error.to_string();
                            observer.stage(Phase::CleanUp, Some(format!("{last}; once more from another image")));
                            self.give_up(server.id, &observed, observer).await?;
                        }
                    }
                }
            }
            observed = self.observe_again(&observed).await?;
        }
        Err(MachineError::TimedOut { waited: LONGEST_WAY, last })
    }

    /// Removes a server that cannot become the machine.
    async fn give_up(&self, server: u64, observed: &Observed, observer: &dyn Observer) -> Result<(), MachineError> {
        match observed.servers.iter().find(|found| found.id == server) {
            Some(server) => self.remove_server(server).await?,
            None => self.delete_server(server).await?,
        }
        observer.deleted(server);
        Ok(())
    }

    /// Whether a server that this way has just made is given up for another image, since it does not let us in. A docker that will not start may not like what is on the
    /// volume: that is told, whatever the image.
    fn try_another_image(&self, last_made: &mut Option<Made>, server: u64, error: &MachineError) -> bool {
        let is_docker = matches!(error, MachineError::Docker { .. });
        let is_of_the_image =
            is_docker || matches!(error, MachineError::Silent { .. } | MachineError::Connect { .. } | MachineError::HostKey { .. });
        let Some(made) = last_made.take_if(|made| made.server == server && is_of_the_image) else { return false };
        self.did_not_come_up(&made) && !is_docker
    }
}

/// Hears of each stage before the observer does, and times it.
struct Timed<'a> {
    stopwatch: &'a Stopwatch,
    observer: &'a dyn Observer,
}

impl Observer for Timed<'_> {
    fn stage(&self, phase: Phase, detail: Option<String>) {
        self.stopwatch.lap(&phase);
        self.observer.stage(phase, detail);
    }

    fn refusal(&self) -> Option<String> {
        self.observer.refusal()
    }

    fn created(&self, server: &Summary) {
        self.observer.created(server);
    }

    fn deleted(&self, id: u64) {
        self.observer.deleted(id);
    }
}

/// Nobody waits: the stages are worth a line of the debug log.
pub(super) struct Joining;

impl Observer for Joining {
    fn stage(&self, phase: Phase, detail: Option<String>) {
        tracing::debug!(phase = phase.words(), detail, "joining");
    }
}

fn is_of_the_creation_itself(failure: &hetzner::Error) -> bool {
    matches!(failure, hetzner::Error::Action { command, .. } if command == "create_server")
}

fn name_of(server: u64, observed: &Observed) -> String {
    let found = observed.servers.iter().find(|found| found.id == server);
    found.map_or_else(|| format!("server {server}"), |found| found.name.clone())
}
