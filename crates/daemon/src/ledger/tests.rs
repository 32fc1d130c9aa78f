use std::time::Duration;

use lifecycle::Budget;
use machine::{Actor, Posting};
use proptest::prelude::*;

use super::*;

mod causes;

const LEASE: i64 = 300;
const MONTH: &str = "2026-11";

fn by_policy() -> EndCause {
    EndCause::by(Actor::Policy, "nothing has used it for 5 min")
}

fn unseen() -> EndCause {
    EndCause::unseen("it is gone")
}

fn at(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_second()
}

fn november(day_and_time: &str) -> i64 {
    at(&format!("2026-11-{day_and_time}Z"))
}

fn machine(id: u64, created: i64) -> Summary {
    Summary {
        server_type: Some("cx23".to_owned()),
        location: Some("fsn1".to_owned()),
        created: Some(created),
        price_hourly: Some(0.0088),
        price_monthly: Some(5.49),
        currency: Some("EUR".to_owned()),
        billed_unit_seconds: Some(3_600),
        ..Summary::known_as(format!("m{id}"), Some(id))
    }
}

fn bill(ledger: &Ledger, month: &str, now: i64) -> Bill {
    ledger.bill(Month::parse(month).unwrap(), LEASE, Timestamp::from_second(now).unwrap())
}

#[test]
fn started_hours_are_rounded_up() {
    for (lived, hours) in [(1, 1), (3_599, 1), (3_600, 1), (3_601, 2), (9_000, 3)] {
        let mut ledger = Ledger::default();
        let created = november("10T08:00:00");
        ledger.machine_exists(&machine(1, created), LEASE, created + 1);
        ledger.machines_ended(&by_policy(), created + lived);
        let bill = bill(&ledger, MONTH, created + 100_000);
        assert_eq!((bill.servers[0].hours, bill.servers[0].estimated), (hours, false), "{lived} s");
        assert!((bill.total - 0.0088 * hours as f64).abs() < 1e-9);
    }
}

#[test]
fn hour_counts_in_the_month_in_which_it_begins() {
    let mut ledger = Ledger::default();
    let created = at("2026-10-31T22:30:00Z");
    ledger.machine_exists(&machine(1, created), LEASE, created);
    ledger.machines_ended(&by_policy(), november("01T02:00:00"));
    let hours = |month| {
        bill(&ledger, month, november("05T00:00:00")).servers.first().map(|server| server.hours)
    };
    assert_eq!(
        [hours("2026-09"), hours("2026-10"), hours(MONTH), hours("2026-12")],
        [None, Some(2), Some(2), None]
    );
}

#[test]
fn server_costs_at_most_its_monthly_price() {
    let mut ledger = Ledger::default();
    let created = november("01T00:00:00");
    ledger.machine_exists(&machine(1, created), LEASE, november("30T23:59:00"));
    let bill = bill(&ledger, MONTH, november("30T23:59:00"));
    assert_eq!((bill.servers[0].hours, bill.total, bill.servers[0].until), (720, 5.49, None));
}

#[test]
fn unseen_end_is_estimated_by_the_lease() {
    let mut ledger = Ledger::default();
    let created = november("10T08:00:00");
    ledger.machine_exists(&machine(1, created), LEASE, created + 3_500);
    let unseen = bill(&ledger, MONTH, created + 100_000);
    assert_eq!((unseen.servers[0].hours, unseen.servers[0].estimated), (2, true));
    ledger.machine_exists(&machine(2, created + 90_000), LEASE, created + 90_010);
    let replaced = bill(&ledger, MONTH, created + 90_020);
    assert_eq!(
        replaced
            .servers
            .iter()
            .map(|server| (server.id, server.hours, server.estimated))
            .collect::<Vec<_>>(),
        [(1, 2, true), (2, 1, false)]
    );
}

#[test]
fn volume_bills_its_share_of_the_month_without_a_machine() {
    let mut ledger = Ledger::default();
    let created = november("16T00:00:00");
    let volume = |size| VolumeSummary {
        id: 9,
        name: "v".to_owned(),
        size,
        location: "fsn1".to_owned(),
        server: None,
        price_monthly: Some(0.044 * size as f64),
        created: None,
    };
    ledger.machine_exists(
        &Summary { volume: Some(volume(20)), ..machine(1, created) },
        LEASE,
        created,
    );
    ledger.machines_ended(&by_policy(), created + 60);
    let whole = bill(&ledger, MONTH, at("2026-12-24T00:00:00Z"));
    assert_eq!((whole.volumes[0].hours, whole.volumes[0].cost), (360, 0.44));
    assert!((whole.total - 0.4488).abs() < 1e-9);
    assert_eq!(bill(&ledger, "2026-10", created).volumes, []);
    // It grew: two prices, one after the other.
    ledger.machine_exists(
        &Summary { volume: Some(volume(40)), ..machine(2, created) },
        LEASE,
        november("26T00:00:00"),
    );
    let grown: Vec<(u64, u64)> = bill(&ledger, MONTH, november("30T00:00:00"))
        .volumes
        .iter()
        .map(|v| (v.size, v.hours))
        .collect();
    assert_eq!(grown, [(20, 240), (40, 96)]);
}

#[test]
fn month_has_one_spelling() {
    assert_eq!(Month::parse("2026-02").map(|month| month.to_string()).as_deref(), Some("2026-02"));
    for bad in ["2026", "2026-13", "26-01", "2026-1", "2026-01-01", "november"] {
        assert!(Month::parse(bad).is_none(), "{bad}");
    }
}

#[test]
fn spent_budget_refuses_a_machine_until_the_next_month() {
    let directory = tempfile::tempdir().unwrap();
    let open = |limit| Accounts::open(directory.path(), Duration::from_secs(300), Some(limit));
    let created = november("10T08:00:00");
    let moment = |second| Timestamp::from_second(second).unwrap();
    let mut accounts = open(20_000);
    assert_eq!(accounts.refusal(moment(created)), None, "nothing is known yet");
    accounts.machine_exists(&machine(1, created), moment(created + 10));
    accounts.machines_ended(&by_policy(), moment(created + 7_000));
    assert_eq!(
        accounts.budget(moment(created + 8_000)),
        Some(Budget { limit: 20_000, spent: 17_600, next_unit: 8_800 })
    );
    let refusal = open(20_000).refusal(moment(created + 8_000)).expect("it is kept in a file");
    assert!(refusal.contains("0.02 of 0.02 EUR are spent"), "{refusal}");
    assert_eq!(open(30_000).refusal(moment(created + 8_000)), None);
    assert_eq!(open(20_000).refusal(moment(at("2026-12-01T00:00:00Z"))), None);
}

proptest! {
    /// Months may cut a server's life anywhere: each hour is billed exactly once.
    #[test]
    fn hours_of_all_months_add_up_to_the_hours_of_the_server(
        start in 0i64..20_000_000,
        lived in 1i64..20_000_000,
    ) {
        let created = at("2026-01-01T00:00:00Z") + start;
        let mut ledger = Ledger::default();
        ledger.machine_exists(&machine(1, created), LEASE, created);
        ledger.machines_ended(&by_policy(), created + lived);
        let months = (2026..=2027)
            .flat_map(|year| (1..=12).map(move |month| format!("{year}-{month:02}")));
        let servers = months.flat_map(|month| bill(&ledger, &month, created + lived).servers);
        let hours: u64 = servers.map(|server| server.hours).sum();
        prop_assert_eq!(hours, u64::try_from((lived + 3_599) / 3_600).unwrap());
    }
}

#[test]
fn unseen_machine_is_billed_to_the_end_of_its_lease_and_no_longer() {
    let until = |slept: i64| {
        let mut ledger = Ledger::default();
        let created = november("10T08:00:00");
        ledger.machine_exists(&machine(1, created), LEASE, created + 600);
        ledger.machines_ended_unseen(&unseen(), LEASE, created + 600 + slept);
        let server = bill(&ledger, MONTH, created + 1_000_000).servers.remove(0);
        assert!(server.estimated, "{slept}");
        server.until.unwrap().as_second() - created
    };
    assert_eq!((until(8 * 3_600), until(60)), (600 + LEASE, 660));
}

fn volume(id: u64, created: Option<i64>) -> VolumeSummary {
    VolumeSummary {
        id,
        name: "v".to_owned(),
        size: 20,
        location: "fsn1".to_owned(),
        server: None,
        price_monthly: Some(0.88),
        created,
    }
}

#[test]
fn empty_month_costs_zero_and_not_minus_zero() {
    assert_eq!(
        format!("{:.2}", bill(&Ledger::default(), MONTH, november("10T08:00:00")).total),
        "0.00"
    );
}

#[test]
fn image_builder_ends_when_it_is_deleted_and_not_with_a_lease() {
    let mut ledger = Ledger::default();
    let created = november("10T08:00:00");
    let building = Billed::Server { server: Box::new(machine(1, created)), builds_image: true };
    ledger.post(&building, &by_policy(), LEASE, created + 5);
    // A machine begins and ends meanwhile; its lease says nothing about the builder.
    ledger.machine_exists(&machine(2, created + 10), LEASE, created + 20);
    ledger.machines_ended(&by_policy(), created + 60);
    ledger.machines_ended_unseen(&unseen(), LEASE, created + 70);
    let at = |ledger: &Ledger, later| {
        let bill = bill(ledger, MONTH, created + later);
        bill.servers
            .iter()
            .map(|server| (server.id, server.hours, server.until.is_some()))
            .collect::<Vec<_>>()
    };
    assert_eq!(at(&ledger, 9_000), [(1, 3, false), (2, 1, true)]);
    ledger.post(
        &Billed::ServerGone { server: Box::new(machine(1, created)), builds_image: true },
        &by_policy(),
        LEASE,
        created + 9_100,
    );
    assert_eq!(at(&ledger, 90_000), [(1, 3, true), (2, 1, true)]);
    assert_eq!(ledger.last_hourly(), Some(8_800), "of a machine");
}

#[test]
fn server_first_reported_at_its_deletion_is_billed_from_its_creation() {
    let mut ledger = Ledger::default();
    let created = november("10T08:00:00");
    ledger.post(
        &Billed::ServerGone { server: Box::new(machine(1, created)), builds_image: false },
        &by_policy(),
        LEASE,
        created + 4_000,
    );
    let bill = bill(&ledger, MONTH, created + 90_000);
    assert_eq!((bill.servers[0].hours, bill.servers[0].estimated), (2, false));
}

#[test]
fn reported_deletion_replaces_an_estimated_end() {
    let mut ledger = Ledger::default();
    let created = november("10T08:00:00");
    ledger.machine_exists(&machine(1, created), LEASE, created);
    // A second one is seen: the first is taken to have ended with its lease. It was off instead.
    ledger.machine_exists(&machine(2, created + 5_000), LEASE, created + 5_000);
    ledger.post(
        &Billed::ServerGone { server: Box::new(machine(1, created)), builds_image: false },
        &by_policy(),
        LEASE,
        created + 10_000,
    );
    let bill = bill(&ledger, MONTH, created + 10_010);
    assert_eq!((bill.servers[0].hours, bill.servers[0].estimated), (3, false));
}

#[test]
fn volume_is_billed_from_its_creation_to_its_deletion() {
    let mut ledger = Ledger::default();
    let created = november("16T00:00:00");
    ledger.post(&Billed::Volume(volume(9, Some(created))), &by_policy(), LEASE, created + 3 * HOUR);
    let hours = |ledger: &Ledger| bill(ledger, MONTH, november("30T00:00:00")).volumes[0].hours;
    assert_eq!(hours(&ledger), 14 * 24);
    ledger.post(&Billed::VolumeGone(9), &by_policy(), LEASE, created + 10 * HOUR);
    assert_eq!(hours(&ledger), 10);
}

#[test]
fn entries_of_another_process_are_kept_and_count_against_the_budget() {
    let directory = tempfile::tempdir().unwrap();
    let created = november("10T08:00:00");
    let moment = |second| Timestamp::from_second(second).unwrap();
    let mut accounts = Accounts::open(directory.path(), Duration::from_secs(300), Some(10_000));
    let path = directory.path().to_owned();
    let books = books_of(move |_| path.clone(), Duration::from_secs(300), "dockbridge image build");
    accounts.machine_exists(&machine(1, created), moment(created + 10));
    accounts.machines_ended(&by_policy(), moment(created + 20));
    assert!(accounts.refusal(moment(created + 30)).is_some(), "one hour more is above the budget");
    let mut accounts = Accounts::open(directory.path(), Duration::from_secs(300), Some(18_000));
    assert_eq!(accounts.refusal(moment(created + 30)), None);
    let server = Box::new(machine(7, created));
    books.post(Posting { profile: None, event: Billed::Server { server, builds_image: true } });
    assert!(
        accounts.refusal(moment(created + 40)).is_some(),
        "the builder counts against the budget"
    );
    accounts.machine_exists(&machine(2, created + 50), moment(created + 60));
    let ids: Vec<u64> =
        Ledger::load(directory.path()).servers.iter().map(|server| server.id).collect();
    assert_eq!(ids, [1, 7, 2], "no entry is lost");
}
