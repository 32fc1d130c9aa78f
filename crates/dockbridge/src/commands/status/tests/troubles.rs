//! What `status` shows when something needs the user: warnings, the budget, another computer, a
//! cloud that does not answer.

use std::collections::BTreeSet;

use api::{Condition, WarningCode};

use super::*;

/// The fields of a machine that is used by nothing.
fn idle() -> Value {
    json!({
        "state": "up",
        "since_seconds": 600.0,
        "machine": machine(),
        "cost": cost(),
        "endings": [ending("idle", 270, 240, "activity")],
        "next": "destroyed after another 270 s without activity, the grace included",
    })
}

fn with(mut fields: Value, more: Value) -> Value {
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    fields
}

fn unanswered() -> Bills {
    Bills { look: None, trouble: Some("no route to host".to_owned()) }
}

#[test]
fn off_before_the_first_machine() {
    let rows = rows(json!({}), None);
    insta::assert_snapshot!(plain(&rows), @"
    State     off since 15:58:30 (1 min)
    Cost      nothing by the hour
    Volume    none
    Next      the next docker command creates a machine

    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    ");
    insta::assert_snapshot!(colored(&rows), @"");
}

#[test]
fn budget_is_spent() {
    let reason = "another hour would exceed this month's budget: 19.99 of 20.00 EUR are spent, \
        net; raise activity.budget, or wait for the next month";
    let spent = warning_now(&Condition::BudgetNearlySpent { percent: 99 });
    let fields = json!({
        "state": "failed",
        "reason": reason,
        "since_seconds": 5.0,
        "budget": {"limit": 20.0, "spent": 19.99},
        "warnings": [spent],
        "next": "the next docker command wakes a machine",
    });
    let rows = rows(fields, Some(&bills()));
    insta::assert_snapshot!(plain(&rows), @"
    State     failed at 15:59:55 (5 s): another hour would exceed this month's
              budget: 19.99 of 20.00 EUR are spent, net; raise activity.budget, or
              wait for the next month
    Cost      nothing by the hour
    Volume    20 GB in fsn1, 0.88 EUR net a month: dockbridge-default (8)
    Next      the next docker command wakes a machine

    Note      99 % of this month's budget are spent: `dockbridge cost` lists what it
              was spent on, `activity.budget` sets it
    Budget    19.99 of 20.00 EUR spent this month; net
    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    Bills     volume dockbridge-default (8, 20 GB in fsn1, not attached): 0.88 EUR a
              month
    ");
    insta::assert_snapshot!(colored(&rows), @"
    State     ^[31mfailed^[0m at 15:59:55 (5 s): another hour would exceed this month's
    Note      ^[33m99 % of this month's budget are spent: `dockbridge cost` lists what it^[0m
              ^[33mwas spent on, `activity.budget` sets it^[0m
    ");
}

#[test]
fn last_hour_within_the_budget() {
    let end = json!({
        "cause": "budget",
        "because": "another hour would exceed this month's budget",
        "seconds": 2_990,
        "grace_seconds": 2_960,
        "cancelled_by": "nothing",
    });
    let budget = json!({"limit": 20.0, "spent": 19.99});
    let rows = rows(with(in_use(), json!({"endings": [end], "budget": budget})), None);
    let shown = plain(&rows);
    let answers: Vec<&str> = shown.lines().take_while(|line| !line.is_empty()).collect();
    insta::assert_snapshot!(answers.join("\n"), @"
    State     on since 15:54 (5 min), in use
    Cost      0.0136 EUR net so far: 2 started hours at 0.0068, the next at 16:50
    Volume    20 GB in fsn1, 0.88 EUR net a month, 25.0 % full: dockbridge-default
              (8)
    Next      deleted at 16:49 (in 49 min) at the latest: another hour would exceed
              this month's budget; only a settings change prevents this
    ");
}

#[test]
fn machine_without_an_agent() {
    let warning = warning_now(&Condition::AgentNotRunning {
        machine: "db-default".to_owned(),
        reason: "there is no agent for Linux on aarch64".to_owned(),
    });
    let rows = rows(with(idle(), json!({"warnings": [warning]})), None);
    insta::assert_snapshot!(plain(&rows), @"
    State     on since 15:50 (10 min), idle
    Cost      0.0136 EUR net so far: 2 started hours at 0.0068, the next at 16:50
    Volume    20 GB in fsn1, 0.88 EUR net a month: dockbridge-default (8)
    Next      deleted at 16:04 (in 4 min) unless used

    Note      no agent runs on db-default (there is no agent for Linux on aarch64):
              it cannot delete itself. When its lease ends it powers off and is
              billed until dockbridge, on this computer or another, removes it:
              `dockbridge server destroy` removes it at once
    Machine   db-default (7, cx23 in fsn1), running, 203.0.113.7
    Image     docker-ce (9)
    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    ");
    insta::assert_snapshot!(colored(&rows), @"
    State     ^[32mon^[0m since 15:50 (10 min), idle
    Note      ^[31mno agent runs on db-default (there is no agent for Linux on aarch64):^[0m
              ^[31mit cannot delete itself. When its lease ends it powers off and is^[0m
              ^[31mbilled until dockbridge, on this computer or another, removes it:^[0m
              ^[31m`dockbridge server destroy` removes it at once^[0m
    ");
}

#[test]
fn machine_of_another_computer() {
    let reason = "db-default was made by another computer of this owner, and this computer's \
        login key SHA256:9v2bTq3Jx0mW6h4kzR8dN1cLpFyUeGaS7oI5sXwQtVM is not among those that it \
        admits";
    let fields = json!({
        "state": "failed",
        "reason": reason,
        "since_seconds": 20.0,
        "last_known": {"machine": machine(), "age_seconds": 25},
        "next_attempt_seconds": 55.0,
        "next": "connecting again in 55 s; a docker command tries at once",
    });
    let rows = rows(fields, None);
    insta::assert_snapshot!(plain(&rows), @"
    State     failed at 15:59:40 (20 s): db-default was made by another computer of
              this owner, and this computer's login key
              SHA256:9v2bTq3Jx0mW6h4kzR8dN1cLpFyUeGaS7oI5sXwQtVM is not among those
              that it admits
    Cost      0.0068 EUR net a started hour until it is gone
    Volume    20 GB in fsn1, 0.88 EUR net a month: dockbridge-default (8)
    Next      connecting again in 55 s; a docker command tries at once

    Last seen db-default (7, cx23 in fsn1), running, 203.0.113.7, 25 s ago
    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    ");
    insta::assert_snapshot!(
        colored(&rows),
        @"State     ^[31mfailed^[0m at 15:59:40 (20 s): db-default was made by another computer of"
    );
}

#[test]
fn cloud_that_does_not_answer_while_a_machine_does() {
    let rows = rows(idle(), Some(&unanswered()));
    insta::assert_snapshot!(plain(&rows), @"
    State     on since 15:50 (10 min), idle
    Cost      0.0136 EUR net so far: 2 started hours at 0.0068, the next at 16:50
    Volume    20 GB in fsn1, 0.88 EUR net a month: dockbridge-default (8)
    Next      deleted at 16:04 (in 4 min) unless used

    Machine   db-default (7, cx23 in fsn1), running, 203.0.113.7
    Image     docker-ce (9)
    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    Bills     unknown (no route to host)
    ");
    insta::assert_snapshot!(colored(&rows), @"State     ^[32mon^[0m since 15:50 (10 min), idle");
}

#[test]
fn every_warning_has_its_color_and_its_hint() {
    let ports = ["127.0.0.1:80", "127.0.0.1:443"].map(str::to_owned).into();
    let machine = || "db-default".to_owned();
    let held = [
        Condition::AgentNotRunning { machine: machine(), reason: "no room".to_owned() },
        Condition::VolumeFull { left: 12 << 20, size: 20, larger: Some(40) },
        Condition::VolumeNearlyFull { percent: 91, left: 2 << 30, larger: None },
        Condition::ClockWrong { offset: -600 },
        Condition::BudgetNearlySpent { percent: 84 },
        Condition::PriceUnknown { machine: machine(), has_part: false },
        Condition::PortsUnavailable { ports },
        Condition::SettingsRefused { why: "config.yaml, line 2: no such setting".to_owned() },
        Condition::RestartNeeded { settings: vec!["docker.proxy_port".to_owned()] },
    ];
    let seen: BTreeSet<WarningCode> = held.iter().map(Condition::code).collect();
    let without: Vec<_> = WarningCode::ALL.iter().filter(|code| !seen.contains(code)).collect();
    assert_eq!(without, [&WarningCode::Uncoded], "a warning that was never seen");
    let warnings: Vec<api::Warning> = held.iter().map(warning_now).collect();
    let status = status(json!({"warnings": warnings}));
    let notes = details::details(&status, &now());
    let notes: Vec<Row> = notes.into_iter().filter(|row| row.label == "Note").collect();
    insta::assert_snapshot!(plain(&notes), @"
    Note      no agent runs on db-default (no room): it cannot delete itself. When
              its lease ends it powers off and is billed until dockbridge, on this
              computer or another, removes it: `dockbridge server destroy` removes
              it at once
    Note      the volume is full, with 12 MB left of 20 GB: `dockbridge volume
              resize 40` grows it while everything runs, `docker system prune`
              removes unused data
    Note      the volume is 91 % full, with 2.0 GB left: `docker system prune`
              removes unused data
    Note      this computer's clock is 10 min behind the cloud's: costs, months and
              times are wrong until it is set: `date` shows it, `timedatectl set-ntp
              true` sets it by the network
    Note      84 % of this month's budget are spent: `dockbridge cost` lists what it
              was spent on, `activity.budget` sets it
    Note      the price of db-default is not known: costs do not contain it
    Note      2 published ports do not answer on this computer: 127.0.0.1:80,
              127.0.0.1:443: `dockbridge ports` shows why
    Note      the settings have changed and are refused, so the old ones stay:
              config.yaml, line 2: no such setting: `dockbridge config validate`
              shows what is wrong
    Note      the daemon uses the old value of docker.proxy_port until it starts
              again: `dockbridge stop`, then `dockbridge start`; the machine runs on
              meanwhile
    ");
    insta::assert_snapshot!(colored(&notes), @"
    Note      ^[31mno agent runs on db-default (no room): it cannot delete itself. When^[0m
              ^[31mits lease ends it powers off and is billed until dockbridge, on this^[0m
              ^[31mcomputer or another, removes it: `dockbridge server destroy` removes^[0m
              ^[31mit at once^[0m
    Note      ^[31mthe volume is full, with 12 MB left of 20 GB: `dockbridge volume^[0m
              ^[31mresize 40` grows it while everything runs, `docker system prune`^[0m
              ^[31mremoves unused data^[0m
    Note      ^[33mthe volume is 91 % full, with 2.0 GB left: `docker system prune`^[0m
              ^[33mremoves unused data^[0m
    Note      ^[33mthis computer's clock is 10 min behind the cloud's: costs, months and^[0m
              ^[33mtimes are wrong until it is set: `date` shows it, `timedatectl set-ntp^[0m
              ^[33mtrue` sets it by the network^[0m
    Note      ^[33m84 % of this month's budget are spent: `dockbridge cost` lists what it^[0m
              ^[33mwas spent on, `activity.budget` sets it^[0m
    Note      ^[33mthe price of db-default is not known: costs do not contain it^[0m
    Note      ^[33m2 published ports do not answer on this computer: 127.0.0.1:80,^[0m
              ^[33m127.0.0.1:443: `dockbridge ports` shows why^[0m
    Note      ^[33mthe settings have changed and are refused, so the old ones stay:^[0m
              ^[33mconfig.yaml, line 2: no such setting: `dockbridge config validate`^[0m
              ^[33mshows what is wrong^[0m
    Note      ^[33mthe daemon uses the old value of docker.proxy_port until it starts^[0m
              ^[33magain: `dockbridge stop`, then `dockbridge start`; the machine runs on^[0m
              ^[33mmeanwhile^[0m
    ");
}
