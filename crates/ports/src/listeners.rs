//! Carries out the table's actions: opens and closes listeners, adds and gives up lent addresses.
//!
//! It decides nothing: the table says which addresses a listener may have.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use lifecycle::Activity;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tunnel::Connector;

use crate::address::Address;
use crate::counters::Counters;
use crate::forward::Forward;
use crate::listen::{self, Socket};
use crate::listening::{Listening, Slot};
use crate::options::Options;
use crate::placement::{NotPlaced, Placed, place};
use crate::rules::{OnConflict, Rules};
use crate::sleepers::Sleepers;
use crate::table::{Action, Table};
use crate::target::Target;
use api::Protocol;

/// An open port with one forward for each of its addresses.
pub(crate) struct Opened {
    target: Arc<Target>,
    forwards: BTreeMap<SocketAddr, Forward>,
    /// Forwards of addresses that were given up: their connections continue while the port is open.
    given_up: Vec<Forward>,
}

impl Opened {
    pub(crate) fn counters(&self) -> &Counters {
        &self.target.counters
    }

    /// Closes the port and resets its connections.
    pub(crate) fn cut(self) {
        self.forwards.into_values().chain(self.given_up).for_each(Forward::cut);
    }
}

/// What listeners need from outside.
pub(crate) struct Environment {
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) activity: Activity,
    pub(crate) options: Options,
    /// One permit for each stream of all forwards.
    pub(crate) places: Arc<Semaphore>,
    pub(crate) tasks: TaskTracker,
}

/// The table, and the sockets in step with it.
pub(crate) struct State {
    pub(crate) table: Table,
    pub(crate) forwards: BTreeMap<Slot, Opened>,
    /// Ports that are taken for a container that is about to start.
    pub(crate) reserved: BTreeMap<Slot, Placed<Socket>>,
    /// Ports of a machine that was taken down.
    pub(crate) sleepers: Sleepers,
}

impl State {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            table: Table::new(rules),
            forwards: BTreeMap::new(),
            reserved: BTreeMap::new(),
            sleepers: Sleepers::default(),
        }
    }

    pub(crate) fn carry_out(&mut self, environment: &Environment, actions: Vec<Action>) {
        self.carry_out_now(environment, actions);
        self.lend(environment);
    }

    /// Does not lend: an address that was given up is for a container that is not in the table yet.
    pub(crate) fn carry_out_now(&mut self, environment: &Environment, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Close(slot) => {
                    tracing::debug!(local = %slot.wanted, "port closed");
                    self.forwards.remove(&slot);
                }
                Action::Yield(slot, at) => {
                    tracing::debug!(local = %slot.wanted, lent = %at, "a lent address returns \
                        to its owner");
                    if let Some(opened) = self.forwards.get_mut(&slot)
                        && let Some(forward) = opened.forwards.remove(&at)
                    {
                        forward.close();
                        opened.given_up.push(forward);
                    }
                }
                Action::Open(listening) => self.open(environment, listening),
            }
        }
    }

    /// Retries listeners that could not be opened before.
    pub(crate) fn retry(&mut self, environment: &Environment) {
        let actions = self.table.again();
        self.carry_out(environment, actions);
    }

    /// Also listens on addresses without an owner. A failure is ignored.
    fn lend(&mut self, environment: &Environment) {
        for (slot, at) in self.table.lendable() {
            let Some(opened) = self.forwards.get_mut(&slot) else { continue };
            let Ok(socket) = listen::listen(Address { at, ..slot.wanted }) else { continue };
            match Forward::open(socket, opened.target.clone(), &environment.tasks) {
                Ok(forward) => {
                    opened.forwards.insert(at, forward);
                    self.table.lent(&slot, at);
                }
                Err(error) => tracing::debug!(%at, %error, "an address cannot be lent"),
            }
        }
    }

    fn open(&mut self, environment: &Environment, listening: Listening) {
        let Slot { wanted, .. } = listening.slot;
        let opened = match (wanted.protocol, environment.connector.without_datagrams()) {
            (Protocol::Udp, Some(why)) => Err(why),
            _ => self
                .try_open(environment, &listening)
                .map_err(|refused| listen::reason(&refused.error, refused.at)),
        };
        match opened {
            Ok(at) => {
                match at.first().filter(|first| first.port() != wanted.at.port()) {
                    Some(chosen) => {
                        let container = &listening.name;
                        tracing::warn!(asked_for = %wanted, %chosen, %container, "a port is in \
                            use here, another was chosen")
                    }
                    None => {
                        tracing::debug!(local = %wanted, container = %listening.name, "port open")
                    }
                }
                self.table.opened(listening, at);
            }
            Err(why) => {
                let (container, reason) = (listening.name.clone(), why.clone());
                // It is retried; the same reason is logged once.
                if self.table.blocked(listening, why) {
                    tracing::warn!(local = %wanted, %container, why = %reason, "a port cannot be \
                        opened here");
                }
            }
        }
    }

    fn try_open(
        &mut self,
        environment: &Environment,
        listening: &Listening,
    ) -> Result<Vec<SocketAddr>, NotPlaced> {
        let slot = &listening.slot;
        let placed = match self.reserved.remove(slot) {
            Some(placed) => placed,
            None => {
                self.sleepers.give_up(slot.wanted.at.port());
                self.place(environment, listening)?
            }
        };
        let at = placed.addresses();
        let target = Arc::new(Target {
            connector: environment.connector.clone(),
            activity: environment.activity.clone(),
            places: environment.places.clone(),
            source: format!(
                "{}:{}",
                listening.name,
                at.first().map_or(slot.wanted.at.port(), SocketAddr::port)
            ),
            remote: listening.remote.clone(),
            is_containers: slot.by_hand,
            counters: Arc::default(),
        });
        let open =
            |(at, socket)| Ok((at, Forward::open(socket, target.clone(), &environment.tasks)?));
        let forwards: io::Result<BTreeMap<SocketAddr, Forward>> =
            placed.sockets.into_iter().map(open).collect();
        let forwards = forwards.map_err(|error| NotPlaced { at: slot.wanted.at, error })?;
        self.forwards.insert(slot.clone(), Opened { target, forwards, given_up: Vec::new() });
        Ok(at)
    }

    /// Opens sockets for the wanted address, or for another port if it is in use and the settings
    /// say so. A manual forward never gets another port.
    pub(crate) fn place(
        &self,
        environment: &Environment,
        listening: &Listening,
    ) -> Result<Placed<Socket>, NotPlaced> {
        let slot = &listening.slot;
        let on_conflict =
            if slot.by_hand { OnConflict::Error } else { environment.options.on_conflict };
        place(slot.wanted, listening.twin, on_conflict, |at| {
            if !self.table.may_have(listening, at) {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            listen::listen(Address { at, ..slot.wanted })
        })
    }
}
