//! Firewalls.

use serde_json::{Value, json};

use crate::rig::Rig;

fn ssh() -> Value {
    json!([
        {"direction": "in", "protocol": "tcp", "port": "22", "source_ips": ["0.0.0.0/0", "::/0"]},
    ])
}

async fn on(rig: &Rig, server: u64) -> Value {
    rig.get(&format!("/servers/{server}")).await.body["server"]["public_net"]["firewalls"].clone()
}

#[tokio::test]
async fn a_firewall_is_applied_and_removed_by_actions_on_its_servers() {
    let rig = Rig::start().await;
    let server = rig.server("s").await;
    let made = rig
        .post(
            "/firewalls",
            json!({
                "name": "f",
                "rules": ssh(),
                "apply_to": [{"type": "server", "server": {"id": server}}],
            }),
        )
        .await;
    let commands: Vec<&Value> = made.expect(201).body["actions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| &a["command"])
        .collect();
    assert_eq!(commands, ["set_firewall_rules", "apply_firewall"]);
    assert_eq!(on(&rig, server).await[0]["status"], "pending");
    let id = rig.done(made).await.id("firewall");
    assert_eq!(on(&rig, server).await, json!([{"id": id, "status": "applied"}]));
    rig.delete(&format!("/firewalls/{id}")).await.refused(422, "resource_in_use");
    let target = json!([{"type": "server", "server": {"id": server}}]);
    let act = async |name: &str, body: Value| {
        rig.post(&format!("/firewalls/{id}/actions/{name}"), body).await
    };
    act("apply_to_resources", json!({"apply_to": target}))
        .await
        .refused(422, "firewall_already_applied");
    rig.done(act("set_rules", json!({"rules": []})).await).await;
    rig.done(act("remove_from_resources", json!({"remove_from": target})).await).await;
    assert_eq!(on(&rig, server).await, json!([]));
    act("remove_from_resources", json!({"remove_from": target}))
        .await
        .refused(422, "firewall_already_removed");
    rig.delete(&format!("/firewalls/{id}")).await.expect(204);
}

#[tokio::test]
async fn a_label_selector_reaches_servers_that_get_their_labels_later() {
    let rig = Rig::start().await;
    let target = json!([{"type": "label_selector", "label_selector": {"selector": "role=web"}}]);
    let id = rig
        .done(
            rig.post("/firewalls", json!({"name": "f", "rules": ssh(), "apply_to": target})).await,
        )
        .await
        .id("firewall");
    let born = rig.server_with("born", json!({"labels": {"role": "web"}})).await;
    assert_eq!(on(&rig, born).await, json!([{"id": id, "status": "applied"}]));
    let labeled = rig.server("labeled").await;
    assert_eq!(on(&rig, labeled).await, json!([]));
    rig.put(&format!("/servers/{labeled}"), json!({"labels": {"role": "web"}})).await.expect(200);
    let applied = |body: &Value| {
        body["server"]["public_net"]["firewalls"][0]["status"] == "applied"
            && body["server"]["locked"] == false
    };
    rig.until(&format!("/servers/{labeled}"), applied).await;
    let shown = rig.get(&format!("/firewalls/{id}")).await;
    let shown = &shown.body["firewall"]["applied_to"][0]["applied_to_resources"];
    assert_eq!(shown.as_array().unwrap().len(), 2);
    rig.put(&format!("/servers/{labeled}"), json!({"labels": {}})).await.expect(200);
    rig.until(&format!("/servers/{labeled}"), |body| {
        body["server"]["public_net"]["firewalls"] == json!([])
    })
    .await;
}

#[tokio::test]
async fn invalid_rules_are_refused() {
    let rig = Rig::start().await;
    let any = json!(["0.0.0.0/0"]);
    for rule in [
        json!({"direction": "in", "protocol": "tcp", "port": "22"}),
        json!({"direction": "in", "protocol": "tcp", "source_ips": any}),
        json!({"direction": "in", "protocol": "tcp", "port": "85-80", "source_ips": any}),
        json!({"direction": "in", "protocol": "icmp", "port": "22", "source_ips": any}),
        json!({"direction": "out", "protocol": "tcp", "port": "22", "source_ips": any}),
        json!({"direction": "in", "protocol": "tcp", "port": "22", "source_ips": ["10.0.0.1"]}),
        json!({"direction": "up", "protocol": "tcp", "port": "22", "source_ips": any}),
        json!({"direction": "in", "protocol": "tcp", "port": "22", "source_ips": any, "color": 1}),
    ] {
        let answer = rig.post("/firewalls", json!({"name": "f", "rules": [rule]})).await;
        assert_eq!(answer.refused(422, "invalid_input").fields(), ["rules"], "{rule}");
    }
    rig.post("/firewalls", json!({"name": "f", "apply_to": [{"type": "server"}]}))
        .await
        .refused(422, "invalid_input");
    assert!(rig.get("/firewalls").await.names("firewalls").is_empty());
}
