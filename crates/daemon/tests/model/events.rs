//! What chance brings: people who work, computers that sleep, networks that fail, daemons that are
//! killed, orders that call a wake off.

use std::time::Duration;

use lifecycle::Kind;
use machine::{Actor, ServerStatus};
use rand::Rng as _;

use crate::world::World;

impl World {
    pub fn something_happens(&mut self, who: usize) {
        let what = self.chance.random_range(0..100);
        let kind =
            [Kind::Command, Kind::Build, Kind::Transfer, Kind::Stream, Kind::Watch, Kind::Forward]
                [self.chance.random_range(0..6)];
        let minutes = self.chance.random_range(1..120);
        let computer = &mut self.computers[who];
        let awake = computer.daemon_runs && !computer.asleep;
        match what {
            70 => self.both_begin_to_work(),
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
                let servers = self.cloud.observed.servers.iter_mut();
                servers.for_each(|server| server.status = ServerStatus::Off);
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
            92..94 if awake => self.asks_what_bills(who),
            94 => computer.dies_in_a_change = true,
            95..99 => computer.dies_in_a_change = false,
            65..68 if self.cloud.runs() && computer.connected.is_some() => {
                self.cloud.data += 1;
                self.cloud.written += 1;
            }
            _ => {}
        }
    }

    /// Two people begin their day at the same moment.
    fn both_begin_to_work(&mut self) {
        for computer in
            self.computers.iter_mut().filter(|computer| computer.daemon_runs && !computer.asleep)
        {
            computer.open.push((computer.activity.begin(Kind::Command, "x"), Kind::Command));
            computer.waits = computer.connected.is_none();
        }
    }

    /// `status` asks the cloud for all servers and volumes, and corrects the ledger.
    fn asks_what_bills(&mut self, who: usize) {
        if self.computers[who].cut_off {
            return;
        }
        let (seen, now) = (self.listed(), self.now());
        let servers = seen.servers.iter().map(|server| server.id).collect();
        let volumes = seen.volumes.iter().map(|volume| volume.id).collect();
        self.computers[who].books.only_exist(servers, volumes, now);
        self.note("a user asked what bills");
    }

    /// An order of the user during a wake, at whatever step it is.
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
        self.is_not_in_use(server, "deleted since its wake was called off");
        if self.deletes(who, server, Actor::User) {
            self.note("the server of a wake that was called off was deleted");
        }
        let is_left = self.cloud.server().is_some_and(|found| found.id == server);
        self.holds("no order is lost", !is_left);
    }
}
