//! The cost ledger of a computer, kept as the daemon keeps it, and compared with the cloud's bill.

use std::collections::BTreeMap;
use std::time::Duration;

use api::{EndCause, ServerBill};
use dockbridge_daemon::{Ledger, Month};
use jiff::Timestamp;
use machine::{Actor, Billed, Summary};

use crate::cloud::{Cloud, HOURLY, Lifetime, seconds};
use crate::computer::LEASE;

/// The ledger of one computer. It is a file, and outlives the daemon.
#[derive(Debug, Default)]
pub struct Books {
    ledger: Ledger,
    /// When each server was last reported to exist.
    seen: BTreeMap<u64, i64>,
}

fn lease() -> i64 {
    seconds(LEASE)
}

impl Books {
    /// The daemon has created the server, answers for it, or is about to delete it.
    pub fn server_exists(&mut self, server: &Summary, now: Duration) {
        self.ledger.machine_exists(server, lease(), seconds(now));
        self.seen.extend(server.id.map(|id| (id, seconds(now))));
    }

    /// The daemon has deleted the server, which existed until then.
    pub fn deleted(&mut self, server: Summary, actor: Actor, now: Duration) {
        self.server_exists(&server, now);
        let id = server.id.expect("a server of the cloud has an id");
        let gone = Billed::ServerGone { server: Box::new(server), builds_image: false };
        match actor {
            Actor::Policy => {
                let cause = EndCause::by(actor, "idle");
                self.ledger.post(&gone, &cause, lease(), seconds(now));
                self.ledger.machines_ended(&cause, seconds(now));
            }
            // In a wake, whose actor is the user until the end is reported with its own.
            Actor::User | Actor::Daemon => {
                let in_a_wake = EndCause::by(Actor::User, "a request needs a machine");
                self.ledger.post(&gone, &in_a_wake, lease(), seconds(now));
                self.ledger.server_ended(id, &EndCause::by(actor, "removed"), seconds(now));
            }
        }
    }

    /// The daemon looked for a machine and found none.
    pub fn none_exists(&mut self, now: Duration) {
        let cause = EndCause::unseen("it is gone");
        self.ledger.machines_ended_unseen(&cause, lease(), seconds(now));
    }

    /// A command has asked the cloud for all servers and volumes.
    pub fn only_exist(&mut self, servers: Vec<u64>, volumes: Vec<u64>, now: Duration) {
        let cause = EndCause::by(Actor::User, "dockbridge status");
        self.ledger.post(&Billed::Only { servers, volumes }, &cause, lease(), seconds(now));
    }

    /// What each server cost in all months until now.
    fn bills(&self, now: Duration) -> BTreeMap<u64, ServerBill> {
        let now = Timestamp::from_second(seconds(now)).unwrap();
        let mut bills: BTreeMap<u64, ServerBill> = BTreeMap::new();
        for month in ["1970-01", "1970-02", "1970-03", "1970-04"] {
            let month = Month::parse(month).unwrap();
            for bill in self.ledger.bill(month, lease(), now).servers {
                let none = ServerBill { hours: 0, cost: 0.0, ..bill.clone() };
                let all = bills.entry(bill.id).or_insert(none);
                all.hours += bill.hours;
                all.cost += bill.cost;
            }
        }
        bills
    }

    /// What is wrong with this ledger. It promises: each server that the daemon reported is in it
    /// from its creation; an end that the daemon reported is exact, has its actor, and costs what
    /// the cloud bills; an end that it did not see is estimated within a lease after the server was
    /// last seen.
    pub fn error(&self, who: usize, cloud: &Cloud, now: Duration) -> Option<String> {
        let bills = self.bills(now);
        if let Some(missing) = self.seen.keys().find(|id| !bills.contains_key(id)) {
            return Some(format!("server {missing} is missing"));
        }
        bills.values().find_map(|bill| {
            let Some(lifetime) = cloud.lifetimes.get(&bill.id) else {
                return Some(format!("{bill:?} never existed"));
            };
            let error = self.error_of(bill, who, lifetime, now)?;
            Some(format!("{error}: {bill:?}, in truth {lifetime:?}"))
        })
    }

    fn error_of(
        &self,
        bill: &ServerBill,
        who: usize,
        lifetime: &Lifetime,
        now: Duration,
    ) -> Option<&'static str> {
        let until = bill.until.map(Timestamp::as_second);
        let seen = *self.seen.get(&bill.id)?;
        if bill.from.as_second() != seconds(lifetime.created) {
            return Some("its creation is wrong");
        }
        #[expect(clippy::cast_precision_loss, reason = "the model runs for some hundred hours")]
        if (bill.cost - HOURLY * bill.hours as f64).abs() > 1e-6 {
            return Some("its cost is wrong");
        }
        let reported = lifetime.deleted_by.filter(|(deleter, _)| *deleter == who);
        if let Some((_, actor)) = reported {
            let is_exact = !bill.estimated && until == lifetime.ended.map(seconds);
            let is_attributed = bill.end.as_ref().is_some_and(|end| end.actor == Some(actor));
            return match (is_exact, is_attributed, bill.hours == lifetime.billed_hours(now)) {
                (true, true, true) => None,
                (false, ..) => Some("an end that was reported is not in the ledger"),
                (_, false, _) => Some("an end has another actor"),
                (.., false) => Some("the cloud bills other hours"),
            };
        }
        match until {
            Some(until) if !bill.estimated || !(seen..=seen + lease()).contains(&until) => {
                Some("an end that was not seen is not within a lease")
            }
            None if lifetime.ended.is_some() && seconds(now) - seen > lease() => {
                Some("a server that is gone bills forever")
            }
            None if lifetime.ended.is_none() && bill.hours != lifetime.billed_hours(now) => {
                Some("the cloud bills other hours")
            }
            _ => None,
        }
    }
}
