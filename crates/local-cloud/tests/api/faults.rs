//! Fault injection.

use std::time::{Duration, SystemTime};

use reqwest::Method;
use serde_json::{Value, json};

use crate::rig::{OTHER, Rig, TOKEN};

fn order(name: &str) -> Value {
    json!({"name": name, "server_type": "cx23", "image": "docker-ce", "location": "fsn1"})
}

#[tokio::test]
async fn stock_runs_out_as_often_as_requested() {
    let rig = Rig::start().await;
    rig.order_fault(
        json!({"kind": "stock_out", "match": {"body": {"server_type": "cx23"}}, "times": 1}),
    )
    .await;
    rig.order_fault(json!({"kind": "unsupported_location"})).await;
    let out = rig.post("/servers", order("s")).await;
    assert_eq!(out.refused(412, "resource_unavailable").message(), "error during placement");
    let not_here = rig.post("/servers", order("s")).await;
    assert_eq!(
        not_here.refused(422, "invalid_input").message(),
        "unsupported location for server type"
    );
    rig.order_fault(json!({"kind": "image_gone"})).await;
    rig.post("/servers", order("s")).await.refused(422, "invalid_input");
    rig.order_fault(json!({"kind": "type_deprecated"})).await;
    let withdrawn = rig.post("/servers", order("s")).await;
    assert_eq!(withdrawn.refused(422, "invalid_input").message(), "server type 114 is deprecated");
    rig.post("/servers", order("s")).await.expect(201);
}

#[tokio::test]
async fn a_location_can_refuse_volumes_or_everything() {
    let rig = Rig::start().await;
    let volume = |location: &str| json!({"name": location, "size": 10, "location": location});
    rig.order_fault(
        json!({"kind": "no_space_left", "match": {"body": {"location": "fsn1"}}, "times": 2}),
    )
    .await;
    rig.post("/servers", order("s")).await.expect(201);
    rig.post("/volumes", volume("nbg1")).await.expect(201);
    rig.post("/volumes", volume("fsn1")).await.refused(422, "no_space_left_in_location");
    rig.control(Method::DELETE, "/faults", json!({})).await.expect(200);
    rig.order_fault(
        json!({"kind": "location_disabled", "match": {"body": {"location": "fsn1"}}, "times": 2}),
    )
    .await;
    rig.post("/volumes", volume("hel1")).await.expect(201);
    for (path, body) in [("/volumes", volume("fsn1")), ("/servers", order("t"))] {
        let disabled = rig.post(path, body).await;
        assert_eq!(
            disabled.refused(412, "resource_unavailable").message(),
            "server location disabled"
        );
        assert_eq!(disabled.body["error"]["details"], json!({}));
    }
    rig.post("/volumes", volume("fsn1")).await.expect(201);
}

#[tokio::test]
async fn requests_are_refused_until_the_faults_are_removed() {
    let rig = Rig::start().await;
    rig.order_fault(json!({
        "kind": "unavailable_503",
        "match": {"method": "GET", "path": "/v1/volumes"},
        "times": 9,
    }))
    .await;
    rig.get("/volumes").await.refused(503, "unavailable");
    rig.get("/servers").await.expect(200);
    rig.control(Method::DELETE, "/faults", json!({})).await.expect(200);
    rig.get("/volumes").await.expect(200);
    rig.order_fault(json!({"kind": "rate_limit"})).await;
    rig.get("/volumes").await.refused(429, "rate_limit_exceeded").header("ratelimit-reset");
    rig.control(Method::POST, "/faults", json!({"kind": "earthquake"})).await.expect(422);
}

#[tokio::test]
async fn a_request_with_a_lost_reply_is_carried_out() {
    let rig = Rig::start().await;
    rig.order_fault(json!({"kind": "lost_reply", "match": {"method": "POST"}})).await;
    let lost =
        rig.request(Method::POST, "/servers").bearer_auth(TOKEN).json(&order("s")).send().await;
    assert!(lost.is_err(), "{lost:?}");
    assert_eq!(rig.get("/servers?name=s").await.names("servers"), ["s"]);
    rig.post("/servers", order("s")).await.refused(409, "uniqueness_error");
}

#[tokio::test]
async fn an_action_with_a_fault_fails_with_those_after_it() {
    let rig = Rig::start().await;
    rig.order_fault(json!({"kind": "action_error", "match": {"path": "/v1/servers"}})).await;
    let made = rig.post("/servers", order("s")).await;
    for id in made.expect(201).actions() {
        let action = rig.ended(id).await;
        assert_eq!(
            (&action["status"], &action["error"]["code"]),
            (&json!("error"), &json!("action_failed"))
        );
    }
    let server = made.id("server");
    assert_eq!(rig.get(&format!("/servers/{server}")).await.body["server"]["status"], "off");
    rig.done(rig.post(&format!("/servers/{server}/actions/poweron"), json!({})).await).await;
    assert_eq!(rig.get(&format!("/servers/{server}")).await.body["server"]["status"], "running");
}

async fn server(rig: &Rig, id: u64) -> Value {
    rig.get(&format!("/servers/{id}")).await.body["server"].clone()
}

#[tokio::test]
async fn a_server_that_does_not_start_is_created_and_stays_off_with_its_volume() {
    let rig = Rig::start().await;
    let volume = rig.volume("v").await;
    rig.order_fault(json!({"kind": "not_started"})).await;
    let mut wanted = order("s");
    wanted["volumes"] = json!([volume]);
    let made = rig.post("/servers", wanted).await;
    let mut ends = Vec::new();
    for id in made.expect(201).actions() {
        let action = rig.ended(id).await;
        ends.push((
            action["command"].clone(),
            action["status"].clone(),
            action["error"]["code"].clone(),
        ));
    }
    let success = |command: &str| (json!(command), json!("success"), Value::Null);
    let failed = (json!("start_server"), json!("error"), json!("unknown_error"));
    assert_eq!(ends, [success("create_server"), failed, success("attach_volume")]);
    let id = made.id("server");
    let it = server(&rig, id).await;
    assert_eq!(
        (&it["status"], &it["locked"], &it["volumes"]),
        (&json!("off"), &json!(false), &json!([volume]))
    );
    rig.done(rig.post(&format!("/servers/{id}/actions/poweron"), json!({})).await).await;
    assert_eq!(server(&rig, id).await["status"], "running");
}

#[tokio::test]
async fn a_server_that_is_left_off_has_no_failed_action() {
    let rig = Rig::start().await;
    rig.order_fault(json!({"kind": "left_off"})).await;
    let id = rig.server("s").await;
    assert_eq!(server(&rig, id).await["status"], "off");
    rig.done(rig.post(&format!("/servers/{id}/actions/poweron"), json!({})).await).await;
    assert_eq!(server(&rig, id).await["status"], "running");
}

#[tokio::test]
async fn a_server_that_starts_late_is_shown_off_while_its_actions_run() {
    let rig = Rig::start().await;
    rig.order_fault(json!({"kind": "starts_late", "delay_ms": 3000})).await;
    let made = rig.post("/servers", order("s")).await;
    let (id, start) = (made.id("server"), made.body["next_actions"][0]["id"].as_u64().unwrap());
    rig.until(&format!("/servers/{id}"), |body| body["server"]["status"] == "off").await;
    assert_eq!(rig.get(&format!("/actions/{start}")).await.body["action"]["status"], "running");
    rig.done(made).await;
    assert_eq!(server(&rig, id).await["status"], "running");
}

#[tokio::test]
async fn a_delay_delays_the_answer() {
    let rig = Rig::start().await;
    rig.order_fault(json!({"kind": "unavailable_503", "delay_ms": 200})).await;
    let before = SystemTime::now();
    rig.get("/servers").await.refused(503, "unavailable");
    assert!(before.elapsed().unwrap() >= Duration::from_millis(200));
}

#[tokio::test]
async fn the_summary_counts_what_exists() {
    let rig = Rig::start().await;
    rig.server("s").await;
    rig.order_fault(json!({"kind": "rate_limit", "match": {"path": "/v1/nothing"}})).await;
    let state = rig.control(Method::GET, "/state", json!({})).await.body;
    assert_eq!(
        (&state["servers"], &state["volumes"], &state["locks"]),
        (&json!(1), &json!(0), &json!(0))
    );
    assert_eq!(state["faults"][0]["kind"], "rate_limit");
}

#[tokio::test]
async fn requests_are_counted_by_project_and_route_until_the_count_is_reset() {
    let rig = Rig::start().await;
    let counted =
        async || rig.control(Method::GET, "/state", json!({})).await.body["requests"].clone();
    rig.post("/servers", order("s")).await.expect(201);
    for _ in 0..3 {
        rig.get("/servers/1").await.refused(404, "not_found");
    }
    rig.send(rig.request(Method::GET, "/volumes").bearer_auth(OTHER)).await.expect(200);
    rig.send(rig.request(Method::GET, "/volumes")).await.refused(401, "unauthorized");
    rig.get("/nothing").await.refused(404, "not_found");
    let expected = json!({
        "one": {"total": 4, "by_route": {"POST servers": 1, "GET servers/{id}": 3}},
        "two": {"total": 1, "by_route": {"GET volumes": 1}},
    });
    assert_eq!(counted().await, expected);
    let reset = rig.control(Method::DELETE, "/requests", json!({})).await;
    assert_eq!((&reset.expect(200).body["requests"], counted().await), (&expected, json!({})));
    rig.order_fault(json!({"kind": "rate_limit"})).await;
    rig.get("/servers").await.refused(429, "rate_limit_exceeded");
    assert_eq!(
        counted().await["one"],
        json!({"total": 1, "by_route": {"GET servers": 1}}),
        "a refused one is counted"
    );
}
