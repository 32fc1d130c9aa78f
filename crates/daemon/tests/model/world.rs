//! Chance, time, and the invariants that are checked after every step.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use lifecycle::{Cause, Clock as _, Containers, FakeClock, Lock, LockAction, Moment, Policy};
use machine::{Actor, Observed};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::cloud::{Cloud, DEAD_MAN};
use crate::computer::{Computer, LEASE};

/// Ticks by which a list of the cloud may be late.
const LONGEST_LAG: usize = 2;
/// Between two looks at what happens by itself.
const TICK: Duration = Duration::from_secs(5);

pub struct World {
    seed: u64,
    pub chance: StdRng,
    clock: Arc<FakeClock>,
    pub cloud: Cloud,
    pub computers: [Computer; 2],
    volume: Option<u64>,
    steps: u64,
    /// How often each event happened: a world in which nothing happens proves nothing.
    seen: BTreeMap<&'static str, u64>,
    /// The cloud's former states, newest last: its lists may be as late as the oldest.
    pub former: VecDeque<Observed>,
    pub lags: bool,
    /// Servers whose end the ledgers were compared with.
    ends_compared: usize,
}

fn policy(lock: LockAction, containers: Containers, max_lifetime: Option<Duration>) -> Policy {
    Policy {
        lock: Lock { action: lock, grace: Duration::from_secs(120) },
        containers,
        max_lifetime,
        ..Policy::default()
    }
}

impl World {
    pub fn new(seed: u64) -> Self {
        let clock = Arc::new(FakeClock::default());
        clock.advance(Duration::from_secs(10_000));
        let short_lived = Some(Duration::from_secs(20 * 60));
        let one = policy(LockAction::Shutdown, Containers::Timeout, None);
        let two = Policy {
            keep_paid_hour: false,
            ..policy(LockAction::Shorten, Containers::Ignore, short_lived)
        };
        let computers =
            [Computer::new("one", clock.clone(), one), Computer::new("two", clock.clone(), two)];
        Self {
            seed,
            chance: StdRng::seed_from_u64(seed),
            clock,
            cloud: Cloud::new(),
            computers,
            volume: None,
            steps: 0,
            seen: BTreeMap::new(),
            former: VecDeque::new(),
            lags: false,
            ends_compared: 0,
        }
    }

    pub fn now(&self) -> Duration {
        self.clock.now().since(Moment::default())
    }

    pub fn note(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    #[track_caller]
    pub fn holds(&self, what: &str, does: bool) {
        let Self { seed, steps, cloud, .. } = self;
        let (observed, on_server) = (&cloud.observed, &cloud.on_server);
        assert!(
            does,
            "{what}: seed {seed}, step {steps}, at {:?}; {observed:?} {on_server:?}",
            self.now()
        );
    }

    /// One thing happens, time passes, and all daemons do what they have to do.
    pub fn step(&mut self) {
        self.steps += 1;
        let who = self.chance.random_range(0..2);
        self.something_happens(who);
        // Mostly seconds, sometimes minutes.
        let long = self.chance.random_ratio(1, 8);
        let ticks = if long { self.chance.random_range(1..=18) } else { 1 };
        for _ in 0..ticks {
            self.clock.advance(TICK);
            self.tick();
        }
    }

    fn tick(&mut self) {
        let now = self.now();
        self.former.push_back(self.cloud.observed.clone());
        if self.former.len() > LONGEST_LAG + 1 {
            self.former.pop_front();
        }
        self.cloud.passes(now);
        for computer in &mut self.computers {
            computer.sends_heartbeat(&mut self.cloud, now);
        }
        self.release_by_policy(now);
        self.go_to_the_machine(now);
        self.must_hold(now);
    }

    fn release_by_policy(&mut self, now: Duration) {
        for who in 0..2 {
            let Some(verdict) = self.computers[who].releases(&self.cloud, now) else { continue };
            let cause = verdict.first_ending().expect("there is a reason").cause;
            let (own, other) = (&self.computers[who], &self.computers[1 - who]);
            let (server, _) = own.connected.expect("it is connected");
            self.holds(
                "a computer's own work is destroyed for its age only",
                !own.works() || cause == Cause::MaxLifetime,
            );
            let others_works = other.acts()
                && other.connected.is_some_and(|(known, _)| known == server)
                && other.works();
            self.holds("another computer's work is not destroyed", !others_works);
            self.deletes(who, server, Actor::Policy);
            self.note(match cause {
                Cause::Idle => "it went for idleness",
                Cause::Lock => "it went for a lock",
                Cause::MaxLifetime => "it went for its age",
                Cause::Budget => "it went for the budget",
            });
            self.computers
                .iter_mut()
                .filter(|computer| computer.connected.is_some_and(|(known, _)| known == server))
                .for_each(|computer| {
                    // An idle computer finds it gone; one that comes back to work wakes another.
                    computer.connected = None;
                    computer.waits = computer.works();
                });
        }
    }

    /// No computer uses the server, and none that works there is cut off from it for a moment.
    pub fn is_not_in_use(&self, server: u64, what: &str) {
        let is_used = self
            .computers
            .iter()
            .any(|computer| computer.connected.is_some_and(|(known, _)| known == server));
        let runs = self.cloud.runs() && self.cloud.server().is_some_and(|found| found.id == server);
        self.holds(&format!("a machine in use is not {what}"), !(is_used && runs));
        let leased = self.cloud.on_server.lease.ends().is_some_and(|ends| ends > self.now());
        self.holds(&format!("a machine with a lease is not {what}"), !(leased && runs));
    }

    fn must_hold(&mut self, now: Duration) {
        self.holds("never two machines", self.cloud.observed.servers.len() <= 1);
        self.holds("never two volumes", self.cloud.observed.volumes.len() <= 1);
        let volume = self.cloud.observed.volumes.first().map(|volume| volume.id);
        self.holds("the volume stays the same one", self.volume.is_none() || self.volume == volume);
        self.volume = volume;
        self.holds("nothing of its data is lost", self.cloud.data == self.cloud.written);
        let bound = self.cloud.ends() + DEAD_MAN + TICK;
        self.holds(
            "no machine runs on beyond its lease and a minute",
            !self.cloud.runs() || now <= bound,
        );
        let ended = self.cloud.lifetimes.len() - self.cloud.observed.servers.len();
        if ended > self.ends_compared {
            self.ends_compared = ended;
            self.ledgers_equal_the_bill(now);
        }
    }

    /// Compared after every end of a server: bills do not change otherwise, but for time.
    fn ledgers_equal_the_bill(&self, now: Duration) {
        for (who, computer) in self.computers.iter().enumerate() {
            if let Some(error) = computer.books.error(who, &self.cloud, now) {
                self.holds(&format!("ledger of computer {}: {error}", computer.name), false);
            }
        }
    }

    /// All users close everything for a few hours: nothing is left but the volume.
    pub fn comes_to_rest(&mut self) {
        for computer in &mut self.computers {
            computer.open.clear();
            computer.activity.unpin();
            computer.activity.set_locked(false);
            (computer.asleep, computer.cut_off, computer.blocked) = (false, false, false);
            computer.dies_in_a_change = false;
            if !computer.daemon_runs {
                computer.restarts();
            }
        }
        (self.cloud.refuses_the_machine, self.lags) = (false, false);
        let quiet = Duration::from_secs(3 * 3_600) + LEASE;
        let begun = self.now();
        while self.now() - begun < quiet {
            self.clock.advance(TICK);
            self.tick();
        }
        self.holds("an unused machine goes", self.cloud.observed.servers.is_empty());
        self.holds("its volume stays", self.cloud.observed.volumes.len() == 1);
        self.ledgers_equal_the_bill(self.now());
    }

    /// A world in which this did not happen proves nothing.
    pub fn has_seen_everything(&self) {
        let is_long = self.steps >= 250_000;
        let least = if is_long { 10 } else { 1 };
        // Rare: one short run in fifty is without it.
        let rare: &[&str] = if is_long { &["it went for its age"] } else { &[] };
        let common = [
            "a machine was made",
            "a daemon connected",
            "a race was lost",
            "one that was off was removed",
            "one that was left off was started",
            "it went for idleness",
            "it went for a lock",
            "a daemon was killed",
            "a daemon was killed before it reported a server that it had created",
            "a daemon was killed before it reported a deletion",
            "a computer fell asleep",
            "an agent was killed",
            "the power was cut",
            "a network blocked port 22",
            "nothing was bought in a network that blocks port 22",
            "a machine was kept though it did not answer",
            "a wake was called off",
            "the server of a wake that was called off was deleted",
            "a list of the cloud was late",
            "a user asked what bills",
        ];
        for what in common.iter().chain(rare) {
            assert!(
                self.seen.get(*what).is_some_and(|times| *times >= least),
                "{what}: {:?}",
                self.seen
            );
        }
    }
}
