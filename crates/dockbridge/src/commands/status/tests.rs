use serde_json::{Value, json};

use super::*;

mod states;

fn shown(fields: Value) -> String {
    let mut status = json!({
        "profile": "default",
        "socket": "/run/user/1000/dockbridge/default/docker.sock",
        "process": 1,
        "state": "absent",
        "reason": null,
        "since_seconds": 90.0,
        "machine": null,
        "phases": [],
        "report": null,
        "tunnel": null,
        "ports": [],
        "cost": null,
        "next": "the next docker command creates a machine",
        "reasons": [],
    });
    status.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let status: Status = serde_json::from_value(status).unwrap();
    let document = serde_json::to_value(StatusDocument::new(&status, None)).unwrap();
    testkit::assert_follows("status", &document);
    lines(&status).join("\n")
}

fn machine() -> Value {
    json!({
        "id": 7,
        "name": "db-default",
        "address": "203.0.113.7",
        "status": "running",
        "server_type": "cx23",
        "location": "fsn1",
        "price_hourly": 0.0068,
        "volume": {
            "id": 8,
            "name": "dockbridge-default",
            "size": 20,
            "location": "fsn1",
            "price_monthly": 0.88,
            "server": 7,
        },
        "image": {"id": 9, "name": "docker-ce", "because": null},
    })
}

#[test]
fn without_a_machine() {
    insta::assert_snapshot!(shown(json!({"proxy_port": 2375})), @"
    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    Port      tcp://127.0.0.1:2375 (same engine)
    State     absent for 90 s
    Next      the next docker command creates a machine
    ");
}

#[test]
fn with_a_machine_in_use() {
    let port = |local: &str, asked_for: Value, state: Value| {
        json!({
            "local": local,
            "protocol": "tcp",
            "container": "web",
            "container_port": 80,
            "asked_for": asked_for,
            "state": state,
        })
    };
    let why = "port 8080 of 127.0.0.1 is in use";
    let shown = shown(json!({
        "state": "up",
        "machine": machine(),
        "report": {
            "protocol": 1,
            "docker": "ready",
            "containers": {"running": 2, "total": 3},
            "disk": {"used": 5_000_000_000_u64, "total": 20_000_000_000_u64},
            "lease_seconds": 290,
            "others": [],
            "uptime_seconds": 100,
        },
        "tunnel": {"up": 1200, "down": 34_000, "streams": 2, "round_trip_ms": 12.34},
        "ports": [
            port("127.0.0.1:80", Value::Null, json!({"state": "open"})),
            port("127.0.0.1:8081", json!("127.0.0.1:8080"), json!({"state": "open"})),
            port("127.0.0.1:8080", Value::Null, json!({"state": "unavailable", "why": why})),
        ],
        "cost": {"hourly": 0.0068, "hours": 2, "so_far": 0.0136, "volume_monthly": 0.88},
        "budget": {"limit": 20.0, "spent": 1.5},
        "reasons": [{
            "kind": "command",
            "what": "GET /containers/json",
            "client": "docker",
            "age_seconds": 3,
            "seconds": null,
        }],
        "next": "kept: one activity in progress",
    }));
    insta::assert_snapshot!(shown, @"
    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    State     up for 90 s
    Machine   db-default (7, cx23 in fsn1), running, 203.0.113.7, 0.0068 EUR net a started hour
    Image     docker-ce (9)
    Volume    dockbridge-default (8, 20 GB in fsn1)
    Docker    2 of 3 containers run, volume 25.0 % full, lease 290 s
    Tunnel    2 streams, 1200 bytes up, 34000 down, round trip 12.3 ms
    Port      127.0.0.1:80 forwards to web:80
    Port      127.0.0.1:8081 forwards to web:80, because 127.0.0.1:8080 is in use here
    Port      127.0.0.1:8080 does not forward to web:80: port 8080 of 127.0.0.1 is in use
    Cost      0.0136 EUR so far (2 started h at 0.0068); the volume 0.88 EUR a month; all net
    Budget    1.50 of 20.00 EUR spent this month; net
    Kept by   command   GET /containers/json, for 3s, by docker, while it continues
    Next      kept: one activity in progress
    ");
}

#[test]
fn after_an_end_with_warnings_and_a_pin() {
    let mut last = machine();
    last["price_hourly"] = Value::Null;
    let shown = shown(json!({
        "reason": "nothing has used it for 5 min",
        "last_known": {"machine": last, "age_seconds": 300},
        "last_end": {
            "server": 7,
            "actor": "policy",
            "because": "nothing has used it for 5 min",
            "age_seconds": 90,
        },
        "pin": {"age_seconds": 10, "seconds": null},
        "warnings": ["the volume is 91 % full"],
    }));
    insta::assert_snapshot!(shown, @"
    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    State     absent for 90 s: nothing has used it for 5 min
    Last seen db-default (7, cx23 in fsn1), running, 203.0.113.7, as seen 5m ago
    Last end  Server 7, deleted by the policy 1m 30s ago: nothing has used it for 5 min
    Note      the volume is 91 % full
    Pinned    until `dockbridge unpin`, applies once a machine exists
    Next      the next docker command creates a machine
    ");
}
