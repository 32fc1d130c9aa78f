//! The table's guarantee: after a full list, listeners equal what running containers publish,
//! whatever happened before and in whatever order answers arrived.

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Start(u8, Vec<(Protocol, u16)>),
    Die(u8),
    /// The engine is queried about a container, once or, because an event may arrive twice, several
    /// times; the answers arrive later.
    Ask(u8, u8),
    /// A list is requested.
    List,
    /// An answer in progress arrives, in any order.
    Answer(usize),
    /// An answer is lost.
    Lose(usize),
    /// Another program takes or frees a port here.
    Take(Protocol, u16),
    Free(Protocol, u16),
    /// The user adds or removes a manual forward.
    Add(Protocol, u16, u8),
    Remove(Protocol, u16),
    Again,
    Clear,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let port = 1..6u16;
    let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)];
    let at = (protocol, port);
    let ports = prop::collection::vec(at.clone(), 0..3);
    let step = prop_oneof![
        3 => (0..4u8, ports).prop_map(|(id, ports)| Step::Start(id, ports)),
        2 => (0..4u8).prop_map(Step::Die),
        5 => (0..4u8, 1..3u8).prop_map(|(id, times)| Step::Ask(id, times)),
        1 => Just(Step::List),
        6 => (0..8usize).prop_map(Step::Answer),
        1 => (0..8usize).prop_map(Step::Lose),
        1 => at.clone().prop_map(|(protocol, port)| Step::Take(protocol, port)),
        1 => at.clone().prop_map(|(protocol, port)| Step::Free(protocol, port)),
        1 => (at.clone(), 0..4u8).prop_map(|((protocol, port), id)| Step::Add(protocol, port, id)),
        1 => at.prop_map(|(protocol, port)| Step::Remove(protocol, port)),
        1 => Just(Step::Again),
        1 => Just(Step::Clear),
    ];
    prop::collection::vec(step, 1..120)
}

fn running(engine: &BTreeMap<String, Option<Container>>) -> Vec<Container> {
    engine.values().flatten().cloned().collect()
}

struct World {
    rules: Rules,
    increment: bool,
    table: Table,
    host: Host,
    engine: BTreeMap<String, Option<Container>>,
    manual: BTreeMap<Address, String>,
    in_progress: Vec<Answer>,
}

impl World {
    fn new(increment: bool) -> Self {
        let exclude = vec!["5/udp".parse().unwrap(), "name-3:4".parse().unwrap()];
        let rules = Rules { include: Vec::new(), exclude };
        let on_conflict = if increment { OnConflict::Increment } else { OnConflict::Error };
        Self {
            table: Table::new(rules.clone()),
            host: Host { on_conflict, ..Host::default() },
            rules,
            increment,
            engine: BTreeMap::new(),
            manual: BTreeMap::new(),
            in_progress: Vec::new(),
        }
    }

    fn take(&mut self, step: Step) {
        let actions = self.actions(step);
        self.host.carry_out(&mut self.table, actions);
        assert_eq!(open_in(&self.table), self.host.open(), "the table knows what is open");
        for open in self.table.open() {
            let slot = &open.listening.slot;
            let known = self.table.id_of(&slot.container).is_some();
            assert!(known, "a listener of a container that is not known to run");
            let is_manual =
                |at: &SocketAddr| self.manual.contains_key(&Address { at: *at, ..slot.wanted });
            let claimed = open.at.iter().any(is_manual);
            assert!(slot.by_hand || !claimed, "a published port has the address of a manual one");
        }
    }

    fn actions(&mut self, step: Step) -> Vec<Action> {
        match step {
            Step::Start(id, ports) => {
                let id = id.to_string();
                self.engine.insert(id.clone(), Some(container_of(&id, &ports)));
            }
            Step::Die(id) => drop(self.engine.insert(id.to_string(), None)),
            Step::Ask(id, times) => {
                for _ in 0..times {
                    let id = id.to_string();
                    let ticket = self.table.ask();
                    let seen = self.engine.get(&id).cloned().flatten();
                    self.in_progress.push(Answer::One(ticket, id, seen));
                }
            }
            Step::List => {
                let ticket = self.table.ask();
                self.in_progress.push(Answer::All(ticket, running(&self.engine)));
            }
            Step::Answer(at) if at < self.in_progress.len() => {
                return self.in_progress.swap_remove(at).arrive(&mut self.table);
            }
            Step::Lose(at) if at < self.in_progress.len() => {
                let (Answer::One(ticket, ..) | Answer::All(ticket, _)) =
                    self.in_progress.swap_remove(at);
                self.table.abandon(ticket);
            }
            Step::Answer(_) | Step::Lose(_) => {}
            // What is open here cannot be taken by another program.
            Step::Take(protocol, port) => {
                let address = address(protocol, port);
                if !self.host.is_bound(address) {
                    self.host.taken.insert(address);
                }
            }
            Step::Free(protocol, port) => drop(self.host.taken.remove(&address(protocol, port))),
            Step::Add(protocol, port, id) => {
                let (address, container) = (address(protocol, port), format!("name-{id}"));
                let added = self.table.add(address, Manual { container, inside: 3000, twin: None });
                assert_eq!(added.is_none(), self.manual.contains_key(&address));
                self.manual.entry(address).or_insert_with(|| id.to_string());
                return added.unwrap_or_default();
            }
            Step::Remove(protocol, port) => {
                let address = address(protocol, port);
                let removed = self.table.remove(address);
                assert_eq!(removed.is_some(), self.manual.remove(&address).is_some());
                return removed.unwrap_or_default();
            }
            Step::Again => return self.table.again(),
            Step::Clear => {
                let actions = self.table.clear();
                assert!(actions.iter().all(|action| matches!(action, Action::Close(_))));
                assert!(self.table.open().next().is_none());
                return actions;
            }
        }
        Vec::new()
    }

    /// A full list arrives, and after it the older answers, which change nothing.
    fn settle(&mut self) {
        let ticket = self.table.ask();
        let actions = self.table.resync(ticket, running(&self.engine));
        self.host.carry_out(&mut self.table, actions);
        for answer in std::mem::take(&mut self.in_progress) {
            let actions = answer.arrive(&mut self.table);
            self.host.carry_out(&mut self.table, actions);
        }
    }

    fn wanted(&self) -> BTreeSet<Slot> {
        let mut wanted = BTreeSet::new();
        for container in running(&self.engine) {
            for publication in &container.publications {
                let at = publication.wanted;
                if self.rules.admit(&container.name, at.protocol, at.at.port()) {
                    let container = container.id.clone();
                    wanted.insert(Slot { wanted: at, container, by_hand: false });
                }
            }
        }
        for (address, id) in &self.manual {
            if self.engine.get(id).is_some_and(Option::is_some) {
                wanted.insert(Slot { wanted: *address, container: id.clone(), by_hand: true });
            }
        }
        wanted
    }

    fn check(&self) {
        let (table, increment) = (&self.table, self.increment);
        let open: BTreeSet<Slot> = table.open().map(|open| open.listening.slot.clone()).collect();
        let missing: BTreeSet<Slot> =
            table.missing().map(|(listening, _)| listening.slot.clone()).collect();
        assert!(open.is_disjoint(&missing));
        let all: BTreeSet<Slot> = open.union(&missing).cloned().collect();
        assert_eq!(all, self.wanted(), "each publication is open or missing, and nothing else");
        for open in table.open() {
            let Slot { wanted, by_hand, .. } = &open.listening.slot;
            let moved = increment && !by_hand && open.at[0].port() >= wanted.at.port() + 1000;
            assert!(open.at[0] == wanted.at || moved);
            assert!(*by_hand || open.at.len() == 2, "both loopbacks");
        }
        for slot in &missing {
            assert!(slot.by_hand || !increment, "another port is always available here");
            let claimed = !slot.by_hand && self.manual.contains_key(&slot.wanted);
            assert!(claimed || self.host.is_bound(slot.wanted), "missing although available");
        }
        assert!(table.asking.is_empty());
        assert!(table.containers.values().all(|entry| entry.running.is_some()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn after_a_resync_listeners_equal_what_running_containers_publish(
        steps in steps(),
        increment: bool,
    ) {
        let mut world = World::new(increment);
        for step in steps {
            world.take(step);
        }
        world.settle();
        world.check();
    }
}
