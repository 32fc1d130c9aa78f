//! Publications of both address families, with fixed numbers and with numbers that the engine
//! chooses, started and restarted side by side: every local address leads to the container that
//! owns its number on the engine, against a model of dockerd's allocation.

use proptest::prelude::*;

use super::*;
use crate::publication::{Here, PortBinding, PortMap, publications};

/// Numbers that requests name, and numbers that the engine chooses.
const FIXED: std::ops::Range<u16> = 1..5;
const CHOSEN: std::ops::Range<u16> = 10..15;
const HERE: Here = Here { bind: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), has: |_| false };

/// `-p HOST:PORT:INSIDE`; port 0 stands for any.
#[derive(Debug, Clone)]
struct Publish {
    host: &'static str,
    port: u16,
    inside: u16,
}

impl Publish {
    fn hosts(&self) -> Vec<IpAddr> {
        match self.host {
            "" => vec![IpAddr::from([0, 0, 0, 0]), IpAddr::from([0; 16])],
            host => vec![host.parse().unwrap()],
        }
    }

    /// What a start asks for by number.
    fn fixed(&self) -> Vec<Address> {
        let port = Some(self.port).filter(|port| *port != 0);
        let address = |port| {
            self.hosts().into_iter().map(move |host| Address {
                protocol: Protocol::Tcp,
                at: SocketAddr::new(host, port),
            })
        };
        port.into_iter().flat_map(address).collect()
    }
}

/// What an engine has bound: one address, and the container port behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bound {
    address: Address,
    container: String,
    inside: u16,
}

/// dockerd's allocation (libnetwork's `portallocator` and `portmapper`): each family has numbers of
/// its own, a request without an address takes both.
#[derive(Debug, Default)]
struct Dockerd {
    bound: Vec<Bound>,
    /// The number that is tried next, for each family.
    next: [u16; 2],
    /// Since Docker 28 one number is chosen for both families.
    same_number: bool,
}

impl Dockerd {
    fn is_bound(&self, address: Address) -> bool {
        self.bound.iter().any(|bound| bound.address.overlaps(address))
    }

    /// All that is asked for, or nothing.
    fn start(&mut self, container: &str, asked: &[Publish]) -> bool {
        let before = self.bound.len();
        let started = asked.iter().all(|publish| self.bind(container, publish));
        if !started {
            self.bound.truncate(before);
        }
        started
    }

    fn bind(&mut self, container: &str, publish: &Publish) -> bool {
        let hosts = publish.hosts();
        let together: Vec<Vec<IpAddr>> = if self.same_number {
            vec![hosts]
        } else {
            hosts.into_iter().map(|host| vec![host]).collect()
        };
        together.into_iter().all(|hosts| {
            let Some(port) = self.number(&hosts, publish.port) else { return false };
            for host in hosts {
                let address = Address { protocol: Protocol::Tcp, at: SocketAddr::new(host, port) };
                self.bound.push(Bound {
                    address,
                    container: container.to_owned(),
                    inside: publish.inside,
                });
            }
            true
        })
    }

    fn number(&mut self, hosts: &[IpAddr], asked: u16) -> Option<u16> {
        let is_free = |port: &u16| {
            let address =
                |host| Address { protocol: Protocol::Tcp, at: SocketAddr::new(host, *port) };
            !hosts.iter().any(|host| self.is_bound(address(*host)))
        };
        if asked != 0 {
            return Some(asked).filter(is_free);
        }
        let family = usize::from(hosts[0].is_ipv6());
        let from = self.next[family];
        let chosen = (0..CHOSEN.end - CHOSEN.start)
            .map(|step| CHOSEN.start + (from + step) % (CHOSEN.end - CHOSEN.start))
            .find(is_free)?;
        self.next[family] = chosen - CHOSEN.start + 1;
        Some(chosen)
    }

    fn end(&mut self, container: &str) {
        self.bound.retain(|bound| bound.container != container);
    }

    /// As the engine answers: `None` for a container that publishes nothing now.
    fn inspect(&self, id: &str) -> Container {
        let mut ports = PortMap::new();
        for bound in self.bound.iter().filter(|bound| bound.container == id) {
            let binding = PortBinding {
                host_ip: bound.address.at.ip().to_string(),
                host_port: bound.address.at.port().to_string(),
            };
            ports
                .entry(format!("{}/tcp", bound.inside))
                .or_default()
                .get_or_insert_default()
                .push(binding);
        }
        Container {
            id: id.to_owned(),
            name: format!("name-{id}"),
            publications: publications(&ports, HERE, None),
            address: None,
        }
    }

    /// Who is behind this address of the machine.
    fn behind(&self, at: SocketAddr) -> Option<&Bound> {
        let address = Address { protocol: Protocol::Tcp, at };
        self.bound.iter().find(|bound| bound.address.overlaps(address))
    }

    /// Who is to answer at a loopback address of this computer: its owner, else whoever has the
    /// number in the other family on all addresses.
    fn answers(&self, at: SocketAddr) -> Option<&Bound> {
        let lends = |bound: &&Bound| {
            let other = bound.address.at;
            other.port() == at.port()
                && other.ip().is_unspecified()
                && other.is_ipv4() != at.is_ipv4()
        };
        self.behind(at).or_else(|| self.bound.iter().find(lends))
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// A start is asked for, and its local ports are taken.
    Reserve(u8, Vec<Publish>),
    /// The engine starts what is asked for.
    Start(u8),
    End(u8),
    Ask(u8),
    List,
    Answer(usize),
    Again,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let host = prop_oneof![
        3 => Just(""), 3 => Just("0.0.0.0"), 3 => Just("::"), 1 => Just("127.0.0.1"), 1 => Just("::1"), 1 => Just("127.0.0.2"),
    ];
    let port = prop_oneof![1 => FIXED, 1 => Just(0)];
    let publish =
        (host, port, 80..83u16).prop_map(|(host, port, inside)| Publish { host, port, inside });
    let step = prop_oneof![
        4 => (0..5u8, prop::collection::vec(publish, 1..4)).prop_map(|(id, asked)| Step::Reserve(id, asked)),
        4 => (0..5u8).prop_map(Step::Start),
        2 => (0..5u8).prop_map(Step::End),
        4 => (0..5u8).prop_map(Step::Ask),
        1 => Just(Step::List),
        5 => (0..6usize).prop_map(Step::Answer),
        1 => Just(Step::Again),
    ];
    prop::collection::vec(step, 1..100)
}

/// One computer in front of one engine.
#[derive(Debug, Default)]
struct World {
    engine: Dockerd,
    host: Host,
    table: Table,
    /// What was asked for, and whether it runs.
    asked: BTreeMap<String, (Vec<Publish>, bool)>,
    under_way: Vec<Answer>,
}

impl World {
    fn runs(&self, id: &str) -> bool {
        self.asked.get(id).is_some_and(|(_, runs)| *runs)
    }

    /// As `Reservation` does: `false` where a start is refused.
    fn reserve(&mut self, id: &str, asked: &[Publish]) -> bool {
        let mut ports = PortMap::new();
        for publish in asked {
            let binding = PortBinding {
                host_ip: publish.host.to_owned(),
                host_port: publish.port.to_string(),
            };
            ports
                .entry(format!("{}/tcp", publish.inside))
                .or_default()
                .get_or_insert_default()
                .push(binding);
        }
        for Publication { wanted, claim, twin, remote, inside } in publications(&ports, HERE, None)
        {
            let slot = Slot { wanted, container: id.to_owned(), by_hand: false };
            let listening = Listening {
                slot: slot.clone(),
                claim,
                twin,
                name: format!("name-{id}"),
                remote,
                inside,
            };
            if self.table.is_open(&slot) || self.host.reserved.contains_key(&slot) {
                continue;
            }
            let own: Vec<_> = listening
                .places(wanted.at.port())
                .filter(|(_, claim)| *claim == Claim::Own)
                .collect();
            for (at, _) in own {
                let actions = self.table.make_way(&slot, Address { at, ..wanted });
                self.host.carry_out_now(&mut self.table, actions);
            }
            let placed = match self.host.place(&self.table, &listening) {
                Ok(placed) => placed,
                Err(refused) if refused.is_for_want_of_a_family(&listening) => continue,
                Err(_) => return false,
            };
            let kept = placed.addresses().into_iter().filter(|at| !listening.is_lent(*at));
            let kept: Vec<Address> = kept.map(|at| Address { at, ..wanted }).collect();
            if !kept.is_empty() {
                self.host.reserved.insert(slot, kept);
            }
        }
        true
    }

    /// Whether an engine here would refuse it, or another start has it. Where there is no IPv6,
    /// `::1` cannot be had.
    fn conflicts(&self, asked: &[Publish]) -> bool {
        let all: Vec<Address> = asked.iter().flat_map(Publish::fixed).collect();
        let reserved =
            |one: &Address| self.host.reserved.values().flatten().any(|other| other.overlaps(*one));
        let twice = all
            .iter()
            .enumerate()
            .any(|(at, one)| all[..at].iter().any(|other| other.overlaps(*one)));
        let missing = self.host.without_ipv6 && asked.iter().any(|publish| publish.host == "::1");
        twice || missing || all.iter().any(|one| self.engine.is_bound(*one) || reserved(one))
    }

    fn release(&mut self, id: &str) {
        self.host.reserved.retain(|slot, _| slot.container != id);
        let actions = self.table.again();
        self.host.carry_out(&mut self.table, actions);
    }

    fn ask(&mut self, id: &str) -> Answer {
        let ticket = self.table.ask();
        let seen = self.runs(id).then(|| self.engine.inspect(id));
        Answer::One(ticket, id.to_owned(), seen)
    }

    fn list(&mut self) -> Answer {
        let ticket = self.table.ask();
        let running = self.asked.keys().filter(|id| self.runs(id));
        Answer::All(ticket, running.map(|id| self.engine.inspect(id)).collect())
    }

    fn arrive(&mut self, answer: Answer) {
        let actions = answer.arrive(&mut self.table);
        self.host.carry_out(&mut self.table, actions);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Reserve(id, asked) => {
                let id = id.to_string();
                if self.asked.contains_key(&id) {
                    return;
                }
                // What the table does not know to have ended is asked about, as before a start
                // here.
                let answer = self.list();
                self.arrive(answer);
                if self.reserve(&id, &asked) {
                    self.asked.insert(id, (asked, false));
                } else {
                    self.release(&id);
                    assert!(
                        self.conflicts(&asked),
                        "{asked:?} is refused, and nobody has it: {:?}",
                        self.host
                    );
                }
            }
            Step::Start(id) => {
                let id = id.to_string();
                let Some((asked, false)) = self.asked.get(&id).cloned() else { return };
                if self.engine.start(&id, &asked) {
                    self.asked.insert(id.clone(), (asked, true));
                    let answer = self.ask(&id);
                    self.arrive(answer);
                } else {
                    self.asked.remove(&id);
                }
                self.release(&id);
            }
            Step::End(id) => {
                let id = id.to_string();
                if self.runs(&id) {
                    self.asked.remove(&id);
                    self.engine.end(&id);
                }
            }
            Step::Ask(id) => {
                let answer = self.ask(&id.to_string());
                self.under_way.push(answer);
            }
            Step::List => {
                let answer = self.list();
                self.under_way.push(answer);
            }
            Step::Answer(at) if at < self.under_way.len() => {
                let answer = self.under_way.swap_remove(at);
                self.arrive(answer);
            }
            Step::Answer(_) => {}
            Step::Again => {
                let actions = self.table.again();
                self.host.carry_out(&mut self.table, actions);
            }
        }
    }

    /// Where a connection to this address leads: container and port of the container.
    fn leads_to(&self, at: SocketAddr) -> Option<(String, u16)> {
        let mut here = self.table.open().filter(|open| {
            open.at.iter().any(|own| {
                Address { protocol: Protocol::Tcp, at: *own }
                    .overlaps(Address { protocol: Protocol::Tcp, at })
            })
        });
        let open = here.next()?;
        assert!(here.next().is_none(), "two listeners at {at}");
        let Remote { host, port } = &open.listening.remote;
        let behind = self.engine.behind(SocketAddr::new(host.parse().unwrap(), *port));
        Some(behind.map_or_else(
            || ("nobody".to_owned(), 0),
            |bound| (bound.container.clone(), bound.inside),
        ))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn each_number_of_each_family_leads_to_its_own_container(steps in steps(), same_number: bool, without_ipv6 in prop::bool::weighted(0.2)) {
        let mut world = World {
            engine: Dockerd { same_number, ..Dockerd::default() },
            host: Host { without_ipv6, ..Host::default() },
            ..World::default()
        };
        for step in steps {
            world.take(step.clone());
            prop_assert_eq!(told(&world.table), world.host.open(), "the table tells what is open");
            let known: Vec<Listening> = world.table.desired().into_values().collect();
            for open in world.table.open() {
                for at in open.at.iter().filter(|at| open.listening.is_lent(**at)) {
                    let owner = known.iter().find(|other| {
                        other.slot != open.listening.slot
                            && other.places(at.port()).any(|(own, claim)| {
                                claim == Claim::Own && other.slot.wanted.at.port() == at.port() && own == *at
                            })
                    });
                    prop_assert!(owner.is_none(), "{at} is lent to {:?} and owned by {owner:?} \
                        after {step:?}", open.listening.slot);
                }
            }
        }
        // All starts have come to an end, and all news has arrived.
        let beginning: Vec<String> = world.asked.iter().filter(|(_, (_, runs))| !runs).map(|(id, _)| id.clone()).collect();
        for id in beginning {
            world.asked.remove(&id);
            world.release(&id);
        }
        let answer = world.list();
        world.arrive(answer);
        for answer in std::mem::take(&mut world.under_way) {
            world.arrive(answer);
        }
        for port in FIXED.chain(CHOSEN) {
            for ip in [IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])] {
                let at = SocketAddr::new(ip, port);
                let expected = world.engine.answers(at).filter(|_| !(without_ipv6 && ip.is_ipv6()));
                let expected = expected.map(|bound| (bound.container.clone(), bound.inside));
                prop_assert_eq!(world.leads_to(at), expected, "{} with {:?}; open: \
                    {:?}", at, world.engine.bound, told(&world.table));
            }
        }
    }
}
