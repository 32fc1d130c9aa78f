//! From a wish to a machine: each computer looks at the cloud, takes the plan's next step, and
//! judges a server that does not answer.

use std::time::Duration;

use machine::{
    Actor, CloudSays, Elsewhere, Hold, Knock, Observed, Seen, ServerStatus, Step, is_young, judge,
    may_remove,
};
use rand::Rng as _;

use crate::cloud::seconds;
use crate::world::World;

impl World {
    /// The cloud's lists, each late by itself while lists are late.
    pub fn listed(&mut self) -> Observed {
        let mut seen = Observed { at: seconds(self.now()), ..self.cloud.observed.clone() };
        if self.lags && !self.former.is_empty() {
            let late = |world: &mut Self| {
                world.former[world.chance.random_range(0..world.former.len())].clone()
            };
            (seen.servers, seen.volumes) = (late(self).servers, late(self).volumes);
            self.note("a list of the cloud was late");
        }
        seen
    }

    /// Both look before either acts, so that they race.
    pub fn go_to_the_machine(&mut self, now: Duration) {
        let seen = self.listed();
        for who in 0..2 {
            let computer = &self.computers[who];
            if !computer.acts() || computer.connected.is_some() {
                continue;
            }
            match self.cloud.planned(&seen) {
                Ok(step) => self.takes_a_step(who, &seen, &step, now),
                // A volume is listed as attached to a server that is not: only while lists are
                // late.
                Err(problem) => {
                    self.holds(&format!("there is a next step: {problem}"), self.lags);
                    self.computers[who].waits = false;
                }
            }
        }
    }

    fn takes_a_step(&mut self, who: usize, seen: &Observed, step: &Step, now: Duration) {
        let computer = &mut self.computers[who];
        match step {
            // Nothing is created while no client waits.
            Step::Create { .. } if !computer.waits => computer.books.none_exists(now),
            Step::PowerOn { .. } if !computer.waits => {}
            // The network is checked before a server is bought.
            Step::Create { .. } if computer.blocked => {
                computer.waits = false;
                self.note("nothing was bought in a network that blocks port 22");
            }
            Step::Connect(server) if computer.blocked => self.is_silent(who, server.id, now),
            Step::Connect(server)
                if self.cloud.runs()
                    && self.cloud.server().map(|found| found.id) == Some(server.id) =>
            {
                computer.connects(&mut self.cloud, server.id, now);
                self.note("a daemon connected");
            }
            Step::Delete { server, because } => {
                // As in the product: it asks once more about one that a list shows off.
                let shows_off =
                    seen.servers.first().is_some_and(|found| found.status == ServerStatus::Off);
                if shows_off && self.cloud.runs() {
                    self.note("a late list showed a machine off that runs");
                    return;
                }
                self.is_not_in_use(*server, &format!("removed since {because}"));
                if self.deletes(who, *server, Actor::Daemon) {
                    self.note("one that was off was removed");
                }
            }
            Step::Create { .. } => match self.cloud.carries_out(step, now) {
                true => self.has_created(who, now),
                false => self.note("a race was lost"),
            },
            Step::PowerOn { .. } => {
                if self.cloud.carries_out(step, now) {
                    self.note("one that was left off was started");
                }
            }
            Step::Attach { .. } | Step::Await { .. } | Step::Connect(_) => {
                self.cloud.carries_out(step, now);
            }
        }
    }

    fn has_created(&mut self, who: usize, now: Duration) {
        self.note("a machine was made");
        let computer = &mut self.computers[who];
        if computer.dies_in_a_change {
            computer.is_killed();
            self.note("a daemon was killed before it reported a server that it had created");
            return;
        }
        if let Some(server) = self.cloud.summary() {
            computer.fresh = server.id;
            computer.books.server_exists(&server, now);
        }
    }

    /// Deletes a server and reports that, unless the daemon is killed in between.
    pub fn deletes(&mut self, who: usize, server: u64, actor: Actor) -> bool {
        let now = self.now();
        let Some(summary) = self.cloud.summary().filter(|found| found.id == Some(server)) else {
            return false;
        };
        let computer = &mut self.computers[who];
        let dies = computer.dies_in_a_change;
        self.cloud.deletes(server, (!dies).then_some((who, actor)), now);
        if dies {
            // Before it deletes a server it reports that the server exists.
            computer.books.server_exists(&summary, now);
            computer.is_killed();
            self.note("a daemon was killed before it reported a deletion");
        } else {
            computer.books.deleted(summary, actor, now);
        }
        true
    }

    /// A server that does not answer this computer, judged by the product.
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
            self.is_not_in_use(server, "removed for its silence");
            self.deletes(who, server, Actor::Daemon);
        }
        // The client that waited gets an error.
        self.computers[who].waits = false;
        self.note("a machine was kept though it did not answer");
    }
}
