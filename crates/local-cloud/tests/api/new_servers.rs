//! Creation of servers.

use serde_json::{Value, json};

use crate::rig::Rig;
use crate::servers::{order, status};

#[tokio::test]
async fn a_server_is_initializing_with_an_address_and_then_runs() {
    let rig = Rig::start().await;
    let made = rig.post("/servers", order("s")).await;
    made.expect(201);
    assert_eq!(made.body["server"]["status"], "initializing");
    assert!(made.body["server"]["public_net"]["ipv4"]["ip"].is_string());
    assert_eq!(made.body["server"]["location"]["name"], "fsn1");
    assert_eq!(made.body["server"].get("datacenter"), None, "removed in July 2026");
    assert_eq!(
        (&made.body["action"]["command"], &made.body["action"]["status"]),
        (&json!("create_server"), &json!("running"))
    );
    assert_eq!(made.body["next_actions"][0]["command"], "start_server");
    assert!(made.body["root_password"].is_string());
    let made = rig.done(made).await;
    assert_eq!(status(&rig, made.id("server")).await, "running");
}

#[tokio::test]
async fn a_server_without_start_after_create_is_off() {
    let rig = Rig::start().await;
    let server = rig.server_with("s", json!({"start_after_create": false})).await;
    assert_eq!(status(&rig, server).await, "off");
}

#[tokio::test]
async fn next_actions_wait_for_their_parent_and_the_start_comes_before_the_attachment() {
    let rig = Rig::start().await;
    let volume = rig.volume("v").await;
    let mut wanted = order("s");
    wanted["volumes"] = json!([volume]);
    let made = rig.post("/servers", wanted).await;
    let ids = made.actions();
    let commands: Vec<&Value> =
        made.body["next_actions"].as_array().unwrap().iter().map(|a| &a["command"]).collect();
    assert_eq!(commands, ["start_server", "attach_volume"]);
    let path = format!("/actions?id={}&id={}&id={}", ids[0], ids[1], ids[2]);
    let all = rig
        .until(&path, |body| {
            let all = body["actions"].as_array().unwrap();
            let ends = |id: &u64| all.iter().any(|a| a["id"] == *id && a["status"] != "running");
            let ended: Vec<bool> = ids.iter().map(ends).collect();
            assert!(
                ended.is_sorted_by(|a, b| a >= b),
                "one ended before its predecessor: {body:#}"
            );
            ended.iter().all(|e| *e)
        })
        .await;
    assert!(
        all["actions"]
            .as_array()
            .unwrap()
            .iter()
            .all(|a| a["progress"] == 100 && a["finished"].is_string()),
        "{all:#}"
    );
    let server = made.id("server");
    assert_eq!(
        rig.get(&format!("/servers/{server}")).await.body["server"]["volumes"],
        json!([volume])
    );
    assert_eq!(rig.get(&format!("/volumes/{volume}")).await.body["volume"]["server"], server);
}

#[tokio::test]
async fn invalid_orders_are_refused_and_create_nothing() {
    let rig = Rig::start().await;
    let with = |field: &str, value: Value| {
        let mut order = order("s");
        order[field] = value;
        order
    };
    for (order, code, fields) in [
        (with("name", json!("under_score")), "invalid_input", vec!["name"]),
        (with("server_type", json!("cx99")), "invalid_input", vec!["server_type"]),
        (with("image", json!("windows-11")), "invalid_input", vec!["image"]),
        (with("location", json!("moon")), "invalid_input", vec!["location"]),
        (with("ssh_keys", json!(["nobody"])), "invalid_input", vec!["ssh_keys"]),
        (with("volumes", json!([1])), "invalid_input", vec!["volumes"]),
        (with("firewalls", json!([{"firewall": 1}])), "invalid_input", vec!["firewalls"]),
        (with("user_data", json!("x".repeat(32 * 1024 + 1))), "invalid_input", vec!["user_data"]),
        (with("automount", json!(true)), "invalid_input", vec!["automount"]),
        (with("public_net", json!({"ipv5": true})), "invalid_input", vec!["public_net"]),
        (with("datacenter", json!("fsn1-dc14")), "invalid_input", vec!["datacenter"]),
    ] {
        let answer = rig.post("/servers", order).await;
        assert_eq!(answer.refused(422, code).fields(), fields);
    }
    rig.post("/servers", with("networks", json!([1]))).await.refused(422, "unsupported_error");
    assert_eq!(
        rig.post("/servers", with("server_type", json!("cpx21"))).await.message(),
        "unsupported location for server type"
    );
    assert_eq!(
        rig.post("/servers", with("server_type", json!("cx22"))).await.message(),
        "server type 104 is deprecated"
    );
    rig.post("/servers", with("user_data", json!("x".repeat(32 * 1024)))).await.expect(201);
    assert_eq!(rig.get("/servers").await.names("servers"), ["s"]);
}

#[tokio::test]
async fn a_server_without_any_address_can_be_created_but_not_started() {
    const NEEDED: &str = "server must be attached to at least one of: primary_ipv4, primary_ipv6, \
     private_network";
    let rig = Rig::start().await;
    let mut wanted = order("s");
    wanted["public_net"] = json!({"enable_ipv4": false, "enable_ipv6": false});
    assert_eq!(
        rig.post("/servers", wanted.clone()).await.refused(422, "invalid_input").message(),
        NEEDED
    );
    wanted["start_after_create"] = json!(false);
    let made = rig.done(rig.post("/servers", wanted).await).await;
    let net = &made.expect(201).body["server"]["public_net"];
    assert_eq!((&net["ipv4"], &net["ipv6"]), (&Value::Null, &Value::Null));
    let server = made.id("server");
    assert_eq!(status(&rig, server).await, "off");
    let start = rig.post(&format!("/servers/{server}/actions/poweron"), json!({})).await;
    assert_eq!(start.refused(422, "invalid_input").message(), NEEDED);
    assert_eq!(rig.get("/primary_ips").await.body["primary_ips"], json!([]));
    rig.done(rig.delete(&format!("/servers/{server}")).await).await;
}

#[tokio::test]
async fn ids_and_names_are_both_accepted() {
    let rig = Rig::start().await;
    let order = json!({"name": "s", "server_type": 45, "image": "161547270", "location": "3"});
    let made = rig.post("/servers", order).await;
    made.expect(201);
    let server = &made.body["server"];
    assert_eq!(
        (&server["server_type"]["name"], &server["location"]["name"]),
        (&json!("cax11"), &json!("hel1"))
    );
    let by_name = rig
        .post("/servers", json!({"name": "t", "server_type": "cax11", "image": "docker-ce"}))
        .await;
    assert_eq!(
        by_name.body["server"]["image"]["architecture"], "arm",
        "the image has the type's architecture"
    );
    let wrong = rig
        .post("/servers", json!({"name": "u", "server_type": "cax11", "image": 161_547_269}))
        .await;
    assert_eq!(wrong.refused(422, "invalid_input").fields(), ["image"]);
}

#[tokio::test]
async fn a_name_is_taken_until_the_deletion_has_ended() {
    let rig = Rig::start().await;
    let server = rig.server("s").await;
    assert_eq!(
        rig.post("/servers", order("s")).await.refused(409, "uniqueness_error").message(),
        "server name is already used"
    );
    rig.order_fault(json!({"kind": "action_hang", "delay_ms": 1000})).await;
    let deletion = rig.delete(&format!("/servers/{server}")).await;
    assert_eq!(deletion.expect(200).body["action"]["command"], "delete_server");
    rig.post("/servers", order("s")).await.refused(409, "uniqueness_error");
    rig.done(deletion).await;
    rig.get(&format!("/servers/{server}")).await.refused(404, "not_found");
    rig.post("/servers", order("s")).await.expect(201);
}

#[tokio::test]
async fn a_starting_server_is_not_shown_locked_but_refuses_other_actions() {
    let rig = Rig::start().await;
    rig.order_fault(json!({"kind": "action_hang", "delay_ms": 1000})).await;
    let made = rig.post("/servers", order("s")).await;
    let server = made.id("server");
    assert_eq!(made.expect(201).body["server"]["locked"], false);
    rig.post(&format!("/servers/{server}/actions/poweroff"), json!({}))
        .await
        .refused(423, "locked");
    rig.delete(&format!("/servers/{server}")).await.refused(423, "locked");
    let shown =
        async || rig.get(&format!("/servers/{server}")).await.body["server"]["locked"].clone();
    assert_eq!(shown().await, false);
    rig.done(made).await;
    rig.done(rig.post(&format!("/servers/{server}/actions/poweroff"), json!({})).await)
        .await
        .expect(201);
    assert_eq!(status(&rig, server).await, "off");
    let start = rig.post(&format!("/servers/{server}/actions/poweron"), json!({})).await;
    assert_eq!(shown().await, false);
    rig.done(start).await;
    let snapshot = rig.post(&format!("/servers/{server}/actions/create_image"), json!({})).await;
    assert_eq!(shown().await, true, "a snapshot locks");
    rig.done(snapshot).await;
    assert_eq!(shown().await, false);
}

#[tokio::test]
async fn the_start_has_a_lower_id_than_the_creation_before_it() {
    let rig = Rig::start().await;
    let volume = rig.volume("v").await;
    let mut wanted = order("s");
    wanted["volumes"] = json!([volume]);
    let made = rig.done(rig.post("/servers", wanted).await).await;
    let [create, start, attach] = made.actions()[..] else { panic!("{:#}", made.body) };
    assert!(start < create && create < attach, "{:#}", made.body);
}
