//! Servers from their creation to their deletion.

use reqwest::Method;
use serde_json::{Value, json};

use crate::rig::Rig;

pub async fn status(rig: &Rig, server: u64) -> Value {
    rig.get(&format!("/servers/{server}")).await.body["server"]["status"].clone()
}

pub fn order(name: &str) -> Value {
    json!({"name": name, "server_type": "cx23", "image": "docker-ce", "location": "fsn1"})
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
    rig.control(Method::POST, &format!("/servers/{server}/power_cut"), json!({})).await.expect(200);
    assert_eq!(status(&rig, server).await, "off");
    assert_eq!(actions().await, before);
    rig.control(Method::POST, "/servers/1/power_cut", json!({})).await.expect(404);
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
        "the whole set is replaced"
    );
    assert_eq!(names("label_selector=env").await, Vec::<String>::new());
    rig.put(&format!("/servers/{one}"), json!({"name": "two"}))
        .await
        .refused(409, "uniqueness_error");
}

#[tokio::test]
async fn addresses_are_listed_and_deleted_with_their_server() {
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
async fn the_rescue_system_is_enabled_until_the_next_boot_or_until_disabled() {
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
async fn the_root_password_is_reset_while_the_server_runs() {
    let rig = Rig::start().await;
    let server = rig.server("s").await;
    let on = |name: &str| format!("/servers/{server}/actions/{name}");
    let reset = async || rig.post(&on("reset_password"), json!({})).await;
    let (first, second) = (rig.done(reset().await).await, rig.done(reset().await).await);
    assert_eq!(first.expect(201).body["action"]["command"], "reset_password");
    assert_eq!(first.body["root_password"].as_str().map(str::len), Some(20));
    assert_ne!(first.body["root_password"], second.body["root_password"]);

    rig.done(rig.post(&on("poweroff"), json!({})).await).await;
    let failed = rig.ended(reset().await.expect(201).id("action")).await;
    assert_eq!((&failed["status"], &failed["progress"]), (&json!("error"), &json!(100)));
    assert_eq!(failed["error"]["code"], "action_failed");
    assert_eq!(status(&rig, server).await, "off");
}

#[tokio::test]
async fn an_address_without_auto_delete_outlives_its_server() {
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
