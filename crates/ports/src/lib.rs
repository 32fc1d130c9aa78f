//! Published container ports on localhost.
//!
//! The local port is taken before the container is started, so that a conflict is Docker's own error and nothing runs; it answers before
//! `start` does, and it is closed when the container dies. The engine's events and a full list after every reconnect keep that true for
//! containers that were not started through us.
//!
//! `table` decides which listeners there should be and does no IO; `forward` is one listener; `docker` asks the engine. Nothing here
//! knows how a machine is reached, nor when it comes and goes: the daemon calls [`Ports::run`] and [`Ports::detach`].

#![forbid(unsafe_code)]

mod docker;
mod forward;
mod publication;
mod reservation;
mod status;
mod table;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::stream::{self, TryStreamExt};
use lifecycle::Activity;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tunnel::Connector;

use docker::{Engine, Inspected, Listed};
use forward::{Forward, Target};
use publication::{Container, publications};
use table::{Action, Listening, Table, Ticket};

pub use docker::EngineError;
pub use publication::Remote;
pub use reservation::{Conflict, Reservation};
pub use status::{PortState, PortStatus};

/// Questions under way at once while a burst of events is worked off, as after `compose up`.
const QUESTIONS_AT_ONCE: usize = 8;

/// The published ports of one profile's machine. Cheap to clone; clones share the listeners.
#[derive(Clone)]
pub struct Ports(Arc<Inner>);

struct Inner {
    connector: Arc<dyn Connector>,
    activity: Activity,
    bind: IpAddr,
    tasks: TaskTracker,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    table: Table,
    forwards: BTreeMap<SocketAddr, Forward>,
    /// Taken for a container that is about to start.
    reserved: BTreeMap<SocketAddr, Reserved>,
}

struct Reserved {
    container: String,
    listener: std::net::TcpListener,
}

impl Ports {
    /// Nothing is listened on yet. `bind` is where ports without an address of their own appear.
    pub fn new(connector: Arc<dyn Connector>, activity: Activity, bind: IpAddr) -> Self {
        Self(Arc::new(Inner { connector, activity, bind, tasks: TaskTracker::new(), state: Mutex::default() }))
    }

    /// The address to bind to where the settings say nothing.
    pub const DEFAULT_BIND: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// Follows the machine's engine until its event stream ends, the path is lost or `shutdown` comes. To be called each time a path to the
    /// engine is there. Listeners stay when it returns: only [`Ports::detach`] and the death of a container close them.
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
        while let Some(ids) = events.next().await? {
            stream::iter(ids.into_iter().map(Ok))
                .try_for_each_concurrent(QUESTIONS_AT_ONCE, |id: String| async move { self.refresh(&id).await })
                .await?;
        }
        Ok(())
    }

    /// The machine is gone on purpose, and its containers with it: closes every port and resets its connections.
    pub fn detach(&self) {
        let mut state = self.state();
        state.table.clear();
        for (_, forward) in std::mem::take(&mut state.forwards) {
            forward.cut();
        }
    }

    /// Closes everything, and returns when nothing of it runs any more.
    pub async fn close(&self) {
        self.detach();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// A container was asked to end through us: closes its ports before the answer is passed on. Costs nothing for one without open ports.
    /// Failures are left to the events.
    pub async fn settle(&self, reference: &str) {
        let id = self.state().table.called(reference).map(str::to_owned);
        if let Some(id) = id
            && let Err(error) = self.refresh(&id).await
        {
            tracing::debug!(%id, %error, "the state of a container that was asked to end is not known yet");
        }
    }

    /// What is open, and what should be and is not, in order of the local address.
    pub fn list(&self) -> Vec<PortStatus> {
        let state = self.state();
        let open = state.table.open().map(|listening| PortStatus::open(listening, state.forwards.get(&listening.local)));
        let missing = state.table.missing().filter(|(listening, _)| !listening.optional);
        let mut list: Vec<PortStatus> = open.chain(missing.map(|(listening, why)| PortStatus::missing(listening, why))).collect();
        list.sort_by_key(|status| status.local);
        list
    }

    async fn resync(&self) -> Result<(), EngineError> {
        let ticket = self.state().table.ask();
        match self.engine().list().await {
            Ok(running) => {
                let running = running.iter().map(|listed| self.listed(listed)).collect();
                let mut state = self.state();
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

    /// Asks about one container and does what follows from it.
    async fn refresh(&self, reference: &str) -> Result<(), EngineError> {
        let question = Question::new(self);
        let inspected = self.engine().inspect(reference).await?;
        let id = inspected.as_ref().map_or(reference, |inspected| inspected.id.as_str()).to_owned();
        question.answered(&id, inspected);
        Ok(())
    }

    fn engine(&self) -> Engine<'_> {
        Engine(&*self.0.connector)
    }

    fn listed(&self, listed: &Listed) -> Container {
        let publications = publications(&listed.port_map(), self.0.bind);
        Container { id: listed.id.clone(), name: listed.name().to_owned(), publications }
    }

    fn carry_out(&self, state: &mut State, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Close(local) => {
                    tracing::debug!(%local, "port closed");
                    state.forwards.remove(&local);
                }
                Action::Open(listening) => self.open(state, listening),
            }
        }
    }

    fn open(&self, state: &mut State, listening: Listening) {
        let reserved = state.reserved.remove(&listening.local);
        let listener = match reserved {
            Some(reserved) if reserved.container == listening.container => Ok(reserved.listener),
            Some(other) => {
                state.reserved.insert(listening.local, other);
                Err(std::io::ErrorKind::AddrInUse.into())
            }
            None => reservation::listen(listening.local),
        };
        let target = Target {
            connector: self.0.connector.clone(),
            activity: self.0.activity.clone(),
            source: format!("{}:{}", listening.name, listening.local.port()),
            remote: listening.remote.clone(),
        };
        match listener.and_then(|listener| Forward::open(listener, target, &self.0.tasks)) {
            Ok(forward) => {
                tracing::debug!(local = %listening.local, container = %listening.name, "port open");
                state.forwards.insert(listening.local, forward);
                state.table.opened(listening);
            }
            Err(error) => {
                if !listening.optional {
                    tracing::warn!(local = %listening.local, container = %listening.name, %error, "a published port cannot be opened here");
                }
                state.table.blocked(listening, reservation::reason(&error));
            }
        }
    }

    // Every critical section leaves the table and the sockets in step, so a panic elsewhere does not make them wrong.
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

    fn answered(mut self, id: &str, inspected: Option<Inspected>) {
        let Some(ticket) = self.ticket.take() else { return };
        let running = inspected.filter(|inspected| inspected.state.running).map(|inspected| Container {
            publications: publications(&inspected.network_settings.ports.unwrap_or_default(), self.ports.0.bind),
            name: inspected.name.trim_start_matches('/').to_owned(),
            id: inspected.id,
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
