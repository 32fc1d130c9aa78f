mod families;

use std::io;
use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::address::Protocol;
use crate::placement::{NotPlaced, Placed, place};
use crate::publication::Publication;
use crate::rules::OnConflict;

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

/// The addresses of this computer: what other programs have, and what our listeners have.
#[derive(Debug, Default)]
struct Host {
    taken: BTreeSet<Address>,
    ours: BTreeMap<Slot, Vec<Address>>,
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
                .ours
                .values()
                .chain(self.reserved.values())
                .flatten()
                .any(|ours| ours.overlaps(address))
    }

    /// What is open.
    fn open(&self) -> BTreeMap<Slot, BTreeSet<Address>> {
        self.ours
            .iter()
            .map(|(slot, addresses)| (slot.clone(), addresses.iter().copied().collect()))
            .collect()
    }

    /// Carries actions out as the sockets would.
    fn carry_out(&mut self, table: &mut Table, actions: Vec<Action>) {
        self.carry_out_now(table, actions);
        for (slot, at) in table.lendable() {
            let address = Address { at, ..slot.wanted };
            if !self.is_bound(address) {
                self.ours.get_mut(&slot).expect("what is lent to is open").push(address);
                table.lent(&slot, at);
            }
        }
    }

    fn carry_out_now(&mut self, table: &mut Table, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Close(slot) => {
                    assert!(self.ours.remove(&slot).is_some(), "what is closed was open")
                }
                Action::Yield(slot, at) => {
                    let ours = self.ours.get_mut(&slot).expect("what gives an address up is open");
                    ours.retain(|address| address.at != at);
                    assert!(!ours.is_empty(), "it keeps its own address");
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
                self.ours.insert(
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
                let is_had = table.may_have(listening, at) && !self.is_bound(address);
                match self.without_ipv6 && at.is_ipv6() {
                    true => Err(io::ErrorKind::AddrNotAvailable.into()),
                    false if is_had => Ok(()),
                    false => Err(io::ErrorKind::AddrInUse.into()),
                }
            },
        )
    }
}

#[test]
fn a_late_answer_does_not_bring_a_dead_container_back() {
    let mut table = Table::default();
    let early = table.ask();
    let late = table.ask();
    assert!(table.observe(late, "a", None).is_empty());
    assert!(table.observe(early, "a", Some(container("a", &[80]))).is_empty());
    assert!(
        table.containers.is_empty(),
        "nothing is remembered of a dead container once no question is under way"
    );
}

#[test]
fn an_address_passes_to_the_other_container_that_publishes_it_when_its_holder_dies() {
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
        assert_eq!(table.called(reference), Some("abcdef"), "{reference}");
    }
    assert_eq!(table.called("bcd"), None);
    assert_eq!(table.called(""), None);
}

#[test]
fn a_taken_port_is_looked_for_from_a_thousand_above_with_both_its_addresses() {
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
    // It stays where it is when the port becomes free: somebody may have been told.
    host.taken.clear();
    let ticket = table.ask();
    assert!(table.observe(ticket, "a", Some(container("a", &[80]))).is_empty());
}

#[test]
fn a_forward_made_by_hand_wins_and_gives_the_address_back() {
    let (mut table, mut host) = (Table::default(), Host::default());
    for (id, ports) in [("a", &[80][..]), ("b", &[])] {
        let ticket = table.ask();
        let actions = table.observe(ticket, id, Some(container(id, ports)));
        host.carry_out(&mut table, actions);
    }
    let forward = ByHand { container: "name-b".into(), inside: 3000, twin: None };
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

#[derive(Debug, Clone)]
enum Step {
    Start(u8, Vec<(Protocol, u16)>),
    Die(u8),
    /// The engine is asked about a container, once or, as an event may be told twice, several
    /// times; the answers arrive later.
    Ask(u8, u8),
    /// A list is asked for.
    List,
    /// An answer under way arrives, in any order.
    Answer(usize),
    /// An answer is lost.
    Lose(usize),
    /// Some other program takes or frees a port here.
    Take(Protocol, u16),
    Free(Protocol, u16),
    /// A person adds or removes a forward.
    Add(Protocol, u16, u8),
    Remove(Protocol, u16),
    Again,
    Clear,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let port = 1..6u16;
    let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)];
    let ports = prop::collection::vec((protocol.clone(), port.clone()), 0..3);
    let step = prop_oneof![
        3 => (0..4u8, ports).prop_map(|(id, ports)| Step::Start(id, ports)),
        2 => (0..4u8).prop_map(Step::Die),
        5 => (0..4u8, 1..3u8).prop_map(|(id, times)| Step::Ask(id, times)),
        1 => Just(Step::List),
        6 => (0..8usize).prop_map(Step::Answer),
        1 => (0..8usize).prop_map(Step::Lose),
        1 => (protocol.clone(), port.clone()).prop_map(|(protocol, port)| Step::Take(protocol, port)),
        1 => (protocol.clone(), port.clone()).prop_map(|(protocol, port)| Step::Free(protocol, port)),
        1 => (protocol.clone(), port.clone(), 0..4u8).prop_map(|(protocol, port, id)| Step::Add(protocol, port, id)),
        1 => (protocol, port).prop_map(|(protocol, port)| Step::Remove(protocol, port)),
        1 => Just(Step::Again),
        1 => Just(Step::Clear),
    ];
    prop::collection::vec(step, 1..120)
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

/// What the table takes for open.
fn told(table: &Table) -> BTreeMap<Slot, BTreeSet<Address>> {
    let addresses = |open: &Open| {
        open.at.iter().map(|at| Address { at: *at, ..open.listening.slot.wanted }).collect()
    };
    table.open().map(|open| (open.listening.slot.clone(), addresses(open))).collect()
}

fn running(engine: &BTreeMap<String, Option<Container>>) -> Vec<Container> {
    engine.values().flatten().cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn after_a_resync_listeners_equal_what_running_containers_publish(steps in steps(), increment: bool) {
        let rules = Rules { include: Vec::new(), exclude: vec!["5/udp".parse().unwrap(), "name-3:4".parse().unwrap()] };
        let mut table = Table::new(rules.clone());
        let on_conflict = if increment { OnConflict::Increment } else { OnConflict::Error };
        let mut host = Host { on_conflict, ..Host::default() };
        let mut engine: BTreeMap<String, Option<Container>> = BTreeMap::new();
        let mut by_hand: BTreeMap<Address, String> = BTreeMap::new();
        let mut under_way: Vec<Answer> = Vec::new();
        for step in steps {
            let actions = match step {
                Step::Start(id, ports) => {
                    let id = id.to_string();
                    engine.insert(id.clone(), Some(container_of(&id, &ports)));
                    Vec::new()
                }
                Step::Die(id) => { engine.insert(id.to_string(), None); Vec::new() }
                Step::Ask(id, times) => {
                    for _ in 0..times {
                        let id = id.to_string();
                        let ticket = table.ask();
                        let seen = engine.get(&id).cloned().flatten();
                        under_way.push(Answer::One(ticket, id, seen));
                    }
                    Vec::new()
                }
                Step::List => { let ticket = table.ask(); under_way.push(Answer::All(ticket, running(&engine))); Vec::new() }
                Step::Answer(at) if at < under_way.len() => under_way.swap_remove(at).arrive(&mut table),
                Step::Lose(at) if at < under_way.len() => match under_way.swap_remove(at) {
                    Answer::One(ticket, ..) | Answer::All(ticket, _) => { table.abandon(ticket); Vec::new() }
                },
                Step::Answer(_) | Step::Lose(_) => Vec::new(),
                // What is open here cannot be taken by another program.
                Step::Take(protocol, port) => {
                    let address = address(protocol, port);
                    if !host.is_bound(address) { host.taken.insert(address); }
                    Vec::new()
                }
                Step::Free(protocol, port) => { host.taken.remove(&address(protocol, port)); Vec::new() }
                Step::Add(protocol, port, id) => {
                    let (address, reference) = (address(protocol, port), format!("name-{id}"));
                    let added = table.add(address, ByHand { container: reference, inside: 3000, twin: None });
                    prop_assert_eq!(added.is_none(), by_hand.contains_key(&address));
                    by_hand.entry(address).or_insert_with(|| id.to_string());
                    added.unwrap_or_default()
                }
                Step::Remove(protocol, port) => {
                    let removed = table.remove(address(protocol, port));
                    prop_assert_eq!(removed.is_some(), by_hand.remove(&address(protocol, port)).is_some());
                    removed.unwrap_or_default()
                }
                Step::Again => table.again(),
                Step::Clear => {
                    let actions = table.clear();
                    prop_assert!(actions.iter().all(|action| matches!(action, Action::Close(_))));
                    prop_assert!(table.open().next().is_none());
                    actions
                }
            };
            host.carry_out(&mut table, actions);
            prop_assert_eq!(told(&table), host.open(), "the table tells what is open");
            for open in table.open() {
                let slot = &open.listening.slot;
                prop_assert!(table.called(&slot.container).is_some(), "a listener of a container \
                    that is not known to run");
                let claimed = open.at.iter().any(|at| by_hand.contains_key(&Address { at: *at, ..slot.wanted }));
                prop_assert!(slot.by_hand || !claimed, "a published port has what a person gave to \
                    another");
            }
        }
        let ticket = table.ask();
        let actions = table.resync(ticket, running(&engine));
        host.carry_out(&mut table, actions);
        // Whatever was asked earlier and answers now changes nothing.
        for answer in under_way {
            let actions = answer.arrive(&mut table);
            host.carry_out(&mut table, actions);
        }

        let mut wanted: BTreeSet<Slot> = BTreeSet::new();
        for container in running(&engine) {
            for publication in &container.publications {
                if rules.admit(&container.name, publication.wanted.protocol, publication.wanted.at.port()) {
                    wanted.insert(Slot { wanted: publication.wanted, container: container.id.clone(), by_hand: false });
                }
            }
        }
        for (address, id) in &by_hand {
            if engine.get(id).is_some_and(Option::is_some) {
                wanted.insert(Slot { wanted: *address, container: id.clone(), by_hand: true });
            }
        }
        let open: BTreeSet<Slot> = table.open().map(|open| open.listening.slot.clone()).collect();
        let missing: BTreeSet<Slot> = table.missing().map(|(listening, _)| listening.slot.clone()).collect();
        prop_assert!(open.is_disjoint(&missing));
        prop_assert_eq!(open.union(&missing).cloned().collect::<BTreeSet<_>>(), wanted, "each publication is open or told to be missing, and nothing else");
        for open in table.open() {
            let Slot { wanted, by_hand, .. } = &open.listening.slot;
            prop_assert!(open.at[0] == wanted.at || (increment && !by_hand && open.at[0].port() >= wanted.at.port() + 1000));
            prop_assert!(*by_hand || open.at.len() == 2, "both loopbacks");
        }
        for slot in &missing {
            prop_assert!(slot.by_hand || !increment, "another port is always to be had here");
            let claimed = !slot.by_hand && by_hand.contains_key(&slot.wanted);
            prop_assert!(claimed || host.is_bound(slot.wanted), "missing although it could be had");
        }
        prop_assert!(table.asking.is_empty());
        prop_assert!(table.containers.values().all(|entry| entry.running.is_some()));
    }
}
