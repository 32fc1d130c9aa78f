//! Tests of the table with a model of the host's sockets.

mod admission;
mod convergence;
mod dockerd;
mod families;

use std::io;
use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::placement::{NotPlaced, Placed, place};
use crate::publication::{Publication, Twin};
use crate::rules::OnConflict;
use api::Protocol;

fn address(protocol: Protocol, port: u16) -> Address {
    Address { protocol, at: SocketAddr::from(([127, 0, 0, 1], port)) }
}

fn tcp(port: u16) -> Address {
    address(Protocol::Tcp, port)
}

fn container_of(id: &str, wanted: &[(Protocol, u16)]) -> Container {
    let twin = Some(Twin { ip: IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]), claim: Claim::Own });
    let publications = wanted.iter().map(|(protocol, port)| Publication {
        wanted: address(*protocol, *port),
        claim: Claim::Own,
        twin,
        remote: Remote { host: "127.0.0.1".into(), port: *port },
        inside: *port,
    });
    let publications: BTreeMap<Address, Publication> =
        publications.map(|publication| (publication.wanted, publication)).collect();
    Container {
        id: id.into(),
        name: format!("name-{id}"),
        publications: publications.into_values().collect(),
        address: Some(IpAddr::from([172, 17, 0, 2])),
    }
}

fn container(id: &str, ports: &[u16]) -> Container {
    container_of(id, &ports.iter().map(|port| (Protocol::Tcp, *port)).collect::<Vec<_>>())
}

/// The addresses of this computer: those of other programs and those of the table's listeners.
#[derive(Debug, Default)]
struct Host {
    taken: BTreeSet<Address>,
    bound: BTreeMap<Slot, Vec<Address>>,
    on_conflict: OnConflict,
    without_ipv6: bool,
    /// Taken for containers that are about to start.
    reserved: BTreeMap<Slot, Vec<Address>>,
}

impl Host {
    fn is_bound(&self, address: Address) -> bool {
        (self.without_ipv6 && address.at.is_ipv6())
            || self.taken.contains(&address)
            || self
                .bound
                .values()
                .chain(self.reserved.values())
                .flatten()
                .any(|own| own.overlaps(address))
    }

    /// The open addresses.
    fn open(&self) -> BTreeMap<Slot, BTreeSet<Address>> {
        self.bound
            .iter()
            .map(|(slot, addresses)| (slot.clone(), addresses.iter().copied().collect()))
            .collect()
    }

    /// Carries out actions as real sockets would.
    fn carry_out(&mut self, table: &mut Table, actions: Vec<Action>) {
        self.carry_out_now(table, actions);
        for (slot, at) in table.lendable() {
            let address = Address { at, ..slot.wanted };
            if !self.is_bound(address) {
                self.bound
                    .get_mut(&slot)
                    .expect("a lent address belongs to an open listener")
                    .push(address);
                table.lent(&slot, at);
            }
        }
    }

    fn carry_out_now(&mut self, table: &mut Table, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Close(slot) => {
                    assert!(self.bound.remove(&slot).is_some(), "a closed listener was open")
                }
                Action::Yield(slot, at) => {
                    let own = self
                        .bound
                        .get_mut(&slot)
                        .expect("a listener that yields an address is open");
                    own.retain(|address| address.at != at);
                    assert!(!own.is_empty(), "it keeps its own address");
                }
                Action::Open(listening) => self.listen(table, listening),
            }
        }
    }

    fn listen(&mut self, table: &mut Table, listening: Listening) {
        let Slot { wanted, .. } = listening.slot;
        let placed = match self.reserved.remove(&listening.slot) {
            Some(reserved) => Ok(reserved.iter().map(|address| address.at).collect()),
            None => self.place(table, &listening).map(|placed| placed.addresses()),
        };
        match placed {
            Ok(addresses) => {
                self.bound.insert(
                    listening.slot.clone(),
                    addresses.iter().map(|at| Address { at: *at, ..wanted }).collect(),
                );
                table.opened(listening, addresses);
            }
            Err(refused) => drop(table.blocked(listening, refused.error.to_string())),
        }
    }

    fn place(&self, table: &Table, listening: &Listening) -> Result<Placed<()>, NotPlaced> {
        let Slot { wanted, by_hand, .. } = listening.slot;
        place(
            wanted,
            listening.twin,
            if by_hand { OnConflict::Error } else { self.on_conflict },
            |at| {
                let address = Address { at, ..wanted };
                let is_free = table.may_have(listening, at) && !self.is_bound(address);
                match self.without_ipv6 && at.is_ipv6() {
                    true => Err(io::ErrorKind::AddrNotAvailable.into()),
                    false if is_free => Ok(()),
                    false => Err(io::ErrorKind::AddrInUse.into()),
                }
            },
        )
    }
}

#[test]
fn a_late_answer_does_not_restore_an_ended_container() {
    let mut table = Table::default();
    let early = table.ask();
    let late = table.ask();
    assert!(table.observe(late, "a", None).is_empty());
    assert!(table.observe(early, "a", Some(container("a", &[80]))).is_empty());
    assert!(
        table.containers.is_empty(),
        "an ended container is forgotten once no query is in progress"
    );
}

#[test]
fn an_address_passes_to_another_container_when_its_holder_ends() {
    let (mut table, mut host) = (Table::default(), Host::default());
    for id in ["a", "b"] {
        let ticket = table.ask();
        let actions = table.observe(ticket, id, Some(container(id, &[80])));
        host.carry_out(&mut table, actions);
    }
    assert_eq!(table.holder(tcp(80)), Some("a"));
    assert_eq!(table.missing().count(), 1);
    let ticket = table.ask();
    let actions = table.observe(ticket, "a", None);
    host.carry_out(&mut table, actions);
    assert_eq!(table.holder(tcp(80)), Some("b"));
    assert_eq!(table.missing().count(), 0);
}

#[test]
fn a_container_is_found_by_name_id_and_beginning_of_the_id() {
    let mut table = Table::default();
    let ticket = table.ask();
    table.observe(ticket, "abcdef", Some(container("abcdef", &[80])));
    for reference in ["abcdef", "name-abcdef", "/name-abcdef", "abc"] {
        assert_eq!(table.id_of(reference), Some("abcdef"), "{reference}");
    }
    assert_eq!(table.id_of("bcd"), None);
    assert_eq!(table.id_of(""), None);
}

#[test]
fn another_port_is_searched_from_a_thousand_above_with_both_addresses() {
    let mut table = Table::default();
    let mut host = Host { on_conflict: OnConflict::Increment, ..Host::default() };
    let v6 =
        |port: u16| Address { at: SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port)), ..tcp(port) };
    host.taken.extend([tcp(80), tcp(1080), v6(1081)]);
    let ticket = table.ask();
    let actions = table.observe(ticket, "a", Some(container("a", &[80])));
    host.carry_out(&mut table, actions);
    let open: Vec<_> = table.open().flat_map(|open| open.at.clone()).collect();
    assert_eq!(open, [tcp(1082).at, v6(1082).at]);
    // It keeps its port when the wanted one becomes free: a client may know it.
    host.taken.clear();
    let ticket = table.ask();
    assert!(table.observe(ticket, "a", Some(container("a", &[80]))).is_empty());
}

#[test]
fn a_manual_forward_wins_and_returns_the_address() {
    let (mut table, mut host) = (Table::default(), Host::default());
    for (id, ports) in [("a", &[80][..]), ("b", &[])] {
        let ticket = table.ask();
        let actions = table.observe(ticket, id, Some(container(id, ports)));
        host.carry_out(&mut table, actions);
    }
    let forward = Manual { container: "name-b".into(), inside: 3000, twin: None };
    let actions = table.add(tcp(80), forward.clone()).unwrap();
    host.carry_out(&mut table, actions);
    assert_eq!((table.holder(tcp(80)), table.missing().count()), (Some("b"), 1));
    assert!(table.add(tcp(80), forward).is_none());
    let actions = table.remove(tcp(80)).unwrap();
    host.carry_out(&mut table, actions);
    assert_eq!((table.holder(tcp(80)), table.missing().count()), (Some("a"), 0));
    assert!(table.remove(tcp(80)).is_none());
}

#[test]
fn excluded_ports_do_not_appear() {
    let rules = Rules {
        include: vec!["name-*:80-81".parse().unwrap()],
        exclude: vec!["81".parse().unwrap()],
    };
    let mut table = Table::new(rules);
    let ticket = table.ask();
    let actions = table.observe(ticket, "a", Some(container("a", &[80, 81, 82])));
    assert!(
        matches!(&actions[..], [Action::Open(open)] if open.slot.wanted == tcp(80)),
        "{actions:?}"
    );
}

#[derive(Debug)]
enum Answer {
    One(Ticket, String, Option<Container>),
    All(Ticket, Vec<Container>),
}

impl Answer {
    fn arrive(self, table: &mut Table) -> Vec<Action> {
        match self {
            Self::One(ticket, id, seen) => table.observe(ticket, &id, seen),
            Self::All(ticket, seen) => table.resync(ticket, seen),
        }
    }
}

/// The addresses that the table considers open.
fn open_in(table: &Table) -> BTreeMap<Slot, BTreeSet<Address>> {
    let addresses = |open: &Open| {
        open.at.iter().map(|at| Address { at: *at, ..open.listening.slot.wanted }).collect()
    };
    table.open().map(|open| (open.listening.slot.clone(), addresses(open))).collect()
}
