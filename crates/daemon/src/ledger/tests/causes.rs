//! Who ended a server or a volume, and why.

use machine::{Actor, Behalf, Posting};

use super::*;

/// Who ended each server, why, and whether the end is an estimate.
fn ends(ledger: &Ledger, now: i64) -> Vec<(u64, Option<EndCause>, bool)> {
    bill(ledger, MONTH, now)
        .servers
        .into_iter()
        .map(|server| (server.id, server.end, server.estimated))
        .collect()
}

fn gone(id: u64, created: i64) -> Billed {
    Billed::ServerGone { server: Box::new(machine(id, created)), builds_image: false }
}

#[test]
fn each_end_carries_its_actor_and_reason() {
    let mut ledger = Ledger::default();
    let created = november("10T08:00:00");
    for id in 1..=5 {
        let machine = Box::new(machine(id, created));
        // As image builders, so that several exist at once.
        let building = Billed::Server { server: machine, builds_image: true };
        ledger.post(&building, &by_policy(), LEASE, created + 5);
    }
    ledger.post(&gone(1, created), &by_policy(), LEASE, created + 10);
    ledger.server_ended(2, &EndCause::by(Actor::Daemon, "it does not start"), created + 10);
    let only = Billed::Only { servers: vec![3, 5], volumes: Vec::new() };
    ledger.post(&only, &by_policy(), LEASE, created + 20);
    let was_gone = EndCause::unseen("it was gone when the cloud was asked");
    assert_eq!(
        ends(&ledger, created + 30),
        [
            (1, Some(by_policy()), false),
            (2, Some(EndCause::by(Actor::Daemon, "it does not start")), false),
            (3, None, false),
            (4, Some(was_gone), true),
            (5, None, false),
        ]
    );

    let mut ledger = Ledger::default();
    ledger.machine_exists(&machine(1, created), LEASE, created + 5);
    ledger.machine_exists(&machine(2, created), LEASE, created + 500);
    ledger.machines_ended(&by_policy(), created + 600);
    ledger.machine_exists(&machine(3, created), LEASE, created + 700);
    ledger.machines_ended_unseen(&unseen(), LEASE, created + 9_000);
    let replaced = EndCause::unseen("m2 took its place; its end was not seen");
    assert_eq!(
        ends(&ledger, created + 9_000),
        [(1, Some(replaced), true), (2, Some(by_policy()), false), (3, Some(unseen()), true)]
    );
    ledger.machine_exists(&machine(3, created), LEASE, created + 9_100);
    assert_eq!(ends(&ledger, created + 9_100)[2], (3, None, false), "it exists after all");
}

#[test]
fn later_report_of_a_deletion_corrects_the_cause_and_not_the_time() {
    let mut ledger = Ledger::default();
    let created = november("10T08:00:00");
    ledger.machine_exists(&machine(1, created), LEASE, created + 5);
    let in_a_wake = EndCause::by(Actor::User, "a request needs a machine");
    ledger.post(&gone(1, created), &in_a_wake, LEASE, created + 3_600);
    let silent = EndCause::by(Actor::Daemon, "it does not answer");
    ledger.server_ended(1, &silent, created + 3_601);
    assert_eq!(ends(&ledger, created + 4_000), [(1, Some(silent), false)]);
    assert_eq!(bill(&ledger, MONTH, created + 4_000).servers[0].hours, 1);
}

#[test]
fn deletion_reported_after_an_unseen_end_in_the_same_second_counts() {
    let mut ledger = Ledger::default();
    let created = november("10T08:00:00");
    ledger.machine_exists(&machine(1, created), LEASE, created);
    let late_list = Billed::Only { servers: Vec::new(), volumes: Vec::new() };
    ledger.post(&late_list, &by_policy(), LEASE, created);
    ledger.server_ended(1, &by_policy(), created + 4_000);
    assert_eq!(bill(&ledger, MONTH, created + 5_000).servers[0].hours, 2);
}

#[test]
fn ledger_from_before_causes_were_recorded_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let created = november("10T08:00:00");
    let old = serde_json::json!({
        "currency": "EUR",
        "servers": [{
            "id": 1, "name": "m1", "server_type": "cx23", "location": "fsn1", "created": created,
            "seen": created + 60, "ended": created + 60, "unit_seconds": 3600, "hourly": 8800,
            "monthly": 5_490_000
        }],
        "volumes": [{
            "id": 9, "name": "v", "size": 20, "location": "fsn1", "since": created,
            "seen": created + 60, "ended": null, "monthly": 880_000
        }]
    });
    std::fs::write(directory.path().join("ledger.json"), old.to_string()).unwrap();
    let ledger = Ledger::load(directory.path());
    let bill = bill(&ledger, MONTH, created + 100);
    assert_eq!((bill.servers[0].hours, &bill.servers[0].end), (1, &None));
    assert_eq!((bill.volumes[0].id, &bill.volumes[0].end), (9, &None));
}

#[tokio::test]
async fn reports_take_the_cause_of_the_work_that_makes_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let books = books_of(move |_| path.clone(), Duration::from_secs(300), "dockbridge sweep");
    let created = Timestamp::now().as_second() - 60;
    let post = |id| books.post(Posting { profile: None, event: gone(id, created) });
    post(1);
    Behalf::new(Actor::Policy, "idle").during(async { post(2) }).await;
    books.post(Posting { profile: None, event: Billed::Volume(volume(9, Some(created))) });
    books.post(Posting { profile: None, event: Billed::VolumeGone(9) });
    let ledger = Ledger::load(directory.path());
    let now = Timestamp::now();
    let bill = ledger.bill(Month::of(Timestamp::from_second(created).unwrap()), LEASE, now);
    let causes: Vec<_> = bill.servers.into_iter().map(|server| server.end).collect();
    let swept = EndCause::by(Actor::User, "dockbridge sweep");
    assert_eq!(causes, [Some(swept.clone()), Some(EndCause::by(Actor::Policy, "idle"))]);
    assert_eq!(bill.volumes[0].end, Some(swept));
}
