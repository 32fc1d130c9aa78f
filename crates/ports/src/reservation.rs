//! Local ports taken for a container that is about to start.
//!
//! A start that cannot have its ports must fail as Docker's own start fails, and before anything runs.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use thiserror::Error;

use crate::address::{Address, Protocol};
use crate::docker::Inspected;
use crate::listen::reason;
use crate::placement::NotPlaced;
use crate::publication::{Claim, Container, Here, PortBinding, PortMap, Publication, publications};
use crate::table::{Listening, Slot};
use crate::{Ports, Reserved};

/// A local port that a container asks for is taken. Displays as dockerd words it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("driver failed programming external connectivity on endpoint {name} ({id}): Bind for {local} failed: {why}")]
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

/// Holds local ports for one container. They are given back when it is dropped, unless the container runs by then.
#[must_use = "dropping it gives the ports back"]
pub struct Reservation {
    ports: Ports,
    reference: String,
    taken: Vec<Slot>,
    asked: Option<Asked>,
}

/// What a container asks for, which is fixed when it is created.
struct Asked {
    id: String,
    name: String,
    /// Those with a number.
    publications: Vec<Publication>,
    /// As the engine was told.
    exposes: PortMap,
    /// The engine chooses numbers when the container starts.
    chooses: bool,
}

impl Asked {
    fn of(inspected: &Inspected, here: Here) -> Self {
        let published = inspected.host_config.publishes();
        let bindings = inspected.host_config.port_bindings.clone().filter(|_| published).unwrap_or_default();
        let is_open = |binding: &PortBinding| !matches!(binding.host_port.parse::<u16>(), Ok(1..));
        Self {
            id: inspected.id.clone(),
            name: inspected.name.trim_start_matches('/').to_owned(),
            chooses: (published && inspected.host_config.publish_all_ports) || bindings.values().flatten().flatten().any(is_open),
            publications: publications(&bindings, here, None),
            exposes: bindings,
        }
    }
}

impl Ports {
    /// Whether a start matters here although its container publishes nothing: a forward made by hand may wait for it.
    pub fn minds_every_start(&self) -> bool {
        self.state().table.has_any_by_hand()
    }

    /// Takes the local ports that a container asks for by number, before it is started. `reference` is its id or name as in the request.
    /// Connections that come early wait.
    ///
    /// # Errors
    /// When one of them is taken. An engine that does not know the container, or does not answer, is no error here: the start itself is
    /// going to tell.
    pub async fn reserve(&self, reference: &str) -> Result<Reservation, Conflict> {
        let mut reservation = Reservation { ports: self.clone(), reference: reference.to_owned(), taken: Vec::new(), asked: None };
        match self.engine().inspect(reference).await {
            Ok(Some(inspected)) => reservation.take_all(inspected).await?,
            Ok(None) => {}
            Err(error) => tracing::debug!(%reference, %error, "the ports of a container that is to be started are not known"),
        }
        Ok(reservation)
    }
}

impl Reservation {
    /// The container was started. Ports with a number answer when this returns, without a question to the engine; numbers that the engine chose are
    /// asked for behind it ([`Ports::opened`] waits for them). Where a forward made by hand waits for the container, it is open when this returns.
    pub async fn started(mut self) {
        let Some(asked) = &self.asked else { return self.open().await };
        let Asked { id, name, publications, chooses, .. } = asked;
        if self.ports.state().table.has_by_hand(id, name) {
            return self.open().await;
        }
        if publications.is_empty() && !chooses {
            return;
        }
        let (id, name) = (id.clone(), name.clone());
        // Where the container has ended meanwhile, the question behind it closes them again.
        self.ports.observe_started(Container { id: id.clone(), name: name.clone(), publications: publications.clone(), address: None });
        self.reference.clone_from(&id);
        self.ports.clone().open_behind(self, id, name);
    }

    /// The container was started: opens its ports, those whose number the engine chose included. Returns when they answer.
    pub async fn open(self) {
        if let Err(error) = self.ports.refresh(&self.reference).await {
            // The events tell it too, as soon as the engine can be asked again.
            tracing::warn!(container = %self.reference, %error, "the ports of a started container are not known yet");
        }
    }

    async fn take_all(&mut self, inspected: Inspected) -> Result<(), Conflict> {
        let asked = Asked::of(&inspected, self.ports.here());
        let (id, name, asked_for) = (asked.id.clone(), asked.name.clone(), asked.publications.clone());
        let exposes = asked.exposes.clone();
        self.asked = Some(asked);
        self.keep_to_this_computer(&name, &id, &exposes).await?;
        let carries_datagrams = self.ports.0.connector.without_datagrams().is_none();
        for publication in asked_for {
            let Address { protocol, at } = publication.wanted;
            // What cannot be carried is told when the container runs, and is no reason not to run it.
            let carried = protocol == Protocol::Tcp || carries_datagrams;
            if carried && self.ports.state().table.admits(&name, publication.wanted) {
                self.take(&name, &id, publication).await.map_err(|refused| {
                    let local = if refused.at.port() == at.port() { refused.at } else { at };
                    Conflict { name: name.clone(), id: id.clone(), local, why: reason(&refused.error, local) }
                })?;
            }
        }
        Ok(())
    }

    /// An address of this computer that others can reach is a conflict with `bind`, unless it is an address of the machine, too, as that of a bridge is.
    async fn keep_to_this_computer(&self, name: &str, id: &str, bindings: &PortMap) -> Result<(), Conflict> {
        let mut exposed = self.ports.here().exposed(bindings);
        if exposed.is_empty() {
            return Ok(());
        }
        match self.ports.engine().gateways().await {
            Ok(gateways) => exposed.retain(|address| !gateways.contains(address)),
            Err(error) => tracing::debug!(%error, "the machine's own addresses are not known"),
        }
        let Some(address) = exposed.first() else { return Ok(()) };
        let port = bindings.values().flatten().flatten().find(|binding| binding.host_ip == address.to_string());
        let port = port.and_then(|binding| binding.host_port.parse().ok()).unwrap_or(0);
        let why = format!(
            "it could be reached from other computers: set `ports.bind` to {address} or to 0.0.0.0 if that is what you want, or publish on 127.0.0.1"
        );
        Err(Conflict { name: name.to_owned(), id: id.to_owned(), local: SocketAddr::new(*address, port), why })
    }

    async fn take(&mut self, name: &str, id: &str, publication: Publication) -> Result<(), NotPlaced> {
        let Publication { wanted, claim, twin, remote, inside } = publication;
        let slot = Slot { wanted, container: id.to_owned(), by_hand: false };
        let listening = Listening { slot: slot.clone(), claim, twin, name: name.to_owned(), remote, inside };
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
            self.ports.carry_out_now(&mut state, actions);
        }
        let mut placed = match self.ports.place(&state.table, &listening) {
            Ok(placed) => placed,
            // This computer has not the family, and the other one's address belongs to another: `dockbridge ports` tells.
            Err(refused) if refused.is_for_want_of_a_family(&listening) => return Ok(()),
            Err(refused) => return Err(refused),
        };
        // A lent address is not kept from a container that owns it and starts at the same time.
        placed.sockets.retain(|(at, _)| !listening.is_lent(*at));
        if !placed.sockets.is_empty() {
            state.reserved.insert(slot.clone(), Reserved(placed));
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
            self.ports.try_again(&mut state);
        }
    }
}
