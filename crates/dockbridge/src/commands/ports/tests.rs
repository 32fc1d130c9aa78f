use serde_json::{Value, json};

use super::*;

fn shown(ports: &Value, has_machine: bool) -> String {
    let ports: Vec<PortStatus> = serde_json::from_value(ports.clone()).unwrap();
    let document = serde_json::to_value(PortsDocument::of(&ports)).unwrap();
    testkit::assert_follows("ports", &document);
    lines(&ports, has_machine).join("\n")
}

fn port(local: &str, container: &str, state: Value) -> Value {
    json!({
        "local": local,
        "protocol": "tcp",
        "container": container,
        "container_port": 80,
        "asked_for": null,
        "by_hand": false,
        "connections_now": 1,
        "connections_total": 12,
        "bytes_in": 512,
        "bytes_out": 2_500_000,
        "last_used_seconds": 42.0,
        "recent": [],
        "state": state,
    })
}

#[test]
fn open_ports_show_traffic_and_notes() {
    let mut chosen = port("127.0.0.1:8081", "api", json!({"state": "open"}));
    chosen["asked_for"] = json!("127.0.0.1:8080");
    chosen["recent"] = json!([
        {"seconds_ago": 3.0, "client": "127.0.0.1:50000", "error": "the container refused it"},
        {"seconds_ago": 9.0, "client": "127.0.0.1:50001", "error": null},
    ]);
    let mut udp = port("127.0.0.1:53", "dns", json!({"state": "open"}));
    udp["protocol"] = json!("udp");
    udp["last_used_seconds"] = Value::Null;
    let web = port("127.0.0.1:8080", "web", json!({"state": "open"}));
    insta::assert_snapshot!(shown(&json!([web, chosen, udp]), true), @"
    LOCAL             CONTAINER  STATE  NOW  ALL  IN     OUT     LAST USED
    127.0.0.1:8080    web:80     open   1    12   512 B  2.5 MB  42 s ago
    127.0.0.1:8081    api:80     open   1    12   512 B  2.5 MB  42 s ago
      127.0.0.1:8080 is in use on this computer; 127.0.0.1:8081 was chosen instead
      3.0 s ago from 127.0.0.1:50000: the container refused it
    127.0.0.1:53/udp  dns:80     open   1    12   512 B  2.5 MB  never
    ");
}

#[test]
fn a_closed_port_shows_why() {
    let why = "port 8080 of 127.0.0.1 is in use";
    let unavailable = port("127.0.0.1:8080", "web", json!({"state": "unavailable", "why": why}));
    let why = "container \"db\" does not run";
    let mut waiting = port("127.0.0.1:5432", "db", json!({"state": "waiting", "why": why}));
    waiting["by_hand"] = json!(true);
    insta::assert_snapshot!(shown(&json!([unavailable, waiting]), true), @r#"
    LOCAL           CONTAINER  STATE        NOW  ALL  IN     OUT     LAST USED
    127.0.0.1:8080  web:80     unavailable  1    12   512 B  2.5 MB  42 s ago
      port 8080 of 127.0.0.1 is in use
    127.0.0.1:5432  db:80      waiting      1    12   512 B  2.5 MB  42 s ago
      container "db" does not run
      added with `ports add`
    "#);
}

#[test]
fn without_ports_one_line_says_so() {
    insta::assert_snapshot!(shown(&json!([]), true), @"No container publishes a port.");
    insta::assert_snapshot!(shown(&json!([]), false), @"
    No container publishes a port.
    No machine is up: the next docker command or `dockbridge wake` starts its
    containers again.
    ");
}
