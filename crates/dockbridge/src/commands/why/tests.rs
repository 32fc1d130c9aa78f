use serde_json::{Value, json};

use super::*;
use crate::commands::sample;

fn shown(fields: Value) -> String {
    let mut up = json!({"state": "up", "since_seconds": 61.5, "next": ""});
    sample::extend(&mut up, &fields);
    let status = sample::status(&up);
    let document = serde_json::to_value(WhyDocument::of(&status)).unwrap();
    testkit::assert_follows("why", &document);
    lines(&status).join("\n")
}

#[test]
fn each_reason_has_its_age_its_client_and_its_end() {
    let shown = shown(json!({
        "next": "kept: one activity in progress",
        "warnings": ["84 % of this month's budget are spent"],
        "reasons": [
            {
                "kind": "build",
                "what": "POST /build",
                "client": "Docker-Client/28.2.2 (linux)",
                "age_seconds": 200,
                "silent_seconds": 90,
                "seconds": null,
            },
            {
                "kind": "port",
                "what": "web:8080",
                "client": null,
                "age_seconds": 1300,
                "silent_seconds": 400,
                "seconds": 1400,
            },
            {"kind": "paid_hour", "what": "the hour is paid for another 50 min", "seconds": 2880},
        ],
        "endings": [{
            "cause": "max_lifetime",
            "because": "it is old",
            "seconds": 10800,
            "grace_seconds": 10770,
            "cancelled_by": "nothing",
        }],
    }));
    insta::assert_snapshot!(shown, @"
    The machine has answered for 1m 1s.
    Kept by:
      build     POST /build, for 3m 20s, by Docker-Client/28.2.2 (linux), while it continues
      port      web:8080, for 21m 40s, silent for 6m 40s, counts for another 23m 20s
      paid hour the hour is paid for another 50 min, counts for another 48m
    It would end:
      max lifetime in 3h, because it is old
                grace period begins in 2h 59m 30s; only a settings change prevents this
    Note: 84 % of this month's budget are spent.
    Next: kept: one activity in progress.
    ");
}

#[test]
fn an_idle_machine_shows_what_cancels_its_end() {
    let shown = shown(json!({
        "next": "deleted in 20 s unless something uses it",
        "endings": [
            {
                "cause": "idle",
                "because": "nothing has used it for 5 min",
                "seconds": 20,
                "grace_seconds": 0,
                "cancelled_by": "activity",
            },
            {
                "cause": "lock",
                "because": "the screen is locked",
                "seconds": 290,
                "grace_seconds": 260,
                "cancelled_by": "unlock",
            },
        ],
        "machine": {
            "id": 7,
            "name": "dockbridge-default",
            "status": "running",
            "image": {"id": 9, "name": "docker-ce", "because": "no snapshot boots faster"},
        },
    }));
    insta::assert_snapshot!(shown, @"
    The machine (dockbridge-default) has answered for 1m 1s.
    Nothing keeps the machine.
    It would end:
      idle      in 20s, because nothing has used it for 5 min
                in its grace period; any activity cancels it
      lock      in 4m 50s, because the screen is locked
                grace period begins in 4m 20s; unlocking the screen cancels it
    Made from docker-ce (9), because no snapshot boots faster.
    Next: deleted in 20 s unless something uses it.
    ");
}

#[test]
fn without_a_machine_the_reason_is_shown() {
    let shown = shown(json!({
        "state": "absent",
        "reason": "nothing has used it for 5 min",
        "next": "the next docker command creates a machine",
    }));
    insta::assert_snapshot!(shown, @"
    There is no machine, for 1m 1s: nothing has used it for 5 min.
    Next: the next docker command creates a machine.
    ");
}
