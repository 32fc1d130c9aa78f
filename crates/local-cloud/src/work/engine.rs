//! Runs chains of actions: each waits for its turn, works through the hypervisor, takes its
//! minimum time and ends; the last one releases the locks. Every task is tracked, so that closing
//! leaves none behind.

mod events;
mod resumption;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::effect::{Effect, Turns};
use super::pace::Durations;
use super::samples::Samples;
use super::{Chain, ChainFault, Step, StepOutcome, Work, settle_firewalls};
use crate::catalogue::Catalogue;
use crate::hypervisor::Hypervisor;
use crate::state::action::ActionError;
use crate::state::{Id, Project, ServerStatus, World};

/// How long a system may take to obey the power button at a reboot before the power is cut.
const OBEYS_WITHIN: Duration = Duration::from_secs(30);

/// Interval of polling.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The state, and the tasks that change it.
pub(crate) struct Engine {
    world: Mutex<World>,
    pub(crate) catalogue: Catalogue,
    pub(crate) hypervisor: Arc<dyn Hypervisor>,
    durations: Durations,
    turns: Turns,
    pub(crate) samples: Mutex<Samples>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    /// Notified after every change; the saver waits for it.
    pub(crate) changed: Notify,
    /// Each late device that has not appeared yet holds a receiver.
    late_devices: watch::Sender<()>,
}

impl Engine {
    pub(crate) fn new(
        world: World,
        catalogue: Catalogue,
        hypervisor: Arc<dyn Hypervisor>,
        durations: Durations,
    ) -> Engine {
        Engine {
            world: Mutex::new(world),
            catalogue,
            hypervisor,
            durations,
            turns: Turns::default(),
            samples: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            changed: Notify::new(),
            late_devices: watch::Sender::default(),
        }
    }

    /// Everything that exists. Never held across an await.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs chains whose locks are already set.
    pub(crate) fn spawn(self: &Arc<Self>, chains: Vec<Chain>) {
        self.changed.notify_one();
        for chain in chains {
            let engine = Arc::clone(self);
            self.tasks.spawn(async move {
                let stop = engine.stop.clone();
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = Box::pin(engine.run(chain)) => {}
                }
            });
        }
    }

    /// Runs an effect that belongs to no action, such as the removal of a deleted volume's data.
    pub(crate) fn spawn_effect(self: &Arc<Self>, effect: Effect) {
        let engine = Arc::clone(self);
        self.tasks.spawn(async move {
            let stop = engine.stop.clone();
            tokio::select! {
                () = stop.cancelled() => {}
                _ = Box::pin(engine.perform(effect)) => {}
            }
        });
    }

    pub(crate) async fn run(self: Arc<Self>, chain: Chain) {
        let mut failed: Option<ActionError> = None;
        for (at, step) in chain.steps.iter().enumerate() {
            self.wait_before(at, step, chain.chain_fault).await;
            let step_outcome = chain.chain_fault.step_outcome(at, &step.work);
            let result = match &failed {
                Some(error) => Err(error.clone()),
                None => self.carry_out(&chain, step, &step_outcome).await,
            };
            let follow_up = self.finish(&chain, step, &result, chain.steps.get(at + 1));
            failed = result.err().filter(|_| !matches!(step_outcome, StepOutcome::FailsAlone(_)));
            self.spawn(follow_up);
            if let (Work::Attach { volume, server, late: Some(late), .. }, None) =
                (&step.work, &failed)
            {
                self.spawn_late_device(chain.project.clone(), *volume, *server, late.by);
            }
        }
    }

    async fn wait_before(&self, at: usize, step: &Step, chain_fault: ChainFault) {
        match (chain_fault, &step.work) {
            (ChainFault::Hangs(time), _) if at == 0 => tokio::time::sleep(time).await,
            (ChainFault::StartsLate(time), Work::Start(_)) => tokio::time::sleep(time / 2).await,
            _ => {}
        }
    }

    /// Runs the effects of one step, for at least the duration of its action.
    async fn carry_out(
        &self,
        chain: &Chain,
        step: &Step,
        step_outcome: &StepOutcome,
    ) -> Result<Option<u64>, ActionError> {
        let least = self.durations.least(&step.work);
        let begun = self.begin(chain, step, least, step_outcome);
        let work = async {
            let mut size = None;
            for effect in begun? {
                size = self.perform(effect).await?.or(size);
            }
            if let (ChainFault::StartsLate(time), &Work::CreateServer { server, .. }) =
                (chain.chain_fault, &step.work)
            {
                self.with_server(server, |s| s.status = ServerStatus::Off);
                tokio::time::sleep(time / 2).await;
            }
            Ok::<_, ActionError>(size)
        };
        let (result, ()) = tokio::join!(work, tokio::time::sleep(least));
        result
    }

    fn begin(
        &self,
        chain: &Chain,
        step: &Step,
        least: Duration,
        step_outcome: &StepOutcome,
    ) -> Result<Vec<Effect>, ActionError> {
        let mut world = self.world();
        let project = world.projects.entry(chain.project.clone()).or_default();
        if let Some(action) = step.action.and_then(|id| project.actions.get_mut(&id)) {
            action.begun = Some((Timestamp::now(), least));
        }
        match step_outcome {
            StepOutcome::Fails(error) | StepOutcome::FailsAlone(error) => Err(error.clone()),
            StepOutcome::IsSkipped => Ok(Vec::new()),
            StepOutcome::IsDone => step.work.begin(project, &self.catalogue),
        }
    }

    /// Records the end of an action. In the same moment the locks pass to the next one, or are
    /// released after the last one: a client that saw the end must not meet them any more.
    fn finish(
        &self,
        chain: &Chain,
        step: &Step,
        result: &Result<Option<u64>, ActionError>,
        next: Option<&Step>,
    ) -> Vec<Chain> {
        let mut world = self.world();
        let World { ids, projects } = &mut *world;
        let project = projects.entry(chain.project.clone()).or_default();
        let now = Timestamp::now();
        step.work.finish(project, &self.catalogue, result.as_ref().copied());
        if let Work::Rebuild { server, .. } = step.work {
            self.refresh_address(project, server);
        }
        if let Some(action) = step.action.and_then(|id| project.actions.get_mut(&id)) {
            if let Err(error) = result {
                tracing::info!(
                    action = action.id,
                    command = action.command,
                    code = error.code,
                    message = error.message,
                    "an action failed"
                );
            }
            action.end(result.clone().map(|_| ()), now);
        }
        if let Some(next) = next {
            // A firewall between the creation of a server and its start belongs to the creation.
            if let Some(id) =
                next.action.filter(|_| !matches!(next.work, Work::ApplyFirewall { .. }))
            {
                project.locks.extend(chain.holds.iter().map(|held| (*held, id)));
            }
            return Vec::new();
        }
        for held in &chain.holds {
            project.locks.remove(held);
        }
        // After a failure the difference remains: retrying at once would never end.
        if result.is_err() {
            return Vec::new();
        }
        settle_firewalls(&chain.project, project, |project, command, resources| {
            let id = ids.take();
            project.record(id, command, resources, now);
            id
        })
    }

    /// A machine that was created again, or in another run of this host, may have another address.
    fn refresh_address(&self, project: &mut Project, server: Id) {
        let Some(address) = project.servers.get_mut(&server).and_then(|s| s.ipv4.as_mut()) else {
            return;
        };
        match self.hypervisor.reserve_address(server) {
            Ok(ip) => address.ip = ip,
            Err(failure) => {
                tracing::warn!(server, cause = failure.cause, "cannot reserve the server's address")
            }
        }
    }

    fn with_server<T>(
        &self,
        server: Id,
        look: impl FnOnce(&mut crate::state::Server) -> T,
    ) -> Option<T> {
        self.world().projects.values_mut().find_map(|p| p.servers.get_mut(&server)).map(look)
    }

    pub(crate) async fn perform(&self, effect: Effect) -> Result<Option<u64>, ActionError> {
        if let Effect::AwaitOff(server) = effect {
            let obeyed = async {
                while self.with_server(server, |s| s.status) != Some(ServerStatus::Off) {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
            };
            // The next effect powers off a system that does not obey.
            let _ = tokio::time::timeout(OBEYS_WITHIN, obeyed).await;
            return Ok(None);
        }
        let turn = self.turns.take(&effect).await;
        let result = effect.perform(self.hypervisor.as_ref()).await;
        drop(turn);
        result.map_err(|failure| {
            tracing::warn!(what = failure.what, cause = failure.cause, "the hypervisor failed");
            ActionError::failed(failure.to_string())
        })
    }

    /// Late devices appear now. Returns their number.
    pub(crate) fn show_late_devices(&self) -> usize {
        let late = self.late_devices.receiver_count();
        self.late_devices.send_replace(());
        late
    }

    fn spawn_late_device(
        self: &Arc<Self>,
        project: String,
        volume: Id,
        server: Id,
        late: Duration,
    ) {
        let engine = Arc::clone(self);
        let mut shown = self.late_devices.subscribe();
        self.tasks.spawn(async move {
            let stop = engine.stop.clone();
            let appear = async {
                tokio::select! {
                    () = tokio::time::sleep(late) => {}
                    // The sender lives as long as the engine.
                    _ = shown.changed() => {}
                }
                drop(shown);
                let still_there = engine
                    .world()
                    .projects
                    .get(&project)
                    .and_then(|p| p.volumes.get(&volume))
                    .is_some_and(|v| v.server == Some(server));
                if still_there {
                    // `perform` logs the error; no action is left to fail.
                    let _ = engine.perform(Effect::Attach { volume, server }).await;
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = appear => {}
            }
        });
    }
}

#[cfg(test)]
mod tests;
