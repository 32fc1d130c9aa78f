//! Chance, time, and what must hold after every step.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use lifecycle::{Cause, Clock as _, Containers, FakeClock, Kind, Lock, LockAction, Moment, Policy};
use machine::{
    CloudSays, Elsewhere, Hold, Knock, Observed, Seen, ServerStatus, Step, is_young, judge,
    may_remove,
};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::cloud::{Cloud, DEAD_MAN, seconds};
use crate::computer::{Computer, LEASE};

/// Ticks by which a list of the cloud may be late.
const LONGEST_LAG: usize = 2;

/// Between two looks at what happens by itself.
const TICK: Duration = Duration::from_secs(5);

pub struct World {
    seed: u64,
    chance: StdRng,
    clock: Arc<FakeClock>,
    cloud: Cloud,
    computers: [Computer; 2],
    volume: Option<u64>,
    steps: u64,
    /// What has come about, so that a world in which nothing happens is no proof.
    seen: BTreeMap<&'static str, u64>,
    /// The cloud's former states, newest last: its lists may be as late as the oldest.
    former: VecDeque<Observed>,
    lags: bool,
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
        let computers = [
            Computer::new(
                "one",
                clock.clone(),
                policy(LockAction::Shutdown, Containers::Timeout, None),
            ),
            Computer::new(
                "two",
                clock.clone(),
                Policy {
                    keep_paid_hour: false,
                    ..policy(
                        LockAction::Shorten,
                        Containers::Ignore,
                        Some(Duration::from_secs(20 * 60)),
                    )
                },
            ),
        ];
        let chance = StdRng::seed_from_u64(seed);
        Self {
            seed,
            chance,
            clock,
            cloud: Cloud::new(),
            computers,
            volume: None,
            steps: 0,
            seen: BTreeMap::new(),
            former: VecDeque::new(),
            lags: false,
        }
    }

    fn now(&self) -> Duration {
        self.clock.now().since(Moment::default())
    }

    fn note(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    #[track_caller]
    fn holds(&self, what: &str, does: bool) {
        let Self { seed, steps, cloud, .. } = self;
        assert!(does, "{what}: seed {seed}, step {steps}, at {:?}; {cloud:?}", self.now());
    }

    /// One thing happens, time passes, and everybody does what has to be done.
    pub fn step(&mut self) {
        self.steps += 1;
        let who = self.chance.random_range(0..2);
        self.something_happens(who);
        // Mostly seconds, now and then minutes.
        let long = self.chance.random_ratio(1, 8);
        let ticks = if long { self.chance.random_range(1..=18) } else { 1 };
        for _ in 0..ticks {
            self.clock.advance(TICK);
            self.tick();
        }
    }

    fn something_happens(&mut self, who: usize) {
        let what = self.chance.random_range(0..100);
        let kind =
            [Kind::Command, Kind::Build, Kind::Transfer, Kind::Stream, Kind::Watch, Kind::Forward]
                [self.chance.random_range(0..6)];
        let minutes = self.chance.random_range(1..120);
        let computer = &mut self.computers[who];
        let awake = computer.daemon_runs && !computer.asleep;
        match what {
            // Two people begin their day together.
            70 => {
                for computer in self
                    .computers
                    .iter_mut()
                    .filter(|computer| computer.daemon_runs && !computer.asleep)
                {
                    computer
                        .open
                        .push((computer.activity.begin(Kind::Command, "x"), Kind::Command));
                    computer.waits = computer.connected.is_none();
                }
            }
            0..8 if awake => {
                computer.open.push((computer.activity.begin(kind, "x"), kind));
                computer.waits = computer.connected.is_none();
            }
            8..30 if !computer.open.is_empty() => drop(computer.open.swap_remove(0)),
            30..36 if awake => computer.open.iter().for_each(|(guard, _)| guard.traffic()),
            36 if awake => computer.activity.pin(Some(Duration::from_secs(60 * minutes))),
            37 => drop(computer.activity.unpin()),
            38 if awake => computer.activity.set_locked(true),
            39..42 => computer.activity.set_locked(false),
            42 => {
                computer.is_killed();
                self.note("a daemon was killed");
            }
            43..48 if !computer.daemon_runs => computer.restarts(),
            48 if awake => {
                computer.asleep = true;
                self.note("a computer fell asleep");
            }
            49..52 => computer.asleep = false,
            52 => computer.cut_off = true,
            53..58 => computer.cut_off = false,
            58 if self.cloud.runs() => {
                self.cloud.on_server.agent_runs = false;
                self.note("an agent was killed");
            }
            59 => self.cloud.refuses_the_machine = true,
            60..64 => self.cloud.refuses_the_machine = false,
            64 if self.cloud.runs() => {
                self.cloud
                    .observed
                    .servers
                    .iter_mut()
                    .for_each(|server| server.status = ServerStatus::Off);
                self.note("the power was cut");
            }
            71..73 => {
                computer.blocked = true;
                self.note("a network blocked port 22");
            }
            73..78 => computer.blocked = false,
            78 => self.lags = true,
            79..83 => self.lags = false,
            83..92 if awake => self.is_called_off(who),
            65..68 if self.cloud.runs() && computer.connected.is_some() => {
                self.cloud.data += 1;
                self.cloud.written += 1;
            }
            _ => {}
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
            computer.says_alive(&mut self.cloud, now);
        }
        self.decides(now);
        self.goes_to_the_machine(now);
        self.must_hold(now);
    }

    fn decides(&mut self, now: Duration) {
        for who in 0..2 {
            let Some(verdict) = self.computers[who].gives_up(&self.cloud, now) else { continue };
            let cause = verdict.first_ending().expect("there is a reason").cause;
            let (mine, other) = (&self.computers[who], &self.computers[1 - who]);
            let (server, _) = mine.connected.expect("it is connected");
            self.holds(
                "nobody's own work is destroyed but for its age",
                !mine.works() || cause == Cause::MaxLifetime,
            );
            let others_works = other.acts()
                && other.connected.is_some_and(|(known, _)| known == server)
                && other.works();
            self.holds("another computer's work is not destroyed", !others_works);
            self.cloud.deletes(server);
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
                    // Who was idle there finds it gone; who comes back to it wakes another.
                    computer.connected = None;
                    computer.waits = computer.works();
                });
        }
    }

    /// Both look before either acts, so that they race.
    fn goes_to_the_machine(&mut self, now: Duration) {
        let mut seen = Observed { at: seconds(now), ..self.cloud.observed.clone() };
        if self.lags && !self.former.is_empty() {
            // Each list is late by itself.
            let late = |world: &mut Self| {
                world.former[world.chance.random_range(0..world.former.len())].clone()
            };
            (seen.servers, seen.volumes) = (late(self).servers, late(self).volumes);
            self.note("a list of the cloud was late");
        }
        for who in 0..2 {
            let computer = &self.computers[who];
            if !computer.acts() || computer.connected.is_some() {
                continue;
            }
            let step = match self.cloud.planned(&seen) {
                Ok(step) => step,
                // A volume that is shown attached to a server that is not shown: only while lists
                // are late.
                Err(problem) => {
                    self.holds(&format!("there is a way: {problem}"), self.lags);
                    self.computers[who].waits = false;
                    continue;
                }
            };
            match &step {
                // Nothing is made while nobody waits.
                Step::Create { .. } | Step::PowerOn { .. } if !computer.waits => {}
                // It is asked before a server is bought.
                Step::Create { .. } if computer.blocked => {
                    self.computers[who].waits = false;
                    self.note("nothing was bought in a network that blocks port 22");
                }
                Step::Connect(server) if computer.blocked => {
                    let id = server.id;
                    self.is_silent(who, id, now);
                }
                Step::Connect(server)
                    if self.cloud.runs()
                        && self.cloud.server().map(|found| found.id) == Some(server.id) =>
                {
                    let id = server.id;
                    self.computers[who].connects(&mut self.cloud, id, now);
                    self.note("a daemon connected");
                }
                step => {
                    // As the product does: it asks once more for one that a list shows off.
                    let shows_off =
                        seen.servers.first().is_some_and(|found| found.status == ServerStatus::Off);
                    if matches!(step, Step::Delete { .. }) && shows_off && self.cloud.runs() {
                        self.note("a late list showed a machine off that runs");
                        continue;
                    }
                    if let Step::Delete { server, because } = step {
                        self.nobody_holds(*server, &format!("removed since {because}"));
                    }
                    let done = self.cloud.carries_out(step, now);
                    if let (Step::Create { .. }, true) = (step, done) {
                        self.computers[who].fresh = self.cloud.server().map(|server| server.id);
                    }
                    match (step, done) {
                        (Step::Create { .. }, true) => self.note("a machine was made"),
                        (Step::Create { .. }, false) => self.note("a race was lost"),
                        (Step::Delete { .. }, true) => self.note("one that was off was removed"),
                        (Step::PowerOn { .. }, true) => {
                            self.note("one that was left off was started")
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    /// A server that does not answer this computer: the product's own judgement.
    fn is_silent(&mut self, who: usize, server: u64, now: Duration) {
        let Some(found) = self.cloud.server().filter(|found| found.id == server).cloned() else {
            return;
        };
        let knows = self.chance.random_ratio(2, 3);
        let elsewhere = match knows {
            true => Elsewhere::Blocked { hosts: vec!["github.com".to_owned()] },
            false => Elsewhere::Unknown,
        };
        let seen = Seen {
            knock: Knock::TimedOut,
            elsewhere,
            login: None,
            cloud: if self.cloud.runs() { CloudSays::Running } else { CloudSays::Off },
            is_young: is_young(found.created, seconds(now)) && !self.cloud.on_server.settled,
            tried: Duration::from_secs(self.chance.random_range(0..60)),
        };
        let hold = Hold {
            is_fresh: self.computers[who].fresh == Some(server),
            is_settled: self.cloud.on_server.settled,
        };
        if may_remove(&judge(&seen), hold) {
            self.nobody_holds(server, "removed for its silence");
            self.cloud.deletes(server);
        }
        // Whoever waited is told.
        self.computers[who].waits = false;
        self.note("a machine was kept though it did not answer");
    }

    /// An order of the user while a wake goes on, at whatever step it is.
    fn is_called_off(&mut self, who: usize) {
        let computer = &mut self.computers[who];
        let fresh = computer.fresh.take();
        if !computer.waits && fresh.is_none() {
            return;
        }
        computer.waits = false;
        let reaches_the_cloud = !computer.cut_off;
        self.note("a wake was called off");
        let Some(server) = fresh.filter(|_| reaches_the_cloud && !self.cloud.on_server.settled)
        else {
            return;
        };
        self.nobody_holds(server, "deleted since its wake was called off");
        if self.cloud.deletes(server) {
            self.note("the server of a wake that was called off was deleted");
        }
        let is_left = self.cloud.server().is_some_and(|found| found.id == server);
        self.holds("no order is lost", !is_left);
    }

    /// No computer uses the server, and none that works there is cut off from it for a moment.
    fn nobody_holds(&self, server: u64, what: &str) {
        let is_used = self
            .computers
            .iter()
            .any(|computer| computer.connected.is_some_and(|(known, _)| known == server));
        let runs = self.cloud.runs() && self.cloud.server().is_some_and(|found| found.id == server);
        self.holds(&format!("a machine that somebody uses is not {what}"), !(is_used && runs));
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
    }

    /// Everybody closes everything and goes on for a day: nothing is left but the volume.
    pub fn comes_to_rest(&mut self) {
        for computer in &mut self.computers {
            computer.open.clear();
            computer.activity.unpin();
            computer.activity.set_locked(false);
            (computer.asleep, computer.cut_off, computer.blocked) = (false, false, false);
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
    }

    /// A world in which this has not come about shows nothing.
    pub fn has_seen_everything(&self) {
        let least = if self.steps < 250_000 { 1 } else { 10 };
        for what in [
            "a machine was made",
            "a daemon connected",
            "a race was lost",
            "one that was off was removed",
            "one that was left off was started",
            "it went for idleness",
            "it went for a lock",
            "it went for its age",
            "a daemon was killed",
            "a computer fell asleep",
            "an agent was killed",
            "the power was cut",
            "a network blocked port 22",
            "nothing was bought in a network that blocks port 22",
            "a machine was kept though it did not answer",
            "a wake was called off",
            "the server of a wake that was called off was deleted",
            "a list of the cloud was late",
        ] {
            assert!(
                self.seen.get(what).is_some_and(|times| *times >= least),
                "{what}: {:?}",
                self.seen
            );
        }
    }
}
