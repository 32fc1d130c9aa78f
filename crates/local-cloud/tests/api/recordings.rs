//! Recorded and published answers of Hetzner, as facts: the same request here gets the same fields
//! and values. Ids, names and times are those of this cloud.

use dockbridge_local_cloud::{Cloud, Limits, Options};
use serde_json::{Value, json};

use crate::rig::{Answer, Rig, options};

fn order(name: &str) -> Value {
    json!({"name": name, "server_type": "cx23", "image": "docker-ce", "location": "fsn1"})
}

/// 2018-03-02 and 2020-07-01: a server right after its order. 2023-01-27: the actions that follow.
#[tokio::test]
async fn a_server_that_was_just_ordered() {
    let rig = Rig::start().await;
    let volume = rig.volume("v").await;
    let mut wanted = order("s");
    wanted["volumes"] = json!([volume]);
    let made = rig.post("/servers", wanted).await;
    let (server, id) = (&made.expect(201).body["server"], made.id("server"));
    let recorded = json!({
        "status": "initializing",
        "locked": false,
        "rescue_enabled": false,
        "iso": null,
        "backup_window": null,
        "outgoing_traffic": 0,
        "ingoing_traffic": 0,
        "included_traffic": 21_990_232_555_520_u64,
        "labels": {},
        "protection": {"delete": false, "rebuild": false},
        "volumes": [],
    });
    for (field, value) in recorded.as_object().unwrap() {
        assert_eq!(server[field], *value, "{field}");
    }
    let net = &server["public_net"];
    assert_eq!(
        (&net["ipv4"]["blocked"], &net["ipv6"]["blocked"], &net["ipv6"]["dns_ptr"]),
        (&json!(false), &json!(false), &json!([]))
    );
    assert_eq!(net["floating_ips"], json!([]));
    let action = |action: &Value, command: &str, resources: Value| {
        let started = action["started"].as_str().unwrap();
        assert_eq!(started, server["created"]);
        let expected = json!({
            "id": action["id"],
            "command": command,
            "status": "running",
            "progress": 0,
            "started": started,
            "finished": null,
            "resources": resources,
            "error": null,
        });
        assert_eq!(*action, expected);
        action["id"].as_u64().unwrap()
    };
    let on_server = json!([{"id": id, "type": "server"}]);
    let create = action(&made.body["action"], "create_server", on_server.clone());
    let start = action(&made.body["next_actions"][0], "start_server", on_server);
    let both = json!([{"id": id, "type": "server"}, {"id": volume, "type": "volume"}]);
    action(&made.body["next_actions"][1], "attach_volume", both);
    assert!(start < create, "the start had the lower id: {start} {create}");
    let password = made.body["root_password"].as_str().unwrap();
    assert!(
        password.len() == 20 && password.chars().all(|c| c.is_ascii_alphanumeric()),
        "{password}"
    );
    rig.done(made).await;
}

fn headers_are_as_recorded(answer: &Answer) {
    for (name, value) in [
        ("content-type", "application/json"),
        ("ratelimit-limit", "3600"),
        ("strict-transport-security", "max-age=15724800; includeSubDomains"),
        ("access-control-allow-origin", "*"),
        ("access-control-allow-credentials", "true"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    for name in ["ratelimit-remaining", "ratelimit-reset"] {
        answer.header(name).parse::<u64>().unwrap();
    }
    answer.header("x-correlation-id");
}

/// 2022-04-13, 219 ms after the request.
#[tokio::test]
async fn no_stock() {
    let rig = Rig::start().await;
    rig.order_fault(json!({"kind": "stock_out"})).await;
    let refused = rig.post("/servers", order("s")).await;
    let error = json!({
        "message": "error during placement",
        "code": "resource_unavailable",
        "details": null,
    });
    assert_eq!(
        (
            refused.refused(412, "resource_unavailable").header("content-length"),
            &refused.body["error"]
        ),
        ("118", &error)
    );
    headers_are_as_recorded(&refused);
}

/// December 2025 to March 2026, for servers in Falkenstein.
#[tokio::test]
async fn a_disabled_location() {
    let rig = Rig::start().await;
    rig.order_fault(json!({"kind": "location_disabled"})).await;
    let refused = rig.post("/servers", order("s")).await;
    let error = json!({
        "message": "server location disabled",
        "code": "resource_unavailable",
        "details": {},
    });
    assert_eq!(refused.refused(412, "resource_unavailable").body["error"], error);
}

/// 2022-02-17; the message is that of later reports, and of the recorded length.
#[tokio::test]
async fn too_many_servers() {
    let directory = tempfile::tempdir().unwrap();
    let none =
        Options { limits: Limits { servers: Some(0), ..Limits::default() }, ..options(&directory) };
    let rig = Rig::around(Cloud::start(none).await.unwrap(), directory);
    let refused = rig.post("/servers", order("s")).await;
    assert_eq!(refused.refused(403, "resource_limit_exceeded").header("content-length"), "202");
    headers_are_as_recorded(&refused);
}

/// 2026-09-13: refusals by Hetzner's front end.
#[tokio::test]
async fn refused_tokens_are_answered_on_one_line() {
    let rig = Rig::start().await;
    let refused = rig.http.get(rig.url("/servers")).send().await.unwrap();
    assert_eq!(
        refused.text().await.unwrap(),
        r#"{"error":{"code":"unauthorized","details":null,"message":"token is required"}}"#
    );
}
