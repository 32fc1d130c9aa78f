//! Which listeners there should be: a plain table of what containers publish and what is open, and the difference as actions.
//!
//! It answers for: listeners equal what running containers publish, whatever order news arrives in. It knows no sockets and no
//! Docker: observations come in with the ticket that was drawn before the question was asked, actions go out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::publication::{Container, Publication, Remote};

/// Drawn before the engine is asked. Of two answers about one container the one with the later ticket holds: its question was asked
/// after the news that caused the earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// What has to be done to the listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Listen on `local` for this container. The outcome is told by [`Table::opened`] or [`Table::blocked`].
    Open(Listening),
    /// Stop listening there.
    Close(SocketAddr),
}

/// One listener, as wanted or as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listening {
    /// Full id of the container.
    pub(crate) container: String,
    /// Its name without the slash.
    pub(crate) name: String,
    /// Where to listen here.
    pub(crate) local: SocketAddr,
    /// Where it leads there.
    pub(crate) remote: Remote,
    /// A convenience, such as the IPv6 twin of an IPv4 listener: not being able to open it is no fault.
    pub(crate) optional: bool,
}

impl Listening {
    /// A new name or a new opinion about how much it matters is no reason to close a port.
    fn same(&self, other: &Listening) -> bool {
        (&self.container, self.local, &self.remote) == (&other.container, other.local, &other.remote)
    }
}

#[derive(Debug)]
struct Entry {
    asked: Ticket,
    /// `None` once it runs no longer; kept while older questions are under way, so that a late answer cannot bring it back.
    running: Option<Container>,
}

/// What containers publish and what is open.
#[derive(Debug, Default)]
pub(crate) struct Table {
    next_ticket: u64,
    asking: BTreeSet<Ticket>,
    /// Answers to questions older than the last full list are void.
    floor: Option<Ticket>,
    containers: BTreeMap<String, Entry>,
    open: BTreeMap<SocketAddr, Listening>,
    blocked: BTreeMap<SocketAddr, (Listening, String)>,
}

impl Table {
    /// To be called before the engine is asked; the ticket goes to exactly one of `observe`, `resync` and `abandon`.
    pub(crate) fn ask(&mut self) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.asking.insert(ticket);
        ticket
    }

    /// The question got no answer.
    pub(crate) fn abandon(&mut self, ticket: Ticket) {
        self.asking.remove(&ticket);
        self.prune();
    }

    /// What the engine said of one container: `None` when it does not run or is gone.
    pub(crate) fn observe(&mut self, ticket: Ticket, id: &str, running: Option<Container>) -> Vec<Action> {
        self.asking.remove(&ticket);
        let outdated = self.floor.is_some_and(|floor| ticket < floor) || self.containers.get(id).is_some_and(|entry| entry.asked > ticket);
        if !outdated {
            self.containers.insert(id.to_owned(), Entry { asked: ticket, running });
        }
        self.prune();
        self.difference()
    }

    /// The full list of running containers. What was observed by a later question stays.
    pub(crate) fn resync(&mut self, ticket: Ticket, running: Vec<Container>) -> Vec<Action> {
        self.asking.remove(&ticket);
        if self.floor.is_none_or(|floor| ticket > floor) {
            self.floor = Some(ticket);
            self.containers.retain(|_, entry| entry.asked > ticket);
            for container in running {
                let id = container.id.clone();
                self.containers.entry(id).or_insert(Entry { asked: ticket, running: Some(container) });
            }
        }
        self.prune();
        self.difference()
    }

    /// There is no machine any more, so nothing is published. Answers still under way are void.
    pub(crate) fn clear(&mut self) -> Vec<Action> {
        let now = self.ask();
        self.resync(now, Vec::new())
    }

    /// An `Open` was carried out.
    pub(crate) fn opened(&mut self, listening: Listening) {
        self.blocked.remove(&listening.local);
        self.open.insert(listening.local, listening);
    }

    /// An `Open` could not be carried out; it is asked for again with the next news.
    pub(crate) fn blocked(&mut self, listening: Listening, why: String) {
        self.blocked.insert(listening.local, (listening, why));
    }

    /// The container that holds this local address.
    pub(crate) fn holder(&self, local: SocketAddr) -> Option<&str> {
        self.open.get(&local).map(|listening| listening.container.as_str())
    }

    /// The running container that is called so: by full id, by name, or by the beginning of the id as Docker accepts it.
    pub(crate) fn called(&self, reference: &str) -> Option<&str> {
        let running = || self.containers.iter().filter_map(|(id, entry)| Some((id, entry.running.as_ref()?)));
        let reference = reference.trim_start_matches('/');
        running()
            .find(|(id, container)| *id == reference || container.name == reference)
            .or_else(|| running().find(|(id, _)| !reference.is_empty() && id.starts_with(reference)))
            .map(|(id, _)| id.as_str())
    }

    /// Open listeners, in order of their address.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Listening> {
        self.open.values()
    }

    /// Listeners that should be open and are not, with the reason.
    pub(crate) fn missing(&self) -> impl Iterator<Item = (&Listening, &str)> {
        self.blocked.values().map(|(listening, why)| (listening, why.as_str()))
    }

    fn prune(&mut self) {
        if self.asking.is_empty() {
            self.containers.retain(|_, entry| entry.running.is_some());
        }
    }

    /// Closing comes first, so that an address can pass from one container to another.
    fn difference(&mut self) -> Vec<Action> {
        let desired = self.desired();
        let wanted = |local: &SocketAddr, listening: &Listening| desired.get(local).is_some_and(|desired| desired.same(listening));
        let gone: Vec<SocketAddr> =
            self.open.iter().filter(|(local, listening)| !wanted(local, listening)).map(|(local, _)| *local).collect();
        for local in &gone {
            self.open.remove(local);
        }
        self.blocked.retain(|local, (listening, _)| wanted(local, listening));
        let open = &self.open;
        gone.into_iter()
            .map(Action::Close)
            .chain(desired.into_iter().filter(|(local, _)| !open.contains_key(local)).map(|(_, listening)| Action::Open(listening)))
            .collect()
    }

    /// Two containers can publish ports that fall on one local address (on different addresses of the machine). Whoever has it keeps it.
    fn desired(&self) -> BTreeMap<SocketAddr, Listening> {
        let mut desired: BTreeMap<SocketAddr, Listening> = BTreeMap::new();
        for container in self.containers.values().filter_map(|entry| entry.running.as_ref()) {
            for Publication { local, remote, optional } in &container.publications {
                let listening = Listening {
                    container: container.id.clone(),
                    name: container.name.clone(),
                    local: *local,
                    remote: remote.clone(),
                    optional: *optional,
                };
                let holds = self.open.get(local).is_some_and(|open| open.same(&listening));
                if holds || !desired.contains_key(local) {
                    desired.insert(*local, listening);
                }
            }
        }
        desired
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn container(id: &str, ports: &[u16]) -> Container {
        let publications = ports
            .iter()
            .map(|port| Publication {
                local: SocketAddr::from(([127, 0, 0, 1], *port)),
                remote: Remote { host: "127.0.0.1".into(), port: *port },
                optional: false,
            })
            .collect();
        Container { id: id.into(), name: format!("name-{id}"), publications }
    }

    /// Carries actions out as the sockets would: an address that something else on this computer has cannot be opened.
    fn carry_out(table: &mut Table, actions: Vec<Action>, taken: &BTreeSet<u16>) {
        for action in actions {
            if let Action::Open(listening) = action {
                if taken.contains(&listening.local.port()) {
                    table.blocked(listening, "taken".into());
                } else {
                    table.opened(listening);
                }
            }
        }
    }

    #[test]
    fn a_late_answer_does_not_bring_a_dead_container_back() {
        let mut table = Table::default();
        let early = table.ask();
        let late = table.ask();
        assert!(table.observe(late, "a", None).is_empty());
        assert!(table.observe(early, "a", Some(container("a", &[80]))).is_empty());
        assert!(table.containers.is_empty(), "nothing is remembered of a dead container once no question is under way");
    }

    #[test]
    fn an_address_passes_to_the_other_container_that_publishes_it_when_its_holder_dies() {
        let mut table = Table::default();
        for id in ["a", "b"] {
            let ticket = table.ask();
            let actions = table.observe(ticket, id, Some(container(id, &[80])));
            carry_out(&mut table, actions, &BTreeSet::new());
        }
        assert_eq!(table.holder(([127, 0, 0, 1], 80).into()), Some("a"));
        let ticket = table.ask();
        let actions = table.observe(ticket, "a", None);
        assert!(matches!(&actions[..], [Action::Close(_), Action::Open(open)] if open.container == "b"), "{actions:?}");
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

    #[derive(Debug, Clone)]
    enum Step {
        Start(u8, Vec<u16>),
        Die(u8),
        /// The engine is asked about a container; the answer arrives later.
        Ask(u8),
        /// A list is asked for.
        List,
        /// An answer under way arrives, in any order.
        Answer(usize),
        /// An answer is lost.
        Lose(usize),
        /// Some other program takes or frees a port here.
        Take(u16),
        Free(u16),
        Clear,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let port = 1..6u16;
        let step = prop_oneof![
            3 => (0..4u8, prop::collection::vec(port.clone(), 0..3)).prop_map(|(id, ports)| Step::Start(id, ports)),
            2 => (0..4u8).prop_map(Step::Die),
            5 => (0..4u8).prop_map(Step::Ask),
            1 => Just(Step::List),
            6 => (0..8usize).prop_map(Step::Answer),
            1 => (0..8usize).prop_map(Step::Lose),
            1 => port.clone().prop_map(Step::Take),
            1 => port.prop_map(Step::Free),
            1 => Just(Step::Clear),
        ];
        prop::collection::vec(step, 1..120)
    }

    #[derive(Debug)]
    enum Answer {
        One(Ticket, String, Option<Container>),
        All(Ticket, Vec<Container>),
    }

    fn running(engine: &BTreeMap<String, Option<Container>>) -> Vec<Container> {
        engine.values().flatten().cloned().collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn after_a_resync_listeners_equal_what_running_containers_publish(steps in steps()) {
            let mut engine: BTreeMap<String, Option<Container>> = BTreeMap::new();
            let mut table = Table::default();
            let mut taken = BTreeSet::new();
            let mut under_way: Vec<Answer> = Vec::new();
            for step in steps {
                match step {
                    Step::Start(id, ports) => { let id = id.to_string(); engine.insert(id.clone(), Some(container(&id, &ports))); }
                    Step::Die(id) => { engine.insert(id.to_string(), None); }
                    Step::Ask(id) => {
                        let id = id.to_string();
                        let ticket = table.ask();
                        let seen = engine.get(&id).cloned().flatten();
                        under_way.push(Answer::One(ticket, id, seen));
                    }
                    Step::List => { let ticket = table.ask(); under_way.push(Answer::All(ticket, running(&engine))); }
                    Step::Answer(at) if at < under_way.len() => {
                        let actions = match under_way.swap_remove(at) {
                            Answer::One(ticket, id, seen) => table.observe(ticket, &id, seen),
                            Answer::All(ticket, seen) => table.resync(ticket, seen),
                        };
                        carry_out(&mut table, actions, &taken);
                    }
                    Step::Lose(at) if at < under_way.len() => match under_way.swap_remove(at) {
                        Answer::One(ticket, ..) | Answer::All(ticket, _) => table.abandon(ticket),
                    },
                    Step::Answer(_) | Step::Lose(_) => {}
                    // What is open here cannot be taken by another program.
                    Step::Take(port) => if table.holder(([127, 0, 0, 1], port).into()).is_none() { taken.insert(port); },
                    Step::Free(port) => { taken.remove(&port); }
                    Step::Clear => {
                        let actions = table.clear();
                        prop_assert!(actions.iter().all(|action| matches!(action, Action::Close(_))));
                        prop_assert!(table.open().next().is_none());
                    }
                }
                for listening in table.open() {
                    prop_assert!(table.called(&listening.container).is_some(), "a listener of a container that is not known to run");
                }
            }
            let ticket = table.ask();
            let actions = table.resync(ticket, running(&engine));
            carry_out(&mut table, actions, &taken);
            // Whatever was asked earlier and answers now changes nothing.
            for answer in under_way {
                let actions = match answer {
                    Answer::One(ticket, id, seen) => table.observe(ticket, &id, seen),
                    Answer::All(ticket, seen) => table.resync(ticket, seen),
                };
                carry_out(&mut table, actions, &taken);
            }
            let open: BTreeSet<SocketAddr> = table.open().map(|listening| listening.local).collect();
            let blocked: BTreeSet<SocketAddr> = table.missing().map(|(listening, _)| listening.local).collect();
            let published: BTreeSet<SocketAddr> =
                running(&engine).iter().flat_map(|container| container.publications.iter().map(|publication| publication.local)).collect();
            let (out_of_reach, wanted): (BTreeSet<_>, BTreeSet<_>) = published.into_iter().partition(|local| taken.contains(&local.port()));
            prop_assert_eq!(open, wanted);
            prop_assert_eq!(blocked, out_of_reach);
            prop_assert!(table.asking.is_empty());
            prop_assert!(table.containers.values().all(|entry| entry.running.is_some()));
        }
    }
}
