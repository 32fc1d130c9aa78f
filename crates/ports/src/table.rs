//! The table of listeners: what containers publish, what the user forwards and what is open; it
//! returns the difference as actions.
//!
//! It guarantees that listeners equal what running containers publish, whatever the order in which
//! observations arrive. It knows neither sockets nor Docker: an observation carries the ticket that
//! was drawn before the engine was queried.

mod admission;
mod owners;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::address::Address;
use crate::listen::TAKEN;
use crate::listening::{Listening, Manual, Open, Slot};
use crate::publication::{Claim, Container};
use crate::rules::Rules;
use api::Remote;
use engine::bare_name;

use owners::Owners;

/// Drawn before a query to the engine. Of two answers about one container the one with the later
/// ticket counts: its query was sent after the event that caused the earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// A change of the listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Open this listener. The outcome is reported by [`Table::opened`] or [`Table::blocked`].
    Open(Listening),
    /// Close this listener.
    Close(Slot),
    /// Close one lent address of several: a container that owns it needs it.
    Yield(Slot, SocketAddr),
}

#[derive(Debug)]
struct Entry {
    asked: Ticket,
    /// `None` once it has ended. The entry is kept while older queries are in progress, so that a
    /// late answer cannot restore it.
    running: Option<Container>,
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rules: Rules,
    next_ticket: u64,
    asking: BTreeSet<Ticket>,
    /// Answers to queries older than the last full list are void.
    floor: Option<Ticket>,
    containers: BTreeMap<String, Entry>,
    manual: BTreeMap<Address, Manual>,
    owners: Owners,
    open: BTreeMap<Slot, Open>,
    blocked: BTreeMap<Slot, (Listening, String)>,
}

impl Table {
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Draws a ticket before the engine is queried. It goes to exactly one of `observe`, `resync`
    /// and `abandon`.
    pub(crate) fn ask(&mut self) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.asking.insert(ticket);
        ticket
    }

    /// The query got no answer.
    pub(crate) fn abandon(&mut self, ticket: Ticket) {
        self.asking.remove(&ticket);
        self.prune();
    }

    /// The engine's answer about one container: `None` if it does not run or does not exist.
    pub(crate) fn observe(
        &mut self,
        ticket: Ticket,
        id: &str,
        running: Option<Container>,
    ) -> Vec<Action> {
        self.asking.remove(&ticket);
        let outdated = self.floor.is_some_and(|floor| ticket < floor)
            || self.containers.get(id).is_some_and(|entry| entry.asked > ticket);
        if !outdated {
            self.containers.insert(id.to_owned(), Entry { asked: ticket, running });
        }
        self.prune();
        self.difference()
    }

    /// The full list of running containers. Observations of later queries stay.
    pub(crate) fn resync(&mut self, ticket: Ticket, running: Vec<Container>) -> Vec<Action> {
        self.asking.remove(&ticket);
        if self.floor.is_none_or(|floor| ticket > floor) {
            self.floor = Some(ticket);
            self.containers.retain(|_, entry| entry.asked > ticket);
            for container in running {
                let id = container.id.clone();
                self.containers
                    .entry(id)
                    .or_insert(Entry { asked: ticket, running: Some(container) });
            }
        }
        self.prune();
        self.difference()
    }

    /// There is no machine, so nothing is published. Answers still in progress are void.
    pub(crate) fn clear(&mut self) -> Vec<Action> {
        let now = self.ask();
        self.resync(now, Vec::new())
    }

    /// Adds a manual forward. `None` if there is one at this address.
    pub(crate) fn add(&mut self, address: Address, forward: Manual) -> Option<Vec<Action>> {
        if self.is_claimed(address) {
            return None;
        }
        self.manual.insert(address, forward);
        Some(self.difference())
    }

    /// Removes a manual forward. `None` if there is none at this address.
    pub(crate) fn remove(&mut self, address: Address) -> Option<Vec<Action>> {
        self.manual.remove(&address)?;
        Some(self.difference())
    }

    /// Retries listeners that could not be opened.
    pub(crate) fn again(&mut self) -> Vec<Action> {
        if self.blocked.is_empty() { Vec::new() } else { self.difference() }
    }

    /// Addresses that open listeners could also have, because no container owns them. The caller
    /// tries them after actions were carried out, and now and then, and reports success with
    /// [`Table::lent`]. A listener that had to take another port is tried with that one.
    pub(crate) fn lendable(&self) -> Vec<(Slot, SocketAddr)> {
        let mut lendable = Vec::new();
        for (slot, open) in &self.open {
            let Some(port) = open.at.first().map(SocketAddr::port) else { continue };
            let lacking = open.listening.places(port).filter(|(at, _)| !open.at.contains(at));
            let free = lacking.filter(|(at, _)| self.may_have(&open.listening, *at));
            lendable.extend(free.map(|(at, _)| (slot.clone(), at)));
        }
        lendable
    }

    /// An open listener now has this address, too.
    pub(crate) fn lent(&mut self, slot: &Slot, at: SocketAddr) {
        if let Some(open) = self.open.get_mut(slot) {
            open.at.push(at);
            let places: Vec<SocketAddr> =
                open.listening.places(at.port()).map(|(place, _)| place).collect();
            open.at.sort_by_key(|at| places.iter().position(|place| place == at));
        }
    }

    /// A container that is about to start owns this address: a listener that has it as a lent one
    /// gives it up.
    pub(crate) fn yield_for(&mut self, slot: &Slot, address: Address) -> Vec<Action> {
        self.give_up(|other, at| other != slot && Address { at, ..other.wanted }.overlaps(address))
    }

    /// Whether a listener may have this address: no other manual forward has it, and if it would be
    /// lent, no other listener owns it.
    pub(crate) fn may_have(&self, listening: &Listening, at: SocketAddr) -> bool {
        let Listening { slot, .. } = listening;
        let address = Address { at, ..slot.wanted };
        let claimed = !slot.by_hand && self.is_claimed(address);
        let owned_by_another = listening.is_lent(at) && self.owners.other_than(slot, address);
        !claimed && !owned_by_another
    }

    /// An `Open` was carried out.
    pub(crate) fn opened(&mut self, listening: Listening, at: Vec<SocketAddr>) {
        self.blocked.remove(&listening.slot);
        self.open.insert(listening.slot.clone(), Open { listening, at });
    }

    /// An `Open` failed. It is requested again with the next observation, and by [`Table::again`].
    /// Returns whether the reason is new.
    pub(crate) fn blocked(&mut self, listening: Listening, why: String) -> bool {
        let before = self.blocked.insert(listening.slot.clone(), (listening, why.clone()));
        before.is_none_or(|(_, before)| before != why)
    }

    /// Whether a manual forward has this address, so that a published port may not.
    pub(crate) fn is_claimed(&self, address: Address) -> bool {
        self.manual.keys().any(|claimed| claimed.overlaps(address))
    }

    /// Whether the listener is open.
    pub(crate) fn is_open(&self, slot: &Slot) -> bool {
        self.open.contains_key(slot)
    }

    /// The container that has this local address, and not as a lent one.
    pub(crate) fn holder(&self, address: Address) -> Option<&str> {
        let has = |slot: &Slot, open: &Open| {
            let overlaps = |at: &SocketAddr| Address { at: *at, ..slot.wanted }.overlaps(address);
            open.at.iter().any(|at| !open.listening.is_lent(*at) && overlaps(at))
        };
        self.open
            .iter()
            .find(|(slot, open)| has(slot, open))
            .map(|(slot, _)| slot.container.as_str())
    }

    /// The id of a running container, by full id, name, or the beginning of the id as Docker
    /// accepts it.
    pub(crate) fn id_of(&self, reference: &str) -> Option<&str> {
        self.running(reference).map(|container| container.id.as_str())
    }

    fn running(&self, reference: &str) -> Option<&Container> {
        let running = || self.containers.values().filter_map(|entry| entry.running.as_ref());
        let reference = bare_name(reference);
        running()
            .find(|container| container.id == reference || container.name == reference)
            .or_else(|| {
                running()
                    .find(|container| !reference.is_empty() && container.id.starts_with(reference))
            })
    }

    /// Whether a manual forward waits for this container.
    pub(crate) fn has_manual(&self, id: &str, name: &str) -> bool {
        self.manual
            .values()
            .any(|forward| forward.container == name || id.starts_with(&forward.container))
    }

    /// Whether there are manual forwards.
    pub(crate) fn has_any_manual(&self) -> bool {
        !self.manual.is_empty()
    }

    /// Open listeners, in order of the wanted address.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Open> {
        self.open.values()
    }

    /// Listeners that should be open and are not, with the reason.
    pub(crate) fn missing(&self) -> impl Iterator<Item = (&Listening, &str)> {
        self.blocked.values().map(|(listening, why)| (listening, why.as_str()))
    }

    /// Addresses that a container owns and another has here, with the container's name.
    pub(crate) fn taken_by_others(&self, container: &str) -> impl Iterator<Item = (&str, Address)> {
        let own = self.blocked.values().filter(move |(listening, why)| {
            let Listening { slot, claim, .. } = listening;
            slot.container == container && !slot.by_hand && *claim == Claim::Own && why == TAKEN
        });
        own.map(|(listening, _)| (listening.name.as_str(), listening.slot.wanted))
    }

    /// The containers that have what this one owns.
    pub(crate) fn holders_against(&self, container: &str) -> BTreeSet<String> {
        let taken = self.taken_by_others(container).filter_map(|(_, address)| self.holder(address));
        taken.filter(|holder| *holder != container).map(str::to_owned).collect()
    }

    /// Manual forwards whose container does not run or has no address.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (Address, &Manual)> {
        let connected = |forward: &Manual| {
            self.running(&forward.container).is_some_and(|container| container.address.is_some())
        };
        self.manual
            .iter()
            .filter(move |(_, forward)| !connected(forward))
            .map(|(address, forward)| (*address, forward))
    }

    fn prune(&mut self) {
        if self.asking.is_empty() {
            self.containers.retain(|_, entry| entry.running.is_some());
        }
    }

    /// Closes come first, so that an address can pass from one container to another.
    fn difference(&mut self) -> Vec<Action> {
        let desired = self.desired();
        // The destination identifies a listener; a new name does not change it.
        let wanted = |slot: &Slot, listening: &Listening| {
            desired.get(slot).is_some_and(|desired| desired.remote == listening.remote)
        };
        let displaced = |slot: &Slot, open: &Open| {
            let claimed = |at: &SocketAddr| {
                !open.listening.is_lent(*at) && self.is_claimed(Address { at: *at, ..slot.wanted })
            };
            !slot.by_hand && open.at.iter().any(claimed)
        };
        let gone: Vec<Slot> = (self.open.iter())
            .filter(|(slot, open)| !wanted(slot, &open.listening) || displaced(slot, open))
            .map(|(slot, _)| slot.clone())
            .collect();
        self.blocked.retain(|slot, (listening, _)| wanted(slot, listening));
        for slot in &gone {
            self.open.remove(slot);
        }
        for (slot, open) in &mut self.open {
            if let Some(desired) = desired.get(slot) {
                open.listening.clone_from(desired);
            }
        }
        let claimed: Vec<Address> = self.manual.keys().copied().collect();
        self.owners = Owners::of(desired.values(), &claimed);
        let owners = self.owners.clone();
        let given_up = self.give_up(|slot, at| {
            let address = Address { at, ..slot.wanted };
            owners.other_than(slot, address)
                || (!slot.by_hand && claimed.iter().any(|claimed| claimed.overlaps(address)))
        });
        let open = &self.open;
        gone.into_iter()
            .map(Action::Close)
            .chain(given_up)
            .chain(
                desired
                    .into_iter()
                    .filter(|(slot, _)| !open.contains_key(slot))
                    .map(|(_, listening)| Action::Open(listening)),
            )
            .collect()
    }

    /// Takes lent addresses away. A listener without another address is closed, and requested again
    /// with the next observation.
    fn give_up(&mut self, wanted: impl Fn(&Slot, SocketAddr) -> bool) -> Vec<Action> {
        let mut actions = Vec::new();
        for (slot, open) in &mut self.open {
            let Open { listening, at } = open;
            let lost: Vec<SocketAddr> =
                at.extract_if(.., |at| listening.is_lent(*at) && wanted(slot, *at)).collect();
            if at.is_empty() {
                actions.push(Action::Close(slot.clone()));
                self.blocked.insert(slot.clone(), (listening.clone(), TAKEN.to_owned()));
            } else {
                actions.extend(lost.into_iter().map(|at| Action::Yield(slot.clone(), at)));
            }
        }
        self.open.retain(|_, open| !open.at.is_empty());
        actions
    }

    fn desired(&self) -> BTreeMap<Slot, Listening> {
        let published =
            self.containers.values().filter_map(|entry| entry.running.as_ref()).flat_map(
                |container| {
                    let admitted = container
                        .publications
                        .iter()
                        .filter(|publication| self.admits(&container.name, publication.wanted));
                    admitted.map(|publication| Listening {
                        slot: Slot {
                            wanted: publication.wanted,
                            container: container.id.clone(),
                            by_hand: false,
                        },
                        claim: publication.claim,
                        twin: publication.twin,
                        name: container.name.clone(),
                        remote: publication.remote.clone(),
                        inside: publication.inside,
                    })
                },
            );
        let by_hand = self.manual.iter().filter_map(|(address, forward)| {
            let container = self.running(&forward.container)?;
            Some(Listening {
                slot: Slot { wanted: *address, container: container.id.clone(), by_hand: true },
                claim: Claim::Own,
                twin: forward.twin,
                name: container.name.clone(),
                remote: Remote { host: container.address?.to_string(), port: forward.inside },
                inside: forward.inside,
            })
        });
        published.chain(by_hand).map(|listening| (listening.slot.clone(), listening)).collect()
    }
}
