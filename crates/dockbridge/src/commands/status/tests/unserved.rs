//! What `status` shows where no daemon runs.

use super::*;

fn shown(seen: Unserved<'_>) -> Vec<Row> {
    answers::without_daemon("default", &seen)
}

#[test]
fn not_set_up() {
    let rows = shown(Unserved::default());
    insta::assert_snapshot!(plain(&rows), @"
    State     not set up: there is no Hetzner API token
    Cost      nothing by the hour
    Volume    none
    Next      `dockbridge init` asks for one; `dockbridge try` needs no account
    ");
    insta::assert_snapshot!(
        colored(&rows),
        @"State     ^[31mnot set up^[0m: there is no Hetzner API token"
    );
}

#[test]
fn no_daemon_and_no_machine() {
    let bills = bills();
    let seen = Unserved { is_set_up: true, bills: Some(&bills), ..Unserved::default() };
    let rows = shown(seen);
    insta::assert_snapshot!(plain(&rows), @"
    State     off: no daemon runs, docker commands fail
    Cost      nothing by the hour
    Volume    20 GB in fsn1, 0.88 EUR net a month: dockbridge-default (8)
    Next      `dockbridge start` serves docker commands
    ");
    insta::assert_snapshot!(colored(&rows), @"");
}

#[test]
fn no_daemon_and_a_machine() {
    let machine: Summary = serde_json::from_value(machine()).unwrap();
    let seen = Unserved {
        is_set_up: true,
        machine: Some(&machine),
        lease_seconds: 300,
        ..Unserved::default()
    };
    let rows = shown(seen);
    insta::assert_snapshot!(plain(&rows), @"
    State     on without a daemon: db-default exists and no daemon here renews its
              lease
    Cost      0.0068 EUR net a started hour
    Volume    20 GB in fsn1, 0.88 EUR net a month: dockbridge-default (8)
    Next      it ends with its lease, 5 min after the last heartbeat or with its
              pin; `dockbridge start` takes it over
    ");
    insta::assert_snapshot!(
        colored(&rows),
        @"State     ^[31mon without a daemon^[0m: db-default exists and no daemon here renews its"
    );
}

#[test]
fn cloud_that_does_not_answer_is_not_taken_for_no_costs() {
    let bills = Bills { look: None, trouble: Some("no route".to_owned()) };
    let seen =
        Unserved { is_set_up: true, is_unknown: true, bills: Some(&bills), ..Unserved::default() };
    let rows = shown(seen);
    insta::assert_snapshot!(plain(&rows), @"
    State     off: no daemon runs, docker commands fail
    Cost      not known: the cloud does not answer
    Volume    not known: the cloud does not answer
    Next      `dockbridge start` serves docker commands
    ");
    insta::assert_snapshot!(colored(&rows), @"");
}

#[test]
fn no_daemon_and_a_machine_without_a_price() {
    let mut machine: Summary = serde_json::from_value(machine()).unwrap();
    machine.price_hourly = None;
    let seen = Unserved { is_set_up: true, machine: Some(&machine), ..Unserved::default() };
    let shown = plain(&shown(seen));
    let line = "Cost      not known: the price of the server is missing";
    assert!(shown.lines().any(|shown| shown == line), "{shown}");
}
