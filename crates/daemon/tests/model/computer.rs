//! A user's computer: a daemon, what its clients do, and its own view of the machine.

use std::sync::Arc;
use std::time::Duration;

use agent_proto::Heartbeat;
use lifecycle::{
    Activity, Billing, Clock as _, FakeClock, Guard, Kind, Moment, Outcome, Policy, Tenure,
    Verdict, decide,
};

use crate::books::Books;
use crate::cloud::Cloud;

pub const LEASE: Duration = Duration::from_secs(300);
/// Between two heartbeats, and between two entries in the ledger.
const INTERVAL: Duration = Duration::from_secs(30);
const HOUR: Billing =
    Billing { unit: Duration::from_secs(3_600), release_takes: Duration::from_secs(90) };

pub struct Computer {
    pub name: &'static str,
    pub clock: Arc<FakeClock>,
    pub activity: Activity,
    pub policy: Policy,
    /// What its clients have open; it ends with the daemon.
    pub open: Vec<(Guard, Kind)>,
    pub daemon_runs: bool,
    pub asleep: bool,
    pub cut_off: bool,
    /// Its network drops outgoing TCP 22; the API answers.
    pub blocked: bool,
    /// The server that its present wake has created.
    pub fresh: Option<u64>,
    /// A client waits for a machine.
    pub waits: bool,
    /// The server that it is connected to, and since when it knows it.
    pub connected: Option<(u64, Moment)>,
    /// The next time that it changes the cloud, it is killed before it reports the change.
    pub dies_in_a_change: bool,
    pub books: Books,
    booked: Moment,
    /// What it reported to the machine last: when, and how long it had been idle.
    reported: (Moment, Duration),
}

impl Computer {
    pub fn new(name: &'static str, clock: Arc<FakeClock>, policy: Policy) -> Self {
        let activity = Activity::new(clock.clone());
        let now = clock.now();
        Self {
            name,
            clock,
            activity,
            policy,
            open: Vec::new(),
            daemon_runs: true,
            asleep: false,
            cut_off: false,
            blocked: false,
            fresh: None,
            waits: false,
            connected: None,
            dies_in_a_change: false,
            books: Books::default(),
            booked: now,
            reported: (now, Duration::ZERO),
        }
    }

    /// It does something, and what it does arrives.
    pub fn acts(&self) -> bool {
        self.daemon_runs && !self.asleep && !self.cut_off
    }

    /// What it says to a machine arrives.
    pub fn reaches_machines(&self) -> bool {
        self.acts() && !self.blocked
    }

    pub fn works(&self) -> bool {
        self.open.iter().any(|(_, kind)| kind.is_work())
    }

    pub fn is_killed(&mut self) {
        self.open.clear();
        self.daemon_runs = false;
        self.waits = false;
        self.connected = None;
        self.fresh = None;
        self.dies_in_a_change = false;
    }

    pub fn restarts(&mut self) {
        self.activity = Activity::new(self.clock.clone());
        self.daemon_runs = true;
    }

    fn tenure(&self, since: Moment) -> Tenure {
        Tenure { since, age: Duration::ZERO, billing: Some(HOUR), budget: None }
    }

    fn idle(&self, since: Moment) -> Duration {
        let (snapshot, now) = (self.activity.snapshot(), self.clock.now());
        let pinned = snapshot.pin.is_some_and(|pin| pin.until.is_none_or(|until| until > now));
        if !snapshot.live.is_empty() || pinned {
            return Duration::ZERO;
        }
        now.since(snapshot.last_activity().map_or(since, |seen| seen.at.max(since)))
    }

    fn idle_limit(&self) -> Duration {
        self.policy.idle_timeout + self.policy.grace_period
    }

    /// A heartbeat, when one is due or the machine would take this computer for idle.
    pub fn sends_heartbeat(&mut self, cloud: &mut Cloud, now: Duration) {
        let Some((server, since)) = self.connected.filter(|_| self.acts()) else { return };
        if cloud.server().map(|server| server.id) != Some(server) || !cloud.runs() || self.blocked {
            self.connected = None;
            return;
        }
        let (moment, idle) = (self.clock.now(), self.idle(since));
        if moment.since(self.booked) >= INTERVAL {
            self.books_the_server(cloud, now);
        }
        let believed = self.reported.1 + moment.since(self.reported.0);
        let misleads =
            believed >= self.idle_limit() / 2 && idle + Duration::from_secs(1) < believed;
        if moment.since(self.reported.0) < INTERVAL && !misleads {
            return;
        }
        if !cloud.on_server.agent_runs {
            // Without an agent the path is lost; the next connection starts another agent.
            self.connected = None;
            return;
        }
        let seconds = |duration: Duration| u32::try_from(duration.as_secs()).unwrap();
        let beat = Heartbeat {
            client: self.name.to_owned(),
            lease_seconds: seconds(LEASE),
            idle_seconds: seconds(idle),
            idle_limit_seconds: seconds(self.idle_limit()),
        };
        cloud.on_server.lease.renew(now, &beat);
        cloud.on_server.written = cloud.ends();
        self.reported = (moment, idle);
    }

    fn books_the_server(&mut self, cloud: &Cloud, now: Duration) {
        if let Some(server) = cloud.summary() {
            self.books.server_exists(&server, now);
            self.booked = self.clock.now();
        }
    }

    /// Connects to a machine, for a client that waits or to a machine that exists.
    pub fn connects(&mut self, cloud: &mut Cloud, server: u64, now: Duration) {
        let since = self.clock.now();
        self.connected = Some((server, since));
        (self.waits, self.fresh) = (false, None);
        cloud.on_server.settled = true;
        cloud.on_server.agent_runs = true;
        self.books_the_server(cloud, now);
        self.reported = (since.minus(INTERVAL), Duration::ZERO);
        self.sends_heartbeat(cloud, now);
    }

    pub fn verdict(&self) -> Option<Verdict> {
        let (_, since) = self.connected.filter(|_| self.reaches_machines())?;
        Some(decide(&self.activity.snapshot(), &self.policy, &self.tenure(since), self.clock.now()))
    }

    /// Whether it takes the machine down now, and may.
    pub fn releases(&self, cloud: &Cloud, now: Duration) -> Option<Verdict> {
        let verdict = self.verdict().filter(|verdict| verdict.outcome == Outcome::Destroy)?;
        let others = cloud.on_server.lease.others(now, Some(self.name));
        (cloud.on_server.agent_runs && others.is_empty()).then_some(verdict)
    }
}
