//! From what there is to a machine that answers: look, plan one step, carry it out, look again.

use std::pin::pin;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::time::Instant;

use super::connect::{Attempt, Lost, is_settled};
use super::creation::Creation;
use super::looks::Looks;
use super::observe::status;
use super::trial::{Made, Stopwatch};
use super::{Cloud, cloud};
use crate::behalf::{Actor, Behalf};
use crate::error::MachineError;
use crate::observed::{Observed, Server, ServerStatus};
use crate::plan::{Step, plan};
use crate::provider::{Observer, Phase, Ready, Summary};
use crate::reach::Elsewhere;

/// From nothing to a machine takes under a minute where all goes well; a stock-out in every
/// location and a slow boot are in this.
const LONGEST_WAY: Duration = Duration::from_secs(10 * 60);
/// Servers on one way: another client may take one down while we wait for it, and a creation may
/// fail.
const MOST_MADE: u32 = 3;
/// How often the cloud may refuse to start a server that it has created before that one is given
/// up.
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

/// What a wake was waiting for when it was called off, or what came of it.
enum Waited<T> {
    For(T),
    CalledOff,
}

/// Waits for something that may be cut off anywhere.
async fn unless_called_off<T>(observer: &dyn Observer, work: impl Future<Output = T>) -> Waited<T> {
    tokio::select! {
        biased;
        () = observer.called_off() => Waited::CalledOff,
        done = work => Waited::For(done),
    }
}

impl Cloud {
    /// The way to a machine. `None` only where nobody waits for one and there is none. An order of
    /// the user ends it between two steps; requests that change the cloud are never cut off.
    pub(super) async fn way_to_machine(
        &self,
        purpose: Purpose,
        observer: &dyn Observer,
    ) -> Result<Option<Ready>, MachineError> {
        let begun = Instant::now();
        let mut last = "looking up what there is".to_owned();
        let (mut made, mut refused_starts) = (0, 0);
        let (stopwatch, mut last_made) = (Stopwatch::default(), None::<Made>);
        let timed = Timed { stopwatch: &stopwatch, observer };
        let observer: &dyn Observer = &timed;
        observer.stage(Phase::LookUp, None);
        // Before a server is bought, it is known whether it could be reached. Asked meanwhile,
        // since an answer takes a round trip.
        let checking = match purpose {
            Purpose::Serve => self.options.port_check.ask().boxed(),
            Purpose::Join { .. } => std::future::pending().boxed(),
        };
        let checked = checking.shared();
        let looked = async { tokio::try_join!(self.observe(), self.catalogue()) };
        let looked = async {
            let mut looked = pin!(looked);
            loop {
                tokio::select! {
                    looked = &mut looked => return looked,
                    _ = checked.clone(), if checked.peek().is_none() => {}
                }
            }
        };
        let (mut observed, catalogue) = match unless_called_off(observer, Box::pin(looked)).await {
            Waited::For(looked) => looked?,
            Waited::CalledOff => return Err(MachineError::CalledOff { removed: None, left: None }),
        };
        let mut looks = Looks::new();
        let mut creation = None::<Creation>;
        let mut fresh = None::<Server>;
        while begun.elapsed() < LONGEST_WAY {
            if observer.is_called_off() {
                return Err(self.call_off(fresh.as_ref(), observer).await);
            }
            let step = plan(&self.options.spec, &observed, &catalogue)?;
            if !matches!(step, Step::Await { .. } | Step::Connect(_)) {
                looks = Looks::new();
            }
            match step {
                Step::Create { .. } if purpose != Purpose::Serve => return Ok(None),
                // Each is billed for an hour, however short it lives.
                Step::Create { .. } if made == MOST_MADE => {
                    return Err(MachineError::NeverUp { made, last });
                }
                Step::Create { volume, ladder } => {
                    if let Some(reason) = observer.refusal() {
                        return Err(MachineError::NotAllowed { reason });
                    }
                    if let Elsewhere::Blocked { hosts } = checked.clone().await {
                        return Err(MachineError::PortBlocked { hosts, kept: None, created: None });
                    }
                    made += 1;
                    "creating the server".clone_into(&mut last);
                    // One that is gone before it answered was lost in the making.
                    if let Some(lost) = last_made.take() {
                        self.did_not_come_up(&lost);
                    }
                    fresh = None;
                    if let Some(created) =
                        Box::pin(self.create(&observed, volume, &ladder, &stopwatch, observer))
                            .await?
                    {
                        creation = Some(created.creation);
                        (last_made, refused_starts) = (Some(created.made), 0);
                        // The cloud's reply says what a look would.
                        observed = created.observed;
                        fresh = observed.servers.first().cloned();
                        continue;
                    }
                }
                Step::Attach { volume, server } => {
                    "attaching the volume".clone_into(&mut last);
                    observer.stage(Phase::Create, Some(format!("attaching volume {volume}")));
                    let attached = self.client.volumes().attach(volume, server).await;
                    let settled = self
                        .settled("attach the volume", attached.map(|action| vec![action]))
                        .await;
                    // The attaching that belongs to the creation, or another client, may have been
                    // faster.
                    if let Err(error) = settled
                        && !self
                            .servers_and_volumes()
                            .await?
                            .volumes
                            .iter()
                            .any(|found| found.id == volume && found.server == Some(server))
                    {
                        return Err(error);
                    }
                }
                Step::PowerOn { server } if purpose != Purpose::Serve => {
                    return Err(MachineError::Silent {
                        name: name_of(server, &observed),
                        waited: begun.elapsed(),
                        source: None,
                    });
                }
                Step::PowerOn { server } => {
                    "starting the server".clone_into(&mut last);
                    observer.stage(
                        Phase::Create,
                        Some("starting it, since the cloud has left it off".to_owned()),
                    );
                    let started = self.client.servers().power_on(server).await;
                    match self.settled("start the server", started.map(|action| vec![action])).await
                    {
                        Ok(()) => {}
                        Err(error) if !error.is_refusal() => return Err(error),
                        Err(error) if refused_starts + 1 < MOST_REFUSED_STARTS => {
                            tracing::warn!(
                                error = crate::with_causes(&error),
                                "the cloud does not start the server"
                            );
                            refused_starts += 1;
                            unless_called_off(observer, looks.pause()).await;
                        }
                        Err(error) => {
                            last = crate::with_causes(&error);
                            self.give_up(server, &observed, observer, &last).await?;
                        }
                    }
                }
                // A list of the cloud may be late, and a server that another client has started is
                // not off any more.
                Step::Delete { server, .. } if self.has_come_up(server, &observed).await? => {
                    "the server has been started meanwhile".clone_into(&mut last);
                    unless_called_off(observer, looks.pause()).await;
                }
                Step::Delete { server, because } => {
                    last = format!("removing server {server}: {because}");
                    self.give_up(server, &observed, observer, &because).await?;
                }
                Step::Await { what } => {
                    observer.stage(Phase::Wait, Some(what.clone()));
                    last = what;
                    unless_called_off(observer, looks.pause()).await;
                }
                Step::Connect(server) => {
                    let under_way =
                        creation.as_ref().filter(|creation| creation.server == server.id);
                    let created = fresh.as_ref().filter(|fresh| fresh.id == server.id);
                    let attempt = Attempt { begun, purpose, creation: under_way, fresh: created };
                    let connecting = Box::pin(self.connect(&server, &observed, attempt, observer));
                    let Waited::For(connected) = unless_called_off(observer, connecting).await
                    else {
                        continue;
                    };
                    match connected {
                        Ok(ready) => {
                            self.came_up(last_made.as_ref(), &ready, &stopwatch);
                            return Ok(Some(ready));
                        }
                        Err(Lost::LookAgain(_) | Lost::Remove(MachineError::Silent { .. }))
                            if purpose != Purpose::Serve =>
                        {
                            return Err(MachineError::Silent {
                                name: server.name.clone(),
                                waited: begun.elapsed(),
                                source: None,
                            });
                        }
                        // It was replaced or deleted under our hands, or another client is just
                        // replacing its host key: look again.
                        Err(Lost::LookAgain(what)) => {
                            last = what;
                            unless_called_off(observer, looks.pause()).await;
                        }
                        // There is no disk that could be started.
                        Err(Lost::Unmade(failure)) if is_of_the_creation_itself(&failure) => {
                            let because = crate::with_causes(&failure);
                            last = format!("removing server {}: {because}", server.id);
                            if let Some(made) = last_made.take() {
                                self.did_not_come_up(&made);
                            }
                            self.give_up(server.id, &observed, observer, &because).await?;
                        }
                        Err(Lost::Unmade(failure)) => {
                            creation = None;
                            last = crate::with_causes(&failure);
                            tracing::warn!(
                                server = server.id,
                                failure = last,
                                "the cloud could not make the server as ordered"
                            );
                        }
                        Err(Lost::Remove(error)) => {
                            let other_image =
                                self.try_another_image(&mut last_made, server.id, &error);
                            last = error.to_string();
                            if !other_image {
                                self.give_up(server.id, &observed, observer, &last).await?;
                                return Err(error);
                            }
                            self.give_up(
                                server.id,
                                &observed,
                                observer,
                                &format!("{last}; once more from another image"),
                            )
                            .await?;
                        }
                        Err(Lost::Replace(because)) => {
                            last = format!("removing server {}: {because}", server.id);
                            self.give_up(server.id, &observed, observer, &because).await?;
                        }
                        Err(Lost::Failed(error)) => {
                            if !self.try_another_image(&mut last_made, server.id, &error) {
                                return Err(error);
                            }
                            last = error.to_string();
                            self.give_up(
                                server.id,
                                &observed,
                                observer,
                                &format!("{last}; once more from another image"),
                            )
                            .await?;
                        }
                    }
                }
            }
            observed = match unless_called_off(observer, self.observe_again(&observed)).await {
                Waited::For(again) => again?,
                Waited::CalledOff => continue,
            };
        }
        Err(MachineError::TimedOut { waited: LONGEST_WAY, last })
    }

    /// Removes a server that cannot become the machine.
    async fn give_up(
        &self,
        server: u64,
        observed: &Observed,
        observer: &dyn Observer,
        because: &str,
    ) -> Result<(), MachineError> {
        observer.stage(Phase::CleanUp, Some(because.to_owned()));
        let removing = async {
            match observed.servers.iter().find(|found| found.id == server) {
                Some(server) => self.remove_server(server).await,
                None => self.delete_server(server).await,
            }
        };
        Behalf::new(Actor::Daemon, because).during(removing).await?;
        observer.deleted(server, because);
        Ok(())
    }

    /// Whether a server that the list shows off runs by the cloud's answer about that very server.
    async fn has_come_up(&self, server: u64, observed: &Observed) -> Result<bool, MachineError> {
        if !observed
            .servers
            .iter()
            .any(|found| found.id == server && found.status == ServerStatus::Off)
        {
            return Ok(false);
        }
        let now = self.client.servers().get(server).await.map_err(cloud("look at the server"))?;
        Ok(now.is_some_and(|now| {
            matches!(status(&now.status), ServerStatus::Running | ServerStatus::Starting)
        }))
    }

    /// Deletes the server that the wake has created, unless another client has taken it into use.
    /// It is nobody's otherwise: no lease of this client was ever meant to outlive the wake.
    async fn call_off(&self, fresh: Option<&Server>, observer: &dyn Observer) -> MachineError {
        const BECAUSE: &str = "an order of the user called the wake off";
        let Some(fresh) = fresh else {
            return MachineError::CalledOff { removed: None, left: None };
        };
        observer.stage(Phase::CleanUp, Some(BECAUSE.to_owned()));
        let id = fresh.id;
        let kept = |why: String| MachineError::CalledOff {
            removed: None,
            left: Some(format!("server {id} {why}")),
        };
        let now = match self.client.servers().get(id).await {
            Ok(Some(now)) => now,
            Ok(None) => return MachineError::CalledOff { removed: Some(id), left: None },
            Err(error) => return kept(still_bills(&error)),
        };
        if is_settled(&now.labels) {
            return kept("is kept, since another client uses it".to_owned());
        }
        let now = Server { status: status(&now.status), ..fresh.clone() };
        match Behalf::new(Actor::User, BECAUSE).during(self.remove_server(&now)).await {
            Ok(()) => {
                observer.deleted(id, BECAUSE);
                MachineError::CalledOff { removed: Some(id), left: None }
            }
            Err(error) => kept(still_bills(&error)),
        }
    }

    /// Whether a server that this way has just made is given up for another image, since it does
    /// not let us in. A docker that will not start may not like what is on the volume: that is
    /// told, whatever the image.
    fn try_another_image(
        &self,
        last_made: &mut Option<Made>,
        server: u64,
        error: &MachineError,
    ) -> bool {
        let is_docker = matches!(error, MachineError::Docker { .. });
        let is_of_the_image = is_docker
            || matches!(
                error,
                MachineError::Silent { .. }
                    | MachineError::WrongLogin { .. }
                    | MachineError::HostKey { .. }
            );
        let Some(made) = last_made.take_if(|made| made.server == server && is_of_the_image) else {
            return false;
        };
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

    fn deleted(&self, id: u64, because: &str) {
        self.observer.deleted(id, because);
    }

    fn is_called_off(&self) -> bool {
        self.observer.is_called_off()
    }

    fn called_off(&self) -> BoxFuture<'_, ()> {
        self.observer.called_off()
    }
}

/// Nobody waits: the stages are worth a line of the debug log.
pub(super) struct Joining;

impl Observer for Joining {
    fn stage(&self, phase: Phase, detail: Option<String>) {
        tracing::debug!(phase = phase.words(), detail, "joining");
    }
}

fn still_bills(error: &dyn std::error::Error) -> String {
    format!(
        "could not be deleted and is billed until it is ({}); `dockbridge server destroy` \
            deletes it, and it powers itself off 11 min after its boot",
        crate::with_causes(error)
    )
}

fn is_of_the_creation_itself(failure: &hetzner::Error) -> bool {
    matches!(failure, hetzner::Error::Action { command, .. } if command == "create_server")
}

fn name_of(server: u64, observed: &Observed) -> String {
    let found = observed.servers.iter().find(|found| found.id == server);
    found.map_or_else(|| format!("server {server}"), |found| found.name.clone())
}
