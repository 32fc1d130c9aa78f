//! Published container ports on localhost.
//!
//! The local port is taken before the container is started, so that a conflict is Docker's own
//! error and nothing runs; it answers before `start` does, and it is closed when the container
//! dies. The engine's events and a full list after every reconnect keep that true for containers
//! that were not started through us.
//!
//! `table` decides which listeners there should be and does no IO; `forward` is one listener, `tcp`
//! and `udp` what passes through it; `docker` asks the engine. Nothing here knows how a machine is
//! reached, nor when it comes and goes: the daemon calls [`Ports::run`] and [`Ports::detach`].

#![forbid(unsafe_code)]

mod address;
mod by_hand;
mod counters;
mod docker;
mod forward;
mod listen;
mod manual;
mod news;
mod opening;
mod openings;
mod placement;
mod publication;
mod relay;
mod reservation;
mod rules;
mod sleepers;
mod status;
mod swarm;
mod table;
mod tcp;
mod udp;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream::{self, TryStreamExt};
use lifecycle::Activity;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tunnel::Connector;

use docker::{Engine, Inspected, Listed, OwnAddress};
use listen::Socket;
use opening::Opened;
use placement::Placed;
use publication::{Container, Here, publications};
use table::{Listening, Slot, Table, Ticket};

pub use address::{Address, Protocol, UnknownProtocol};
pub use by_hand::AddError;
pub use counters::{EndedConnection, Traffic};
pub use docker::EngineError;
pub use manual::{ByHand, Local, NotAForward};
pub use publication::Remote;
pub use reservation::{Asked, Conflict, Reservation};
pub use rules::{OnConflict, Rule, RuleError, Rules};
pub use status::{PortState, PortStatus};

/// Questions under way at once while a burst of events is worked off, as after `compose up`.
const QUESTIONS_AT_ONCE: usize = 8;
/// How often a port that could not be had is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Streams of all forwards together, below the tunnel's 1024: docker commands need some, too.
const MAX_STREAMS: usize = 896;

/// What a person sets.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where ports without an address of their own appear. Only where this is no loopback address
    /// may a forward listen on one that is none.
    pub bind: IpAddr,
    /// What to do when a port is taken here.
    pub on_conflict: OnConflict,
    /// Which ports appear.
    pub rules: Rules,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bind: Ipv4Addr::LOCALHOST.into(),
            on_conflict: OnConflict::default(),
            rules: Rules::default(),
        }
    }
}

/// The published ports of one profile's machine. Cheap to clone; clones share the listeners.
#[derive(Clone)]
pub struct Ports(Arc<Inner>);

struct Inner {
    connector: Arc<dyn Connector>,
    activity: Activity,
    options: Options,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    openings: openings::Openings,
    state: Mutex<State>,
}

struct State {
    table: Table,
    forwards: BTreeMap<Slot, Opened>,
    /// Taken for a container that is about to start.
    reserved: BTreeMap<Slot, Reserved>,
    /// Of a machine that was taken down.
    sleepers: sleepers::Sleepers,
}

struct Reserved(Placed<Socket>);

impl Ports {
    /// Nothing is listened on yet.
    pub fn new(connector: Arc<dyn Connector>, activity: Activity, options: Options) -> Self {
        let state = State {
            table: Table::new(options.rules.clone()),
            forwards: BTreeMap::new(),
            reserved: BTreeMap::new(),
            sleepers: sleepers::Sleepers::default(),
        };
        let places = Arc::new(Semaphore::new(MAX_STREAMS));
        Self(Arc::new(Inner {
            connector,
            activity,
            options,
            places,
            tasks: TaskTracker::new(),
            openings: openings::Openings::default(),
            state: Mutex::new(state),
        }))
    }

    /// Follows the machine's engine until its event stream ends, the path is lost or `shutdown`
    /// comes. To be called each time a path to the engine is there. Listeners stay when it returns:
    /// only [`Ports::detach`] and the death of a container close them.
    ///
    /// # Errors
    /// When the engine cannot be asked; the caller decides when to call again.
    pub async fn run(&self, shutdown: CancellationToken) -> Result<(), EngineError> {
        shutdown.run_until_cancelled(self.follow()).await.unwrap_or(Ok(()))
    }

    async fn follow(&self) -> Result<(), EngineError> {
        // Events first: what happens while the list is on its way is not lost.
        let mut events = self.engine().events().await?;
        self.resync().await?;
        let mut again = interval(TRY_AGAIN);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let news = tokio::select! {
                news = events.next() => news?,
                _ = again.tick() => {
                    let mut state = self.state();
                    self.try_again(&mut state);
                    continue;
                }
            };
            let Some(news) = news else { return Ok(()) };
            if news.services {
                self.resync().await?;
            }
            stream::iter(news.containers.into_iter().map(Ok))
                .try_for_each_concurrent(QUESTIONS_AT_ONCE, |id: String| async move {
                    self.refresh(&id).await.map(drop)
                })
                .await?;
        }
    }

    /// The machine is gone on purpose, and its containers with it: closes every port and resets its
    /// connections. What was published is listed as asleep.
    pub fn detach(&self) {
        self.end_all(None);
    }

    /// The same where the machine goes by itself: published TCP ports go on listening, to tell who
    /// asks by HTTP that their container is asleep.
    pub fn fall_asleep(&self) {
        self.end_all(Some(&self.0.tasks));
    }

    fn end_all(&self, listening_on: Option<&TaskTracker>) {
        self.0.openings.cancel();
        let mut state = self.state();
        let ended: Vec<(Listening, Vec<std::net::SocketAddr>)> = state
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

    /// Closes everything, and returns when nothing of it runs any more.
    pub async fn close(&self) {
        self.detach();
        self.state().sleepers.clear();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// A container was asked to end through us: closes its ports before the answer is passed on.
    /// Costs nothing for one without open ports. Failures are left to the events.
    pub async fn settle(&self, reference: &str) {
        self.opened(Some(reference)).await;
        let id = {
            let state = self.state();
            let holds = |id: &&str| state.forwards.keys().any(|slot| slot.container == *id);
            state.table.called(reference).filter(holds).map(str::to_owned)
        };
        if let Some(id) = id
            && let Err(error) = self.refresh(&id).await
        {
            tracing::debug!(%id, %error, "the state of a container that was asked to end is not \
                known yet");
        }
    }

    /// What is open, and what should be and is not, in order of the local address.
    pub fn list(&self) -> Vec<PortStatus> {
        let state = self.state();
        let open = state.table.open().map(|open| {
            PortStatus::open(open, state.forwards.get(&open.listening.slot).map(Opened::counters))
        });
        let missing =
            state.table.missing().map(|(listening, why)| PortStatus::missing(listening, why));
        let waiting =
            state.table.waiting().map(|(address, forward)| PortStatus::waiting(address, forward));
        let asleep = state
            .sleepers
            .iter()
            .map(|sleeper| PortStatus::asleep(&sleeper.listening, &sleeper.at));
        let mut list: Vec<PortStatus> = open.chain(missing).chain(waiting).chain(asleep).collect();
        list.sort_by_key(|status| (status.local, status.protocol));
        list
    }

    async fn resync(&self) -> Result<(), EngineError> {
        let ticket = self.state().table.ask();
        match self.running().await {
            Ok(running) => {
                let mut state = self.state();
                // Whoever runs again has its port again, and nobody else has one.
                state.sleepers.clear();
                let actions = state.table.resync(ticket, running);
                self.carry_out(&mut state, actions);
                Ok(())
            }
            Err(error) => {
                self.state().table.abandon(ticket);
                Err(error)
            }
        }
    }

    /// Asks about one container and does what follows from it. Returns its full id, where there is
    /// one.
    async fn refresh(&self, reference: &str) -> Result<String, EngineError> {
        let question = Question::new(self);
        let inspected = self.engine().inspect(reference).await?;
        let id = inspected.as_ref().map_or(reference, |inspected| inspected.id.as_str()).to_owned();
        let bridged = match &inspected {
            Some(inspected)
                if inspected.state.running
                    && matches!(inspected.address(), OwnAddress::Overlay(_)) =>
            {
                self.engine().gateway_bridge().await?.remove(&id)
            }
            _ => None,
        };
        question.answered(&id, inspected, bridged.as_ref());
        Ok(id)
    }

    fn here(&self) -> Here {
        Here { bind: self.0.options.bind, has: listen::is_here }
    }

    /// A container was started, and this is what it asked for.
    fn observe_started(&self, container: Container) {
        let mut state = self.state();
        let ticket = state.table.ask();
        let actions = state.table.observe(ticket, &container.id.clone(), Some(container));
        self.carry_out(&mut state, actions);
    }

    fn engine(&self) -> Engine<'_> {
        Engine(&*self.0.connector)
    }

    /// All that publishes ports, or may be forwarded to by hand.
    async fn running(&self) -> Result<Vec<Container>, EngineError> {
        let (listed, services) =
            futures::try_join!(self.engine().list(), self.engine().services())?;
        let overlays =
            listed.iter().any(|listed| matches!(listed.address(), OwnAddress::Overlay(_)));
        let bridged =
            if overlays { self.engine().gateway_bridge().await? } else { BTreeMap::new() };
        let containers = listed.iter().map(|listed| self.listed(listed, bridged.get(&listed.id)));
        Ok(containers
            .chain(services.iter().map(|service| service.as_container(self.here())))
            .collect())
    }

    fn listed(&self, listed: &Listed, bridged: Option<&IpAddr>) -> Container {
        let address = listed.address().with(bridged);
        let publications = publications(&listed.port_map(), self.here(), address);
        Container { id: listed.id.clone(), name: listed.name().to_owned(), publications, address }
    }

    // Every critical section leaves the table and the sockets in step, so a panic elsewhere does
    // not make them wrong.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question to the engine about one container; without an answer its ticket is given back.
struct Question<'a> {
    ports: &'a Ports,
    ticket: Option<Ticket>,
}

impl<'a> Question<'a> {
    fn new(ports: &'a Ports) -> Self {
        Self { ports, ticket: Some(ports.state().table.ask()) }
    }

    fn answered(mut self, id: &str, inspected: Option<Inspected>, bridged: Option<&IpAddr>) {
        let Some(ticket) = self.ticket.take() else { return };
        let running = inspected.filter(|inspected| inspected.state.running).map(|inspected| {
            let address = inspected.address().with(bridged);
            let ports = inspected.network_settings.ports.unwrap_or_default();
            Container {
                publications: publications(&ports, self.ports.here(), address),
                name: inspected.name.trim_start_matches('/').to_owned(),
                id: inspected.id,
                address,
            }
        });
        let mut state = self.ports.state();
        let actions = state.table.observe(ticket, id, running);
        self.ports.carry_out(&mut state, actions);
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.ports.state().table.abandon(ticket);
        }
    }
}
