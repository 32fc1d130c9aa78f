use serde_json::{Value, json};

use super::*;
use crate::commands::sample;

mod states;
mod troubles;
mod unserved;

/// 16:00 in a zone of its own.
pub fn now() -> LocalTime {
    LocalTime("2026-11-30T16:00:00+01:00[+01:00]".parse().unwrap())
}

/// Seconds since 1970 at 16:00.
const NOW: i64 = 1_796_050_800;

/// Past wakes: booting usually takes 18 s.
pub fn wakes() -> History {
    let stages = json!([{"phase": "boot", "took_ms": 18_000}]);
    let wake = json!({
        "image": 1,
        "server_type": "cx23",
        "location": "fsn1",
        "at": 1,
        "took_ms": 18_000,
        "stages": stages,
    });
    serde_json::from_value(json!({"wakes": [wake]})).unwrap()
}

/// A status that follows the schema.
pub fn status(fields: Value) -> Status {
    let status = sample::status(&fields);
    let document = serde_json::to_value(StatusDocument::new(&status, None)).unwrap();
    testkit::assert_follows("status", &document);
    status
}

fn rows(fields: Value, bills: Option<&Bills>) -> Vec<Row> {
    let (status, wakes, now) = (status(fields), wakes(), now());
    screen(&Seen { status: &status, bills, wakes: &wakes, invalid: 0, now: &now })
}

/// The lines with colors at 80 columns, as a terminal gets them; `^` stands for the escape
/// character. The other lines are those of [`plain`].
fn colored(rows: &[Row]) -> String {
    let lines = row::styled(rows, Some(80));
    let most = lines.iter().map(|line| plain_line(line).chars().count()).max();
    assert!(most <= Some(80), "{lines:#?}");
    assert!(lines.len() <= 24, "more than one screen: {lines:#?}");
    let lines = lines.iter().filter(|line| line.contains('\x1b'));
    lines.map(|line| line.replace('\x1b', "^")).collect::<Vec<_>>().join("\n")
}

/// At 80 columns, without colors. No line is wider.
fn plain(rows: &[Row]) -> String {
    let lines = row::styled(rows, Some(80));
    let lines: Vec<String> = lines.iter().map(|line| plain_line(line)).collect();
    let wide = lines.iter().find(|line| line.chars().count() > 80);
    assert_eq!(wide, None, "a line of over 80 columns");
    lines.join("\n")
}

fn plain_line(line: &str) -> String {
    anstream::adapter::strip_str(line).to_string()
}

fn machine() -> Value {
    json!({
        "id": 7,
        "name": "db-default",
        "address": "203.0.113.7",
        "status": "running",
        "server_type": "cx23",
        "location": "fsn1",
        "created": NOW - 3_600 - 600,
        "price_hourly": 0.0068,
        "currency": "EUR",
        "volume": volume(),
        "image": {"id": 9, "name": "docker-ce", "because": null},
    })
}

fn volume() -> Value {
    json!({
        "id": 8,
        "name": "dockbridge-default",
        "size": 20,
        "location": "fsn1",
        "price_monthly": 0.88,
        "server": 7,
    })
}

fn cost() -> Value {
    json!({"hourly": 0.0068, "hours": 2, "so_far": 0.0136, "volume_monthly": 0.88})
}

/// Only the volume bills.
fn bills() -> Bills {
    let mut volume = volume();
    volume["profile"] = json!("default");
    volume["server"] = Value::Null;
    let standing = json!({
        "currency": "EUR",
        "machines": [],
        "builders": [],
        "volumes": [volume],
        "addresses": [],
        "snapshots": [],
        "at": jiff::Timestamp::now().as_second(),
        "of": "x",
    });
    Bills { look: Some(serde_json::from_value(standing).unwrap()), trouble: None }
}

fn ending(cause: &str, seconds: u64, grace_seconds: u64, cancelled_by: &str) -> Value {
    json!({
        "cause": cause,
        "because": "nothing has used it for 5 min",
        "seconds": seconds,
        "grace_seconds": grace_seconds,
        "cancelled_by": cancelled_by,
    })
}

/// Everything that a machine in use has.
fn in_use() -> Value {
    let report = json!({
        "protocol": 1,
        "docker": "ready",
        "containers": {"running": 2, "total": 3},
        "disk": {"used": 5_000_000_000_u64, "total": 20_000_000_000_u64},
        "lease_seconds": 290,
        "others": [],
        "uptime_seconds": 100,
    });
    let checks = json!([
        {"check": "heartbeat", "first": NOW - 300, "last": NOW - 9, "count": 11, "took_ms": 12.4,
            "error": null},
        {"check": "connect", "first": NOW - 310, "last": NOW - 310, "count": 1, "took_ms": null,
            "error": null},
        {"check": "path", "first": NOW - 323, "last": NOW - 323, "count": 1, "took_ms": null,
            "error": "the machine has not answered for 6 s"},
    ]);
    let loss = json!({
        "at": NOW - 323,
        "reason": "the machine has not answered for 6 s",
        "seconds": 13.2,
        "end": "reconnected",
    });
    let ended = json!({
        "what": "POST /containers/create",
        "client": "docker",
        "seconds_ago": 20.0,
        "seconds": 0.25,
        "bytes_sent": 900,
        "bytes_received": 300,
    });
    let kind = |kind: &str, now: u64, total: u64, recent: Value| {
        json!({
            "kind": kind,
            "now": now,
            "total": total,
            "bytes_sent": 1_200,
            "bytes_received": 34_000_000,
            "recent": recent,
        })
    };
    let port = |local: &str, asked_for: Value| {
        json!({"local": local, "protocol": "tcp", "container": "web", "container_port": 80,
            "asked_for": asked_for, "state": {"state": "open"}})
    };
    json!({
        "state": "up",
        "since_seconds": 310.0,
        "machine": machine(),
        "report": report,
        "tunnel": {"up": 1200, "down": 34_000, "streams": 2, "round_trip_ms": 12.34},
        "checks": checks,
        "reconnects": {"total": 1, "recent": [loss]},
        "activity": [kind("command", 1, 41, json!([ended])), kind("build", 0, 2, json!([]))],
        "ports": [port("127.0.0.1:80", Value::Null)],
        "cost": cost(),
        "budget": {"limit": 20.0, "spent": 1.5},
        "reasons": [{
            "kind": "command",
            "what": "GET /containers/json",
            "client": "docker",
            "age_seconds": 3,
            "seconds": null,
        }],
        "next": "kept: 1 activity in progress",
    })
}
