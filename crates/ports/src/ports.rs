//! The published ports of one machine: follows its engine, and opens and closes listeners.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::{ContainerInspect, ContainerSummary, Error};
use futures::stream::{self, TryStreamExt};
use lifecycle::Activity;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tunnel::Connector;

use crate::docker::Engine;
use crate::listen;
use crate::listeners::{Environment, Opened, State};
use crate::listening::Listening;
use crate::openings::Openings;
use crate::options::Options;
use crate::own_address::OwnAddress;
use crate::publication::{Container, Here, publications};
use crate::rules::Rules;
use crate::status;
use crate::swarm::as_container;
use crate::table::Ticket;
use api::PortStatus;

/// Concurrent queries during a burst of events, such as after `compose up`.
const CONCURRENT_QUERIES: usize = 8;
/// How often a port that is not available is retried.
const RETRY: Duration = Duration::from_secs(1);
/// Streams of all forwards together, below the tunnel's 1024, so that docker commands find some
/// free.
const MAX_STREAMS: usize = 896;

/// The published ports of one profile's machine. Cheap to clone; clones share the listeners.
#[derive(Clone)]
pub struct Ports(Arc<Inner>);

struct Inner {
    environment: Environment,
    openings: Openings,
    state: Mutex<State>,
}

impl Ports {
    /// Creates it without listeners.
    pub fn new(connector: Arc<dyn Connector>, activity: Activity, options: Options) -> Self {
        let state = Mutex::new(State::new(options.rules.clone()));
        let environment = Environment {
            connector,
            activity,
            options,
            places: Arc::new(Semaphore::new(MAX_STREAMS)),
            tasks: TaskTracker::new(),
        };
        Self(Arc::new(Inner { environment, openings: Openings::default(), state }))
    }

    /// Follows the machine's engine until its event stream ends, the path is lost, or `shutdown` is
    /// cancelled. The daemon calls it for each new path to the engine. Listeners stay when it
    /// returns: only [`Ports::detach`] and the end of a container close them.
    ///
    /// # Errors
    /// If the engine cannot be queried; the caller decides when to retry.
    pub async fn run(&self, shutdown: CancellationToken) -> Result<(), Error> {
        shutdown.run_until_cancelled(self.follow()).await.unwrap_or(Ok(()))
    }

    async fn follow(&self) -> Result<(), Error> {
        // Events first, so that changes during the list are not lost.
        let mut events = self.engine().events().await?;
        self.resync().await?;
        let mut retry = interval(RETRY);
        retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let changes = tokio::select! {
                changes = events.next() => changes?,
                _ = retry.tick() => {
                    let mut state = self.state();
                    state.retry(self.environment());
                    continue;
                }
            };
            let Some(changes) = changes else { return Ok(()) };
            if changes.services {
                self.resync().await?;
            }
            stream::iter(changes.containers.into_iter().map(Ok))
                .try_for_each_concurrent(CONCURRENT_QUERIES, |id: String| async move {
                    self.refresh(&id).await.map(drop)
                })
                .await?;
        }
    }

    /// The machine was taken down, and its containers with it: closes every port and resets its
    /// connections. Published ports are listed as asleep.
    pub fn detach(&self) {
        self.end_all(None);
    }

    /// The machine ended by itself: does the same as [`Ports::detach`], but published TCP ports
    /// keep listening to answer HTTP clients that their container is asleep.
    pub fn fall_asleep(&self) {
        self.end_all(Some(&self.environment().tasks));
    }

    fn end_all(&self, listening_on: Option<&TaskTracker>) {
        self.0.openings.cancel();
        let mut state = self.state();
        let ended: Vec<(Listening, Vec<SocketAddr>)> = state
            .table
            .open()
            .filter(|open| !open.listening.slot.by_hand)
            .map(|open| (open.listening.clone(), open.at.clone()))
            .collect();
        state.table.clear();
        for (_, opened) in std::mem::take(&mut state.forwards) {
            opened.cut();
        }
        for (listening, at) in ended {
            state.sleepers.add(listening, at, listening_on);
        }
    }

    /// Closes everything. Returns when no task is left.
    pub async fn close(&self) {
        self.detach();
        self.state().sleepers.clear();
        self.environment().tasks.close();
        self.environment().tasks.wait().await;
    }

    /// A client asked a container to end: closes its ports before the answer is forwarded. Costs
    /// nothing for a container without open ports. Failures are left to the events.
    pub async fn settle(&self, reference: &str) {
        self.opened(Some(reference)).await;
        let id = {
            let state = self.state();
            let holds = |id: &&str| state.forwards.keys().any(|slot| slot.container == *id);
            state.table.id_of(reference).filter(holds).map(str::to_owned)
        };
        if let Some(id) = id
            && let Err(error) = self.refresh(&id).await
        {
            tracing::debug!(%id, %error, "the state of an ending container is not known yet");
        }
    }

    /// Other rules hold from now on: ports that they no longer admit close, others open.
    pub fn set_rules(&self, rules: Rules) {
        let mut state = self.state();
        let actions = state.table.set_rules(rules);
        state.carry_out(self.environment(), actions);
    }

    /// The open ports, and those that should be open and are not, in order of the local address.
    pub fn list(&self) -> Vec<PortStatus> {
        let state = self.state();
        let open = state.table.open().map(|open| {
            status::open(open, state.forwards.get(&open.listening.slot).map(Opened::counters))
        });
        let missing = state.table.missing().map(|(listening, why)| status::missing(listening, why));
        let waiting =
            state.table.waiting().map(|(address, forward)| status::waiting(address, forward));
        let asleep =
            state.sleepers.iter().map(|sleeper| status::asleep(&sleeper.listening, &sleeper.at));
        let mut list: Vec<PortStatus> = open.chain(missing).chain(waiting).chain(asleep).collect();
        list.sort_by_key(|status| (status.local, status.protocol));
        list
    }

    async fn resync(&self) -> Result<(), Error> {
        let ticket = self.state().table.ask();
        match self.running().await {
            Ok(running) => {
                let mut state = self.state();
                // A container that runs again has its port again; other ports are not published.
                state.sleepers.clear();
                let actions = state.table.resync(ticket, running);
                state.carry_out(self.environment(), actions);
                Ok(())
            }
            Err(error) => {
                self.state().table.abandon(ticket);
                Err(error)
            }
        }
    }

    /// Inspects one container and updates its listeners. Returns its full id if it exists.
    pub(crate) async fn refresh(&self, reference: &str) -> Result<String, Error> {
        let query = Query::new(self);
        let inspected = self.engine().inspect(reference).await?;
        let id = inspected.as_ref().map_or(reference, |inspected| inspected.id.as_str()).to_owned();
        let bridged = match &inspected {
            Some(inspected)
                if inspected.state.running
                    && matches!(inspected_address(inspected), OwnAddress::Overlay(_)) =>
            {
                self.engine().gateway_bridge().await?.remove(&id)
            }
            _ => None,
        };
        query.answered(&id, inspected, bridged.as_ref());
        Ok(id)
    }

    pub(crate) fn here(&self) -> Here {
        Here { bind: self.environment().options.bind, has: listen::is_here }
    }

    /// Updates the listeners of a container that was started with these publications.
    pub(crate) fn observe_started(&self, container: Container) {
        let mut state = self.state();
        let ticket = state.table.ask();
        let actions = state.table.observe(ticket, &container.id.clone(), Some(container));
        state.carry_out(self.environment(), actions);
    }

    pub(crate) fn engine(&self) -> Engine<'_> {
        Engine(&*self.environment().connector)
    }

    /// All containers and services that publish ports or may have manual forwards.
    async fn running(&self) -> Result<Vec<Container>, Error> {
        let (listed, services) =
            futures::try_join!(self.engine().list(), self.engine().services())?;
        let overlays =
            listed.iter().any(|listed| matches!(listed_address(listed), OwnAddress::Overlay(_)));
        let bridged =
            if overlays { self.engine().gateway_bridge().await? } else { BTreeMap::new() };
        let containers = listed.iter().map(|listed| self.listed(listed, bridged.get(&listed.id)));
        Ok(containers
            .chain(services.iter().map(|service| as_container(service, self.here())))
            .collect())
    }

    fn listed(&self, listed: &ContainerSummary, bridged: Option<&IpAddr>) -> Container {
        let address = listed_address(listed).with(bridged);
        let publications = publications(&listed.port_map(), self.here(), address);
        let name = listed.name().unwrap_or(&listed.id).to_owned();
        Container { id: listed.id.clone(), name, publications, address }
    }

    /// Waits for the openings in progress, 10 s at most: those of one container (by id, the
    /// beginning of its id, or name), or all of them. Returns at once if there are none.
    pub async fn opened(&self, reference: Option<&str>) {
        self.0.openings.wait(reference).await;
    }

    pub(crate) fn openings(&self) -> &Openings {
        &self.0.openings
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.0.environment
    }

    // Every critical section leaves the table and the sockets in step, so a panic elsewhere does
    // not make them wrong.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn listed_address(listed: &ContainerSummary) -> OwnAddress {
    OwnAddress::of(&listed.host_config, &listed.network_settings)
}

fn inspected_address(inspected: &ContainerInspect) -> OwnAddress {
    OwnAddress::of(&inspected.host_config, &inspected.network_settings)
}

/// A query to the engine about one container. Without an answer it abandons its ticket.
struct Query<'a> {
    ports: &'a Ports,
    ticket: Option<Ticket>,
}

impl<'a> Query<'a> {
    fn new(ports: &'a Ports) -> Self {
        Self { ports, ticket: Some(ports.state().table.ask()) }
    }

    fn answered(mut self, id: &str, inspected: Option<ContainerInspect>, bridged: Option<&IpAddr>) {
        let Some(ticket) = self.ticket.take() else { return };
        let running = inspected.filter(|inspected| inspected.state.running).map(|inspected| {
            let address = inspected_address(&inspected).with(bridged);
            let name = inspected.name().to_owned();
            let ports = inspected.network_settings.ports.unwrap_or_default();
            Container {
                publications: publications(&ports, self.ports.here(), address),
                name,
                id: inspected.id,
                address,
            }
        });
        let mut state = self.ports.state();
        let actions = state.table.observe(ticket, id, running);
        state.carry_out(self.ports.environment(), actions);
    }
}

impl Drop for Query<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.ports.state().table.abandon(ticket);
        }
    }
}
