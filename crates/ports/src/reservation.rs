//! Local ports taken for a container that is about to start.
//!
//! A start that cannot have its ports must fail as Docker's own start fails, and before anything
//! runs.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use thiserror::Error;

use crate::address::{Address, Protocol};
use crate::advice::Asked;
use crate::docker::Inspected;
use crate::listen::{TAKEN, reason};
use crate::listening::{Listening, Slot};
use crate::openings::Opening;
use crate::placement::NotPlaced;
use crate::ports::Ports;
use crate::publication::{Claim, Container, PortMap, Publication};

/// Behind dockerd's words, where a number that was free on the machine is taken here.
const CHOSEN: &str = "The engine chose this number, which is free on the machine and taken on this \
    computer, so the container was killed. Start it again: the engine \
                      chooses another number";

/// A local port that a container asks for is taken. Displays as dockerd words it.
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
    /// The address that is not to be had.
    pub local: SocketAddr,
    /// `port is already allocated`, or the operating system's own words.
    pub why: String,
}

/// Holds local ports for one container. They are given back when it is dropped, unless the
/// container runs by then.
#[must_use = "dropping it gives the ports back"]
pub struct Reservation {
    ports: Ports,
    reference: String,
    taken: Vec<Slot>,
    asked: Option<Asked>,
}

impl Ports {
    /// Whether a start matters here although its container publishes nothing: a forward made by
    /// hand may wait for it.
    pub fn minds_every_start(&self) -> bool {
        self.state().table.has_any_by_hand()
    }

    /// Takes the local ports that a container asks for by number, before it is started. `reference`
    /// is its id or name as in the request. Connections that come early wait.
    ///
    /// # Errors
    /// When one of them is taken. An engine that does not know the container, or does not answer,
    /// is no error here: the start itself is going to tell.
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
                tracing::debug!(%reference, %error, "the ports of a container that is to \
                be started are not known")
            }
        }
        Ok(reservation)
    }
}

impl Ports {
    /// An address that a container owns and another has here. What is only reserved is not had yet:
    /// of two that ask for one number the engine refuses one.
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
    /// The container was started. Ports with a number answer when this returns, without a question
    /// to the engine; numbers that the engine chose for a container that removes itself are asked
    /// for behind it ([`Ports::opened`] waits for them), for it may be ending. Any other's are open
    /// when this returns, and so is a forward made by hand that waits for the container.
    ///
    /// # Errors
    /// Those of [`Reservation::open`].
    pub async fn started(mut self) -> Result<(), Conflict> {
        let Some(asked) = &self.asked else { return self.open().await };
        let Asked { id, name, publications, chooses, removes_itself, .. } = asked;
        if (*chooses && !removes_itself) || self.ports.state().table.has_by_hand(id, name) {
            return self.open().await;
        }
        if publications.is_empty() && !chooses {
            return Ok(());
        }
        let (id, name) = (id.clone(), name.clone());
        // Where the container has ended meanwhile, the question behind it closes them again.
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

    /// The container was started: opens its ports, those whose number the engine chose included.
    /// Returns when they answer.
    ///
    /// # Errors
    /// When another has a number here that the engine has chosen. The container is killed: as with
    /// an engine here, nothing runs whose ports are not to be had.
    pub async fn open(self) -> Result<(), Conflict> {
        let id = match self.ports.refresh(&self.reference).await {
            Ok(id) => id,
            Err(error) => {
                // The events tell it too, as soon as the engine can be asked again.
                tracing::warn!(container = %self.reference, %error, "the ports of a started \
                    container are not known yet");
                return Ok(());
            }
        };
        // Who had it may have ended or changed its number a moment ago, as when several are
        // restarted at once.
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

    /// The engine refused the start: gives the ports back.
    pub fn refused(mut self) -> Option<Asked> {
        self.asked.take()
    }

    async fn take_all(&mut self, inspected: Inspected) -> Result<(), Conflict> {
        let asked = Asked::of(&inspected, self.ports.here());
        let (id, name, asked_for) =
            (asked.id.clone(), asked.name.clone(), asked.publications.clone());
        let exposes = asked.exposes.clone();
        self.asked = Some(asked);
        self.keep_to_this_computer(&name, &id, &exposes).await?;
        let carries_datagrams = self.ports.environment().connector.without_datagrams().is_none();
        for publication in asked_for {
            let Address { protocol, at } = publication.wanted;
            // What cannot be carried is told when the container runs, and is no reason not to run
            // it.
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

    /// An address of this computer that others can reach is a conflict with `bind`, unless it is an
    /// address of the machine, too, as that of a bridge is.
    async fn keep_to_this_computer(
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
            // A restart: the port stays open.
            if state.table.is_open(&slot) {
                return Ok(());
            }
            own.iter().filter_map(|own| state.table.holder(*own)).map(str::to_owned).collect()
        };
        for holder in holders {
            // It may have died a moment ago, with the news still on its way.
            self.ports.settle(&holder).await;
        }
        let mut state = self.ports.state();
        if state.table.is_open(&slot) || state.reserved.contains_key(&slot) {
            return Ok(());
        }
        state.sleepers.give_up(wanted.at.port());
        for own in own {
            let actions = state.table.make_way(&slot, own);
            state.carry_out_now(self.ports.environment(), actions);
        }
        let mut placed = match state.place(self.ports.environment(), &listening) {
            Ok(placed) => placed,
            // This computer has not the family, and the other one's address belongs to another:
            // `dockbridge ports` tells.
            Err(refused) if refused.is_for_want_of_a_family(&listening) => return Ok(()),
            Err(refused) => return Err(refused),
        };
        // A lent address is not kept from a container that owns it and starts at the same time.
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
