//! Reserves local ports for a container that is about to start.
//!
//! A start whose ports are not available has to fail as Docker's own start fails, before anything
//! runs.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use engine::{ContainerInspect, PortMap};
use thiserror::Error;

use crate::address::Address;
use crate::advice::Asked;
use crate::listen::{TAKEN, reason};
use crate::listening::{Listening, Slot};
use crate::openings::Opening;
use crate::placement::NotPlaced;
use crate::ports::Ports;
use crate::publication::{Claim, Container, Publication};
use api::Protocol;

/// Appended to dockerd's message if a number that was free on the machine is in use here.
const CHOSEN: &str = "The engine chose this number, which is free on the machine and taken on this \
                      computer, so the container was killed. Start it again: the engine chooses \
                      another number";

/// A local port that a container needs is in use. Displays dockerd's message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "driver failed programming external connectivity on endpoint {name} ({id}): Bind for \
    {local} failed: {why}"
)]
pub struct Conflict {
    /// Name of the container.
    pub name: String,
    /// Its full id.
    pub id: String,
    /// The address that is not available.
    pub local: SocketAddr,
    /// `port is already allocated`, or the operating system's message.
    pub why: String,
}

/// Holds local ports for one container. They are released when it is dropped, unless the container
/// runs by then.
#[must_use = "dropping it releases the ports"]
pub struct Reservation {
    ports: Ports,
    reference: String,
    taken: Vec<Slot>,
    asked: Option<Asked>,
}

impl Ports {
    /// Whether every start matters here, even of a container that publishes nothing: a manual
    /// forward may wait for it.
    pub fn minds_every_start(&self) -> bool {
        self.state().table.has_any_manual()
    }

    /// Reserves the local ports that a container requests by number, before it is started.
    /// `reference` is its id or name as in the request. Connections that arrive early wait.
    ///
    /// # Errors
    /// If one of them is in use. An engine that does not know the container, or does not answer, is
    /// no error here: the start itself will report it.
    pub async fn reserve(&self, reference: &str) -> Result<Reservation, Conflict> {
        let mut reservation = Reservation {
            ports: self.clone(),
            reference: reference.to_owned(),
            taken: Vec::new(),
            asked: None,
        };
        match self.engine().inspect(reference).await {
            Ok(Some(inspected)) => reservation.take_all(inspected).await?,
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(%reference, %error, "the ports of a starting container are not \
                    known");
            }
        }
        Ok(reservation)
    }
}

impl Ports {
    /// An address that a container owns and another has here. A reserved address does not count
    /// yet: of two containers that request one number the engine refuses one.
    fn taken_by_others(&self, id: &str) -> Option<(String, SocketAddr)> {
        let state = self.state();
        let reserved = |address: Address| {
            let mut reserved = state.reserved.iter().flat_map(|(slot, placed)| {
                placed.addresses().into_iter().map(|at| Address { at, ..slot.wanted })
            });
            reserved.any(|other| other.overlaps(address))
        };
        let mut taken = state.table.taken_by_others(id);
        let (name, address) = taken.find(|(_, address)| !reserved(*address))?;
        Some((name.to_owned(), address.at))
    }
}

impl Reservation {
    /// The container was started. Ports with a number answer when this returns, without a query to
    /// the engine. Numbers that the engine chose for a self-removing container are queried in the
    /// background ([`Ports::opened`] waits for them), because it may be ending. Those of any other
    /// container are open when this returns, and so is a manual forward that waits for the
    /// container.
    ///
    /// # Errors
    /// Those of [`Reservation::open`].
    pub async fn started(mut self) -> Result<(), Conflict> {
        let Some(asked) = &self.asked else { return self.open().await };
        let Asked { id, name, publications, chooses, removes_itself, .. } = asked;
        if (*chooses && !removes_itself) || self.ports.state().table.has_manual(id, name) {
            return self.open().await;
        }
        if publications.is_empty() && !chooses {
            return Ok(());
        }
        let (id, name) = (id.clone(), name.clone());
        // If the container has ended meanwhile, the query in the background closes them again.
        self.ports.observe_started(Container {
            id: id.clone(),
            name: name.clone(),
            publications: publications.clone(),
            address: None,
        });
        self.reference.clone_from(&id);
        self.open_in_background(id, name);
        Ok(())
    }

    /// The container was started: opens its ports, including those whose number the engine chose.
    /// Returns when they answer.
    ///
    /// # Errors
    /// If a number that the engine chose is in use here. The container is killed: as with a local
    /// engine, nothing runs without its ports.
    pub async fn open(self) -> Result<(), Conflict> {
        let id = match self.ports.refresh(&self.reference).await {
            Ok(id) => id,
            Err(error) => {
                // The events report it, too, once the engine can be queried again.
                let container = &self.reference;
                tracing::warn!(%container, %error, "the ports of a started container are not \
                    known yet");
                return Ok(());
            }
        };
        // The present holder may have ended or changed its number a moment ago, as when several
        // containers are restarted at once.
        let holders = self.ports.state().table.holders_against(&id);
        for holder in holders {
            self.ports.settle(&holder).await;
        }
        let Some((name, local)) = self.ports.taken_by_others(&id) else { return Ok(()) };
        if let Err(error) = self.ports.engine().kill(&id).await {
            tracing::warn!(container = %name, %error, "a container without its ports cannot be \
                killed");
        }
        if let Err(error) = self.ports.refresh(&id).await {
            tracing::debug!(container = %name, %error, "the end of a container without its ports \
                is not known yet");
        }
        let why = format!("{TAKEN}. {CHOSEN}");
        Err(Conflict { name, id, local, why })
    }

    /// Opens the ports of a started container after the answer to its start.
    fn open_in_background(self, id: String, name: String) {
        /// Ends the opening whatever becomes of the task.
        struct End(Ports, Arc<Opening>);
        impl Drop for End {
            fn drop(&mut self) {
                self.0.openings().end(&self.1);
            }
        }
        let opening = self.ports.openings().begin(id, name);
        let end = End(self.ports.clone(), opening.clone());
        let tasks = self.ports.environment().tasks.clone();
        tasks.spawn(async move {
            let _end = end;
            opening.cancelled.run_until_cancelled(self.open()).await;
        });
    }

    /// The engine refused the start: releases the ports.
    pub fn refused(mut self) -> Option<Asked> {
        self.asked.take()
    }

    async fn take_all(&mut self, inspected: ContainerInspect) -> Result<(), Conflict> {
        let asked = Asked::of(&inspected, self.ports.here());
        let (id, name, requested) =
            (asked.id.clone(), asked.name.clone(), asked.publications.clone());
        let exposes = asked.exposes.clone();
        self.asked = Some(asked);
        self.refuse_exposed(&name, &id, &exposes).await?;
        let carries_datagrams = self.ports.environment().connector.without_datagrams().is_none();
        for publication in requested {
            let Address { protocol, at } = publication.wanted;
            // A port that cannot be carried is reported when the container runs, and does not
            // prevent its start.
            let carried = protocol == Protocol::Tcp || carries_datagrams;
            if carried && self.ports.state().table.admits(&name, publication.wanted) {
                self.take(&name, &id, publication).await.map_err(|refused| {
                    let local = if refused.at.port() == at.port() { refused.at } else { at };
                    Conflict {
                        name: name.clone(),
                        id: id.clone(),
                        local,
                        why: reason(&refused.error, local),
                    }
                })?;
            }
        }
        Ok(())
    }

    /// A port on an address that other computers can reach conflicts with `bind`, unless the
    /// machine has this address, too, such as that of a bridge.
    async fn refuse_exposed(
        &self,
        name: &str,
        id: &str,
        bindings: &PortMap,
    ) -> Result<(), Conflict> {
        let mut exposed = self.ports.here().exposed(bindings);
        if exposed.is_empty() {
            return Ok(());
        }
        match self.ports.engine().gateways().await {
            Ok(gateways) => exposed.retain(|address| !gateways.contains(address)),
            Err(error) => tracing::debug!(%error, "the machine's own addresses are not known"),
        }
        let Some(address) = exposed.first() else { return Ok(()) };
        let port = bindings
            .values()
            .flatten()
            .flatten()
            .find(|binding| binding.host_ip == address.to_string());
        let port = port.and_then(|binding| binding.host_port.parse().ok()).unwrap_or(0);
        let why = format!(
            "it could be reached from other computers: set `ports.bind` to {address} or to 0.0.0.0 \
             if that is what you want, or publish on 127.0.0.1"
        );
        Err(Conflict {
            name: name.to_owned(),
            id: id.to_owned(),
            local: SocketAddr::new(*address, port),
            why,
        })
    }

    async fn take(
        &mut self,
        name: &str,
        id: &str,
        publication: Publication,
    ) -> Result<(), NotPlaced> {
        let Publication { wanted, claim, twin, remote, inside } = publication;
        let slot = Slot { wanted, container: id.to_owned(), by_hand: false };
        let listening =
            Listening { slot: slot.clone(), claim, twin, name: name.to_owned(), remote, inside };
        let own: Vec<Address> = (listening.places(wanted.at.port()))
            .filter(|(_, claim)| *claim == Claim::Own)
            .map(|(at, _)| Address { at, ..wanted })
            .collect();
        let holders: BTreeSet<String> = {
            let state = self.ports.state();
            // After a restart the port stays open.
            if state.table.is_open(&slot) {
                return Ok(());
            }
            own.iter().filter_map(|own| state.table.holder(*own)).map(str::to_owned).collect()
        };
        for holder in holders {
            // It may have ended a moment ago, with the event still on its path.
            self.ports.settle(&holder).await;
        }
        let mut state = self.ports.state();
        if state.table.is_open(&slot) || state.reserved.contains_key(&slot) {
            return Ok(());
        }
        state.sleepers.give_up(wanted.at.port());
        for own in own {
            let actions = state.table.yield_for(&slot, own);
            state.carry_out_now(self.ports.environment(), actions);
        }
        let mut placed = match state.place(self.ports.environment(), &listening) {
            Ok(placed) => placed,
            // This computer lacks the family, and the other family's address is in use: `dockbridge
            // ports` shows that.
            Err(refused) if refused.is_missing_family(&listening) => return Ok(()),
            Err(refused) => return Err(refused),
        };
        // A lent address is not withheld from a container that owns it and starts at the same time.
        placed.sockets.retain(|(at, _)| !listening.is_lent(*at));
        if !placed.sockets.is_empty() {
            state.reserved.insert(slot.clone(), placed);
            self.taken.push(slot);
        }
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.ports.state();
        let mut given_back = false;
        for slot in &self.taken {
            given_back |= state.reserved.remove(slot).is_some();
        }
        if given_back {
            state.retry(self.ports.environment());
        }
    }
}
