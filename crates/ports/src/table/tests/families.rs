//! Publications of both address families, with fixed numbers and with numbers that the engine
//! chooses, started and restarted side by side: every local address reaches the container that owns
//! its number on the engine, compared with a model of dockerd's allocation.

use engine::{PortBinding, PortMap};
use proptest::prelude::*;

use super::dockerd::{CHOSEN, Dockerd, FIXED, HERE, Publish};
use super::*;
use crate::publication::publications;

#[derive(Debug, Clone)]
enum Step {
    /// A start is requested, and its local ports are taken.
    Reserve(u8, Vec<Publish>),
    /// The engine starts the container.
    Start(u8),
    End(u8),
    Ask(u8),
    List,
    Answer(usize),
    Again,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let host = prop_oneof![
        3 => Just(""),
        3 => Just("0.0.0.0"),
        3 => Just("::"),
        1 => Just("127.0.0.1"),
        1 => Just("::1"),
        1 => Just("127.0.0.2"),
    ];
    let port = prop_oneof![1 => FIXED, 1 => Just(0)];
    let publish =
        (host, port, 80..83u16).prop_map(|(host, port, inside)| Publish { host, port, inside });
    let step = prop_oneof![
        4 => (0..5u8, prop::collection::vec(publish, 1..4))
            .prop_map(|(id, asked)| Step::Reserve(id, asked)),
        4 => (0..5u8).prop_map(Step::Start),
        2 => (0..5u8).prop_map(Step::End),
        4 => (0..5u8).prop_map(Step::Ask),
        1 => Just(Step::List),
        5 => (0..6usize).prop_map(Step::Answer),
        1 => Just(Step::Again),
    ];
    prop::collection::vec(step, 1..100)
}

/// One computer with one engine.
#[derive(Debug, Default)]
struct World {
    engine: Dockerd,
    host: Host,
    table: Table,
    /// The requested ports of each container, and whether it runs.
    asked: BTreeMap<String, (Vec<Publish>, bool)>,
    in_progress: Vec<Answer>,
}

impl World {
    fn runs(&self, id: &str) -> bool {
        self.asked.get(id).is_some_and(|(_, runs)| *runs)
    }

    /// Reserves as `Reservation` does: `false` if a start is refused.
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
                let actions = self.table.yield_for(&slot, Address { at, ..wanted });
                self.host.carry_out_now(&mut self.table, actions);
            }
            let placed = match self.host.place(&self.table, &listening) {
                Ok(placed) => placed,
                Err(refused) if refused.is_missing_family(&listening) => continue,
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

    /// Whether a local engine would refuse it, or another start has it. Without IPv6 `::1` is not
    /// available.
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
                // The engine is queried for containers that have ended, as before a real start.
                let answer = self.list();
                self.arrive(answer);
                if self.reserve(&id, &asked) {
                    self.asked.insert(id, (asked, false));
                } else {
                    self.release(&id);
                    assert!(
                        self.conflicts(&asked),
                        "{asked:?} is refused, and is free: {:?}",
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
                self.in_progress.push(answer);
            }
            Step::List => {
                let answer = self.list();
                self.in_progress.push(answer);
            }
            Step::Answer(at) if at < self.in_progress.len() => {
                let answer = self.in_progress.swap_remove(at);
                self.arrive(answer);
            }
            Step::Answer(_) => {}
            Step::Again => {
                let actions = self.table.again();
                self.host.carry_out(&mut self.table, actions);
            }
        }
    }

    /// The container and port that a connection to this address reaches.
    fn destination(&self, at: SocketAddr) -> Option<(String, u16)> {
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
            || ("none".to_owned(), 0),
            |bound| (bound.container.clone(), bound.inside),
        ))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn each_number_of_each_family_reaches_its_own_container(
        steps in steps(),
        same_number: bool,
        without_ipv6 in prop::bool::weighted(0.2),
    ) {
        let mut world = World {
            engine: Dockerd { same_number, ..Dockerd::default() },
            host: Host { without_ipv6, ..Host::default() },
            ..World::default()
        };
        for step in steps {
            world.take(step.clone());
            let open = open_in(&world.table);
            prop_assert_eq!(open, world.host.open(), "the table knows what is open");
            let known: Vec<Listening> = world.table.desired().into_values().collect();
            for open in world.table.open() {
                for at in open.at.iter().filter(|at| open.listening.is_lent(**at)) {
                    let owner = known.iter().find(|other| {
                        other.slot != open.listening.slot
                            && other.slot.wanted.at.port() == at.port()
                            && other.places(at.port()).any(|own| own == (*at, Claim::Own))
                    });
                    prop_assert!(owner.is_none(), "{at} is lent to {:?} and owned by {owner:?} \
                        after {step:?}", open.listening.slot);
                }
            }
        }
        // All starts have ended, and all answers have arrived.
        let beginning = world.asked.iter().filter(|(_, (_, runs))| !runs);
        let beginning: Vec<String> = beginning.map(|(id, _)| id.clone()).collect();
        for id in beginning {
            world.asked.remove(&id);
            world.release(&id);
        }
        let answer = world.list();
        world.arrive(answer);
        for answer in std::mem::take(&mut world.in_progress) {
            world.arrive(answer);
        }
        for port in FIXED.chain(CHOSEN) {
            for ip in [IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])] {
                let at = SocketAddr::new(ip, port);
                let expected = world.engine.answers(at).filter(|_| !(without_ipv6 && ip.is_ipv6()));
                let expected = expected.map(|bound| (bound.container.clone(), bound.inside));
                let open = open_in(&world.table);
                let bound = &world.engine.bound;
                let destination = world.destination(at);
                prop_assert_eq!(destination, expected, "{} with {:?}; {:?}", at, bound, open);
            }
        }
    }
}
