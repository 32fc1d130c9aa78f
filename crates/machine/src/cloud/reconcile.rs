//! A wake: from what exists to a machine that answers. Observes, plans one step, carries it out,
//! observes again.

use std::pin::pin;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use tokio::time::Instant;

use super::attempt::{Attempt, Lost, Purpose};
use super::boot_timing::{Made, Stopwatch};
use super::create::Provisioning;
use super::creation::Creation;
use super::observers::{Timed, Waited, unless_called_off};
use super::poll_backoff::PollBackoff;
use super::project::Cloud;
use crate::causes::with_causes;
use crate::error::{AfterCallOff, MachineError};
use crate::ladder::Rung;
use crate::observed::{Catalogue, Observed, Server, Volume};
use crate::operation::Operation;
use crate::plan::{Step, plan};
use crate::provider::{Observer, Ready};
use crate::reach::Elsewhere;
use api::Phase;

/// A wake from nothing usually takes under a minute. This includes a stock-out in every location
/// and a slow boot.
const LONGEST_WAKE: Duration = Duration::from_secs(10 * 60);
/// Servers that one wake creates at most: another client may delete one while we wait for it, and a
/// creation may fail.
const MOST_CREATED: u32 = 3;
/// How often the cloud may refuse to start a server that it has created before dockbridge gives the
/// server up.
const MOST_REFUSED_STARTS: u32 = 2;

/// The check whether this network lets TCP 22 out.
type PortChecking<'a> = Shared<BoxFuture<'a, Elsewhere>>;

impl Cloud {
    /// Connects to a machine, and creates it where the purpose asks for it. `None` only if no
    /// client waits for a machine and none exists. An order of the user ends the wake between two
    /// steps; requests that change the cloud are never cut off.
    pub(super) async fn reconcile(
        &self,
        purpose: Purpose,
        observer: &dyn Observer,
    ) -> Result<Option<Ready>, MachineError> {
        let begun = Instant::now();
        let stopwatch = Stopwatch::default();
        let observer = &Timed { stopwatch: &stopwatch, observer };
        observer.stage(Phase::LookUp, None);
        // Before it buys a server, dockbridge knows whether it could reach one. The check runs
        // during the first observation, since an answer takes a round trip.
        let port_check = match purpose {
            Purpose::Serve => {
                self.fresh_volume.forget();
                self.options.port_check.ask().boxed()
            }
            Purpose::Join { .. } => std::future::pending().boxed(),
        };
        let port_check = port_check.shared();
        let looking = Box::pin(self.look_up(port_check.clone()));
        let (observed, catalogue) = match unless_called_off(observer, looking).await {
            Waited::For(found) => found?,
            Waited::CalledOff => return Err(MachineError::CalledOff(AfterCallOff::NoServer)),
        };
        let wake = Reconcile {
            cloud: self,
            purpose,
            observer,
            stopwatch: &stopwatch,
            port_check,
            begun,
            last: "looking up what there is".to_owned(),
            observed,
            backoff: PollBackoff::new(),
            created: 0,
            refused_starts: 0,
            last_made: None,
            creation: None,
            fresh: None,
        };
        Box::pin(wake.run(&catalogue)).await
    }

    async fn look_up(
        &self,
        port_check: PortChecking<'_>,
    ) -> Result<(Observed, Catalogue), MachineError> {
        let mut looking = pin!(async { tokio::try_join!(self.observe(), self.catalogue()) });
        loop {
            tokio::select! {
                found = &mut looking => return found,
                _ = port_check.clone(), if port_check.peek().is_none() => {}
            }
        }
    }
}

/// A wake in progress.
struct Reconcile<'a> {
    cloud: &'a Cloud,
    purpose: Purpose,
    observer: &'a dyn Observer,
    stopwatch: &'a Stopwatch,
    port_check: PortChecking<'a>,
    begun: Instant,
    /// The last step, for the error of a wake that takes too long.
    last: String,
    observed: Observed,
    backoff: PollBackoff,
    /// Servers that this wake has asked for.
    created: u32,
    refused_starts: u32,
    /// The last server that this wake has created, until its boot is measured or has failed.
    last_made: Option<Made>,
    /// What the cloud still does for it.
    creation: Option<Creation>,
    /// The same server, to delete it if the wake is called off.
    fresh: Option<Server>,
}

/// What follows a step.
enum Next {
    /// Observe, then plan.
    Observe,
    /// Plan by what is known.
    Plan,
    /// The wake is over.
    Done(Option<Box<Ready>>),
}

impl Reconcile<'_> {
    async fn run(mut self, catalogue: &Catalogue) -> Result<Option<Ready>, MachineError> {
        while self.begun.elapsed() < LONGEST_WAKE {
            if self.observer.is_called_off() {
                return Err(self.cloud.call_off(self.fresh.as_ref(), self.observer).await);
            }
            let step = plan(&self.cloud.options.spec, &self.observed, catalogue)?;
            if !matches!(step, Step::Await { .. } | Step::Connect(_)) {
                self.backoff = PollBackoff::new();
            }
            match Box::pin(self.carry_out(step)).await? {
                Next::Done(ready) => return Ok(ready.map(|ready| *ready)),
                Next::Plan => continue,
                Next::Observe => {}
            }
            let observing = self.cloud.observe_again(&self.observed);
            if let Waited::For(again) = unless_called_off(self.observer, observing).await {
                self.observed = again?;
                self.cloud.fresh_volume.observe(&self.observed);
            }
        }
        Err(MachineError::TimedOut { waited: LONGEST_WAKE, last: self.last })
    }

    async fn carry_out(&mut self, step: Step) -> Result<Next, MachineError> {
        match step {
            Step::Create { .. } if self.purpose != Purpose::Serve => Ok(Next::Done(None)),
            Step::Create { volume, ladder } => Box::pin(self.create(volume, &ladder)).await,
            Step::Attach { volume, server } => self.attach(volume, server).await,
            Step::PowerOn { server } => self.power_on(server).await,
            Step::Delete { server, because } => self.delete(server, because).await,
            Step::Await { what } => {
                self.observer.stage(Phase::Wait, Some(what.clone()));
                self.last = what;
                self.pause().await;
                Ok(Next::Observe)
            }
            Step::Connect(server) => Box::pin(self.connect(*server)).await,
        }
    }

    async fn create(
        &mut self,
        volume: Option<Volume>,
        ladder: &[Rung],
    ) -> Result<Next, MachineError> {
        // The cloud bills an hour for each server, however short it lives.
        if self.created == MOST_CREATED {
            return Err(MachineError::NeverUp { made: self.created, last: self.last.clone() });
        }
        if let Some(reason) = self.observer.refusal() {
            return Err(MachineError::NotAllowed { reason });
        }
        if let Elsewhere::Blocked { hosts } = self.port_check.clone().await {
            return Err(MachineError::PortBlocked { hosts, kept: None, created: None });
        }
        self.created += 1;
        "creating the server".clone_into(&mut self.last);
        // A server that is gone before it answered was lost during its creation.
        if let Some(lost) = self.last_made.take() {
            self.cloud.did_not_come_up(&lost);
        }
        self.fresh = None;
        let provisioning = Provisioning {
            cloud: self.cloud,
            observed: &self.observed,
            volume,
            ladder,
            stopwatch: self.stopwatch,
            observer: self.observer,
        };
        let Some(created) = Box::pin(provisioning.run()).await? else { return Ok(Next::Observe) };
        self.creation = Some(created.creation);
        (self.last_made, self.refused_starts) = (Some(created.made), 0);
        // The cloud's reply contains what an observation would.
        self.observed = created.observed;
        self.fresh = self.observed.servers.first().cloned();
        Ok(Next::Plan)
    }

    async fn attach(&mut self, volume: u64, server: u64) -> Result<Next, MachineError> {
        "attaching the volume".clone_into(&mut self.last);
        self.observer.stage(Phase::Create, Some(format!("attaching volume {volume}")));
        let attached = self.cloud.client.volumes().attach(volume, server).await;
        let attached = attached.map(|action| vec![action]);
        let settled = self.cloud.settled(Operation::AttachVolume, attached).await;
        if let Err(error) = settled {
            // The creation of the server, or another client, may have attached it first.
            let volumes = self.cloud.servers_and_volumes().await?.volumes;
            let is_it = |found: &Volume| found.id == volume && found.server == Some(server);
            if !volumes.iter().any(is_it) {
                return Err(error);
            }
        }
        Ok(Next::Observe)
    }

    async fn power_on(&mut self, server: u64) -> Result<Next, MachineError> {
        if self.purpose != Purpose::Serve {
            return Err(self.silent(name_of(server, &self.observed)));
        }
        "starting the server".clone_into(&mut self.last);
        let detail = "starting it, since the cloud has left it off".to_owned();
        self.observer.stage(Phase::Create, Some(detail));
        let started = self.cloud.client.servers().power_on(server).await;
        let started = started.map(|action| vec![action]);
        match self.cloud.settled(Operation::StartServer, started).await {
            Ok(()) => {}
            Err(error) if !error.is_refusal() => return Err(error),
            Err(error) if self.refused_starts + 1 < MOST_REFUSED_STARTS => {
                let error = with_causes(&error);
                tracing::warn!(error, "the cloud does not start the server");
                self.refused_starts += 1;
                self.pause().await;
            }
            Err(error) => {
                self.last = with_causes(&error);
                self.give_up(server, &self.last).await?;
            }
        }
        Ok(Next::Observe)
    }

    async fn delete(&mut self, server: u64, because: String) -> Result<Next, MachineError> {
        // A list of the cloud may be late, and another client may have started the server since.
        if self.cloud.has_started(server, &self.observed).await? {
            "the server has been started meanwhile".clone_into(&mut self.last);
            self.pause().await;
            return Ok(Next::Observe);
        }
        self.last = format!("removing server {server}: {because}");
        self.give_up(server, &because).await?;
        Ok(Next::Observe)
    }

    async fn connect(&mut self, server: Server) -> Result<Next, MachineError> {
        let attempt = Attempt {
            begun: self.begun,
            purpose: self.purpose,
            creation: self.creation.as_ref().filter(|creation| creation.server == server.id),
            fresh: self.fresh.as_ref().filter(|fresh| fresh.id == server.id),
        };
        let connecting =
            Box::pin(self.cloud.connect(&server, &self.observed, attempt, self.observer));
        let connected = unless_called_off(self.observer, connecting).await;
        match connected {
            Waited::CalledOff => Ok(Next::Plan),
            Waited::For(Ok(ready)) => {
                self.cloud.came_up(self.last_made.as_ref(), &ready, self.stopwatch);
                Ok(Next::Done(Some(Box::new(ready))))
            }
            Waited::For(Err(lost)) => self.not_connected(&server, lost).await,
        }
    }

    async fn not_connected(&mut self, server: &Server, lost: Lost) -> Result<Next, MachineError> {
        match lost {
            Lost::Observe(_) | Lost::Delete(MachineError::Silent { .. })
                if self.purpose != Purpose::Serve =>
            {
                return Err(self.silent(server.name.clone()));
            }
            // Another client replaced or deleted it, or is just replacing its host key.
            Lost::Observe(what) => {
                self.last = what;
                self.pause().await;
            }
            // It has no disk that could be started.
            Lost::CreationFailed(failure) if is_of_the_creation_itself(&failure) => {
                let because = with_causes(&failure);
                self.last = format!("removing server {}: {because}", server.id);
                if let Some(made) = self.last_made.take() {
                    self.cloud.did_not_come_up(&made);
                }
                self.give_up(server.id, &because).await?;
            }
            Lost::CreationFailed(failure) => {
                self.creation = None;
                self.last = with_causes(&failure);
                let (server, failure) = (server.id, &self.last);
                tracing::warn!(server, failure, "the cloud could not create the server as ordered");
            }
            Lost::Delete(error) => {
                let other_image = self.may_try_another_image(server.id, &error);
                self.last = error.to_string();
                if !other_image {
                    self.give_up(server.id, &self.last).await?;
                    return Err(error);
                }
                self.give_up_for_another_image(server.id).await?;
            }
            Lost::Replace(because) => {
                self.last = format!("removing server {}: {because}", server.id);
                self.give_up(server.id, &because).await?;
            }
            Lost::Failed(error) => {
                if !self.may_try_another_image(server.id, &error) {
                    return Err(error);
                }
                self.last = error.to_string();
                self.give_up_for_another_image(server.id).await?;
            }
        }
        Ok(Next::Observe)
    }

    async fn pause(&mut self) {
        unless_called_off(self.observer, self.backoff.pause()).await;
    }

    fn silent(&self, name: String) -> MachineError {
        MachineError::Silent { name, waited: self.begun.elapsed(), source: None }
    }

    async fn give_up(&self, server: u64, because: &str) -> Result<(), MachineError> {
        self.cloud.give_up(server, &self.observed, self.observer, because).await
    }

    async fn give_up_for_another_image(&self, server: u64) -> Result<(), MachineError> {
        let because = format!("{}; retrying from another image", self.last);
        self.give_up(server, &because).await
    }

    /// Whether dockbridge gives up a server that this wake has just created and tries another
    /// image, since it cannot log in. A docker that does not start may be caused by the data on the
    /// volume: that error is reported, whatever the image.
    fn may_try_another_image(&mut self, server: u64, error: &MachineError) -> bool {
        let is_docker = matches!(error, MachineError::Docker { .. });
        let is_of_the_image = is_docker
            || matches!(
                error,
                MachineError::Silent { .. }
                    | MachineError::WrongLogin { .. }
                    | MachineError::HostKey { .. }
            );
        let made = self.last_made.take_if(|made| made.server == server && is_of_the_image);
        made.is_some_and(|made| self.cloud.did_not_come_up(&made) && !is_docker)
    }
}

fn is_of_the_creation_itself(failure: &hetzner::Error) -> bool {
    matches!(failure, hetzner::Error::Action { command, .. } if command == "create_server")
}

fn name_of(server: u64, observed: &Observed) -> String {
    let found = observed.servers.iter().find(|found| found.id == server);
    found.map_or_else(|| format!("server {server}"), |found| found.name.clone())
}
