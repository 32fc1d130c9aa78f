//! What the table asks for is done to sockets here: listeners are opened and closed, lent addresses
//! added and given up.
//!
//! Decides nothing: which addresses a listener may have is the table's word.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::address::{Address, Protocol};
use crate::counters::Counters;
use crate::forward::{Forward, Target};
use crate::listen::{self, Socket};
use crate::placement::{NotPlaced, Placed, place};
use crate::table::{Action, Listening, Slot, Table};
use crate::{OnConflict, Ports, Reserved, State};

/// An open port with one forward for each of its addresses.
pub(crate) struct Opened {
    target: Arc<Target>,
    forwards: BTreeMap<SocketAddr, Forward>,
    /// Of addresses that were given up: their connections go on as long as the port is open.
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

impl Ports {
    pub(crate) fn carry_out(&self, state: &mut State, actions: Vec<Action>) {
        self.carry_out_now(state, actions);
        self.lend(state);
    }

    /// Without lending: what was given up is wanted by somebody who is not in the table yet.
    pub(crate) fn carry_out_now(&self, state: &mut State, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Close(slot) => {
                    tracing::debug!(local = %slot.wanted, "port closed");
                    state.forwards.remove(&slot);
                }
                Action::Yield(slot, at) => {
                    tracing::debug!(local = %slot.wanted, lent = %at, "a lent address goes to the \
                        container that owns it");
                    if let Some(opened) = state.forwards.get_mut(&slot)
                        && let Some(forward) = opened.forwards.remove(&at)
                    {
                        forward.close();
                        opened.given_up.push(forward);
                    }
                }
                Action::Open(listening) => self.open(state, listening),
            }
        }
    }

    /// What could not be had before.
    pub(crate) fn try_again(&self, state: &mut State) {
        let actions = state.table.again();
        self.carry_out(state, actions);
    }

    /// Addresses that nobody owns answer, too. One that is not to be had is left alone.
    fn lend(&self, state: &mut State) {
        for (slot, at) in state.table.lendable() {
            let Some(opened) = state.forwards.get_mut(&slot) else { continue };
            let Ok(socket) = listen::listen(Address { at, ..slot.wanted }) else { continue };
            match Forward::open(socket, opened.target.clone(), &self.0.tasks) {
                Ok(forward) => {
                    opened.forwards.insert(at, forward);
                    state.table.lent(&slot, at);
                }
                Err(error) => tracing::debug!(%at, %error, "an address cannot be lent"),
            }
        }
    }

    fn open(&self, state: &mut State, listening: Listening) {
        let Slot { wanted, .. } = listening.slot;
        let opened = match (wanted.protocol, self.0.connector.without_datagrams()) {
            (Protocol::Udp, Some(why)) => Err(why),
            _ => self
                .try_open(state, &listening)
                .map_err(|refused| listen::reason(&refused.error, refused.at)),
        };
        match opened {
            Ok(at) => {
                match at.first().filter(|first| first.port() != wanted.at.port()) {
                    Some(chosen) => {
                        tracing::warn!(asked_for = %wanted, %chosen, container = %listening.name, "a port is taken here, another was chosen")
                    }
                    None => {
                        tracing::debug!(local = %wanted, container = %listening.name, "port open")
                    }
                }
                state.table.opened(listening, at);
            }
            Err(why) => {
                let (container, told) = (listening.name.clone(), why.clone());
                // It is tried again and again; that is told once.
                if state.table.blocked(listening, why) {
                    tracing::warn!(local = %wanted, %container, why = %told, "a port cannot be \
                        opened here");
                }
            }
        }
    }

    fn try_open(
        &self,
        state: &mut State,
        listening: &Listening,
    ) -> Result<Vec<SocketAddr>, NotPlaced> {
        let slot = &listening.slot;
        let placed = match state.reserved.remove(slot) {
            Some(Reserved(placed)) => placed,
            None => {
                state.sleepers.give_up(slot.wanted.at.port());
                self.place(&state.table, listening)?
            }
        };
        let at = placed.addresses();
        let target = Arc::new(Target {
            connector: self.0.connector.clone(),
            activity: self.0.activity.clone(),
            places: self.0.places.clone(),
            source: format!(
                "{}:{}",
                listening.name,
                at.first().map_or(slot.wanted.at.port(), SocketAddr::port)
            ),
            remote: listening.remote.clone(),
            is_containers: slot.by_hand,
            counters: Arc::default(),
        });
        let open = |(at, socket)| Ok((at, Forward::open(socket, target.clone(), &self.0.tasks)?));
        let forwards: io::Result<BTreeMap<SocketAddr, Forward>> =
            placed.sockets.into_iter().map(open).collect();
        let forwards = forwards.map_err(|error| NotPlaced { at: slot.wanted.at, error })?;
        state.forwards.insert(slot.clone(), Opened { target, forwards, given_up: Vec::new() });
        Ok(at)
    }

    /// Sockets for what is wanted, or for another port where it is taken and the person wants that.
    /// What a person asks for by hand is had or not.
    pub(crate) fn place(
        &self,
        table: &Table,
        listening: &Listening,
    ) -> Result<Placed<Socket>, NotPlaced> {
        let slot = &listening.slot;
        let on_conflict = if slot.by_hand { OnConflict::Error } else { self.0.options.on_conflict };
        place(slot.wanted, listening.twin, on_conflict, |at| {
            if !table.may_have(listening, at) {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            listen::listen(Address { at, ..slot.wanted })
        })
    }
}
