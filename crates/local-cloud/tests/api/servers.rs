//! Servers from order to deletion.

use reqwest::Method;
use serde_json::{Value, json};

use crate::rig::Rig;

async fn status(rig: &Rig, server: u64) -> Value {
    rig.get(&format!("/servers/{server}")).await.body["server"]["status"].clone()
}

fn order(name: &str) -> Value {
    json!({"name": name, "server_type": "cx23", "image": "docker-ce", "location": "fsn1"})
}

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
async fn a_server_that_is_not_to_start_is_off() {
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
                "one ended before its predecessor: \
                {body:#}"
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
async fn orders_that_make_no_sense_are_refused_and_nothing_is_made() {
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
async fn a_server_without_any_address_can_be_made_but_not_started() {
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
async fn ids_and_names_are_taken_alike() {
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
        "the image of the type's \
        architecture is meant"
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
async fn a_server_on_its_way_up_is_not_shown_locked_but_refuses_other_actions() {
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

#[tokio::test]
async fn power_goes_off_and_on() {
    let rig = Rig::start().await;
    let server = rig.server("s").await;
    let act = async |name: &str| {
        rig.done(rig.post(&format!("/servers/{server}/actions/{name}"), json!({})).await).await
    };
    act("reboot").await;
    assert_eq!(status(&rig, server).await, "running");
    act("shutdown").await;
    rig.until(&format!("/servers/{server}"), |body| body["server"]["status"] == "off").await;
    act("poweron").await;
    act("poweron").await;
    assert_eq!(status(&rig, server).await, "running");
    act("reset").await;
    assert_eq!(status(&rig, server).await, "running");
}

#[tokio::test]
async fn metrics_are_series_of_changing_numbers() {
    let rig = Rig::start().await;
    let server = rig.server("s").await;
    let range = "start=2026-10-01T00:00:00Z&end=2026-10-01T01:00:00Z";
    let path = |query: &str| format!("/servers/{server}/metrics?{query}");
    let metrics = rig
        .get(&path(&format!("type=cpu,disk&type=network&{range}&step=60")))
        .await
        .expect(200)
        .body["metrics"]
        .clone();
    let series = metrics["time_series"].as_object().unwrap();
    assert_eq!(series.len(), 9);
    for (name, series) in series {
        let values = series["values"].as_array().unwrap();
        let numbers: Vec<f64> =
            values.iter().map(|v| v[1].as_str().unwrap().parse().unwrap()).collect();
        assert_eq!((values.len(), &values[1][0]), (61, &json!(1_790_812_860)), "{name}");
        assert!(
            numbers.windows(2).any(|two| two[0] != two[1]) && numbers.iter().all(|n| *n >= 0.0),
            "{name}: {numbers:?}"
        );
    }
    rig.get(&path("type=memory&start=2026-10-01T00:00:00Z&end=2026-10-01T01:00:00Z"))
        .await
        .refused(422, "invalid_input");
    assert_eq!(rig.get(&path(range)).await.refused(422, "invalid_input").fields(), ["type"]);
    assert_eq!(
        rig.get(&path("type=cpu&start=yesterday")).await.refused(422, "invalid_input").fields(),
        ["start"]
    );
}

#[tokio::test]
async fn a_power_cut_turns_a_server_off_without_an_action() {
    let rig = Rig::start().await;
    let server = rig.server("s").await;
    let actions = async || {
        rig.get(&format!("/servers/{server}/actions")).await.body["actions"]
            .as_array()
            .unwrap()
            .len()
    };
    let before = actions().await;
    rig.poke(Method::POST, &format!("/servers/{server}/power_cut"), json!({})).await.expect(200);
    assert_eq!(status(&rig, server).await, "off");
    assert_eq!(actions().await, before);
    rig.poke(Method::POST, "/servers/1/power_cut", json!({})).await.expect(404);
}

#[tokio::test]
async fn the_type_changes_only_when_off_and_the_disk_never_shrinks() {
    let rig = Rig::start().await;
    let server = rig.server("s").await;
    let path = format!("/servers/{server}/actions/change_type");
    let change = async |name: &str, upgrade: bool| {
        rig.post(&path, json!({"server_type": name, "upgrade_disk": upgrade})).await
    };
    change("cx33", true).await.refused(422, "server_not_stopped");
    rig.done(rig.post(&format!("/servers/{server}/actions/poweroff"), json!({})).await).await;
    change("cax21", false).await.refused(422, "invalid_server_type");
    rig.done(change("cx33", true).await).await.expect(201);
    let body = rig.get(&format!("/servers/{server}")).await.body["server"].clone();
    assert_eq!(
        (&body["server_type"]["name"], &body["primary_disk_size"], &body["status"]),
        (&json!("cx33"), &json!(80), &json!("off"))
    );
    change("cx23", false).await.refused(422, "invalid_server_type");
}

#[tokio::test]
async fn protection_keeps_a_server_from_deletion_and_rebuilding() {
    let rig = Rig::start().await;
    let server = rig.server("s").await;
    let protect = format!("/servers/{server}/actions/change_protection");
    rig.post(&protect, json!({"delete": true})).await.refused(422, "invalid_input");
    rig.done(rig.post(&protect, json!({"delete": true, "rebuild": true})).await).await;
    rig.delete(&format!("/servers/{server}")).await.refused(423, "protected");
    rig.post(&format!("/servers/{server}/actions/rebuild"), json!({"image": "debian-12"}))
        .await
        .refused(423, "protected");
    rig.done(rig.post(&protect, json!({"delete": false, "rebuild": false})).await).await;
    rig.done(rig.delete(&format!("/servers/{server}")).await).await.expect(200);
}

#[tokio::test]
async fn rebuilding_keeps_id_and_address() {
    let rig = Rig::start().await;
    let server = rig.server("s").await;
    let before = rig.get(&format!("/servers/{server}")).await.body["server"].clone();
    rig.done(
        rig.post(&format!("/servers/{server}/actions/rebuild"), json!({"image": "debian-13"}))
            .await,
    )
    .await
    .expect(201);
    let after = rig.get(&format!("/servers/{server}")).await.body["server"].clone();
    assert_eq!(after["public_net"], before["public_net"]);
    assert_eq!(
        (&after["image"]["name"], &after["status"]),
        (&json!("debian-13"), &json!("running"))
    );
}

#[tokio::test]
async fn servers_are_found_by_name_status_and_labels() {
    let rig = Rig::start().await;
    let one = rig.server_with("one", json!({"labels": {"role": "web", "env": "prod"}})).await;
    rig.server_with("two", json!({"labels": {"role": "db"}, "start_after_create": false})).await;
    let names = async |query: &str| rig.get(&format!("/servers?{query}")).await.names("servers");
    assert_eq!(names("name=two").await, ["two"]);
    assert_eq!(names("name=tw").await, Vec::<String>::new());
    assert_eq!(names("status=off").await, ["two"]);
    assert_eq!(names("status=off&status=running&sort=name:desc").await, ["two", "one"]);
    assert_eq!(names("label_selector=role%3D%3Dweb").await, ["one"]);
    assert_eq!(names("label_selector=role+in+(web,db),!env").await, ["two"]);
    let bad = rig.get("/servers?label_selector=a,,b").await;
    assert!(
        bad.refused(422, "invalid_input").message().starts_with("invalid label_selector"),
        "{}",
        bad.message()
    );
    rig.put(&format!("/servers/{one}"), json!({"labels": {"role": "db"}})).await.expect(200);
    assert_eq!(
        names("label_selector=role%3Ddb&sort=name").await,
        ["one", "two"],
        "the whole set \
        is replaced"
    );
    assert_eq!(names("label_selector=env").await, Vec::<String>::new());
    rig.put(&format!("/servers/{one}"), json!({"name": "two"}))
        .await
        .refused(409, "uniqueness_error");
}

#[tokio::test]
async fn addresses_are_listed_and_go_with_their_server() {
    let rig = Rig::start().await;
    let server = rig.server_with("s", json!({"public_net": {"enable_ipv6": false}})).await;
    let ips = rig.get("/primary_ips").await.body["primary_ips"].clone();
    assert_eq!(
        (ips.as_array().unwrap().len(), &ips[0]["assignee_id"], &ips[0]["type"]),
        (1, &json!(server), &json!("ipv4"))
    );
    rig.delete(&format!("/primary_ips/{}", ips[0]["id"])).await.refused(422, "must_be_unassigned");
    rig.done(rig.delete(&format!("/servers/{server}")).await).await;
    assert_eq!(rig.get("/primary_ips").await.body["primary_ips"], json!([]));
}

#[tokio::test]
async fn the_rescue_system_is_on_until_the_next_boot_or_until_it_is_taken_back() {
    let rig = Rig::start().await;
    rig.post("/ssh_keys", json!({"name": "k", "public_key": crate::ssh_keys::KEY}))
        .await
        .expect(201);
    let key = rig.get("/ssh_keys").await.body["ssh_keys"][0]["id"].clone();
    let server = rig.server("s").await;
    let on = |name: &str| format!("/servers/{server}/actions/{name}");
    let enabled = async || {
        rig.get(&format!("/servers/{server}")).await.body["server"]["rescue_enabled"].clone()
    };
    assert_eq!(enabled().await, false);
    let enable = async || {
        rig.post(&on("enable_rescue"), json!({"type": "linux64", "ssh_keys": [key]})).await
    };
    let made = rig.done(enable().await).await;
    assert_eq!(made.body["action"]["command"], "enable_rescue");
    assert!(made.body["root_password"].is_string());
    assert_eq!(enabled().await, true);
    rig.done(rig.post(&on("poweron"), json!({})).await).await;
    assert_eq!(enabled().await, true, "it runs already, so nothing has booted");
    rig.done(rig.post(&on("reset"), json!({})).await).await;
    assert_eq!(enabled().await, false);

    rig.done(enable().await).await;
    rig.done(rig.post(&on("disable_rescue"), json!({})).await).await;
    assert_eq!(enabled().await, false);
    rig.post(&on("enable_rescue"), json!({"type": "freebsd64"}))
        .await
        .refused(422, "invalid_input");
    let unknown = rig.post(&on("enable_rescue"), json!({"ssh_keys": [1]})).await;
    assert_eq!(unknown.refused(422, "invalid_input").fields(), ["ssh_keys"]);
}

#[tokio::test]
async fn an_address_that_was_told_to_stay_outlives_its_server() {
    let rig = Rig::start().await;
    let server = rig.server_with("s", json!({"public_net": {"enable_ipv6": false}})).await;
    let id = rig.get("/primary_ips").await.body["primary_ips"][0]["id"].as_u64().unwrap();
    let path = format!("/primary_ips/{id}");
    let labels = json!({"role": "address"});
    let changed = rig
        .put(&path, json!({"labels": labels, "auto_delete": false, "name": "mine"}))
        .await
        .expect(200)
        .body
        .clone();
    assert_eq!(changed["primary_ip"]["assignee_type"], "server");
    assert_eq!(
        (&changed["primary_ip"]["labels"], &changed["primary_ip"]["name"]),
        (&labels, &json!("mine"))
    );
    rig.done(rig.delete(&format!("/servers/{server}")).await).await;
    let left =
        rig.get("/primary_ips?label_selector=role%3Daddress").await.body["primary_ips"].clone();
    assert_eq!((&left[0]["id"], &left[0]["assignee_id"]), (&json!(id), &json!(null)));
    assert_eq!(left[0]["assignee_type"], "unassigned");
    rig.delete(&path).await.expect(204);
    rig.get(&path).await.refused(404, "not_found");
}
