//! One walk through all routes, whose answers Hetzner's OpenAPI file must allow.

use serde_json::{Value, json};

use crate::openapi::{location, spec};
use crate::rig::Rig;

/// Routes whose answers the walk must have validated.
const ROUTES: &[&str] = &[
    "GET /actions",
    "GET /actions/{id}",
    "GET /certificates",
    "GET /firewalls",
    "GET /firewalls/actions",
    "GET /firewalls/{id}",
    "GET /firewalls/{id}/actions",
    "GET /floating_ips",
    "GET /images",
    "GET /images/{id}",
    "GET /images/{id}/actions",
    "GET /isos",
    "GET /load_balancer_types",
    "GET /load_balancers",
    "GET /locations",
    "GET /locations/{id}",
    "GET /networks",
    "GET /placement_groups",
    "GET /pricing",
    "GET /primary_ips",
    "GET /primary_ips/{id}",
    "GET /server_types",
    "GET /server_types/{id}",
    "GET /servers",
    "GET /servers/actions",
    "GET /servers/{id}",
    "GET /servers/{id}/actions",
    "GET /servers/{id}/metrics",
    "GET /ssh_keys",
    "GET /ssh_keys/{id}",
    "GET /volumes",
    "GET /volumes/actions",
    "GET /volumes/{id}",
    "GET /volumes/{id}/actions",
    "GET /zones",
    "POST /firewalls",
    "POST /firewalls/{id}/actions/apply_to_resources",
    "POST /firewalls/{id}/actions/remove_from_resources",
    "POST /firewalls/{id}/actions/set_rules",
    "POST /images/{id}/actions/change_protection",
    "POST /servers",
    "POST /servers/{id}/actions/change_dns_ptr",
    "POST /servers/{id}/actions/change_protection",
    "POST /servers/{id}/actions/change_type",
    "POST /servers/{id}/actions/create_image",
    "POST /servers/{id}/actions/poweroff",
    "POST /servers/{id}/actions/poweron",
    "POST /servers/{id}/actions/reboot",
    "POST /servers/{id}/actions/rebuild",
    "POST /servers/{id}/actions/reset",
    "POST /servers/{id}/actions/shutdown",
    "POST /ssh_keys",
    "POST /volumes",
    "POST /volumes/{id}/actions/attach",
    "POST /volumes/{id}/actions/change_protection",
    "POST /volumes/{id}/actions/detach",
    "POST /volumes/{id}/actions/resize",
    "PUT /firewalls/{id}",
    "PUT /images/{id}",
    "PUT /servers/{id}",
    "PUT /ssh_keys/{id}",
    "PUT /volumes/{id}",
    "DELETE /firewalls/{id}",
    "DELETE /images/{id}",
    "DELETE /servers/{id}",
    "DELETE /ssh_keys/{id}",
    "DELETE /volumes/{id}",
];

#[tokio::test]
async fn the_official_file_allows_every_answer() {
    if spec().is_none() {
        testkit::passed_over!(
            "no OpenAPI file at {}: HCLOUD_OPENAPI names one",
            location().display()
        );
        return;
    }
    let rig = Rig::start().await;
    walk(&rig).await;
    let seen = rig.judged();
    let missing: Vec<&&str> = ROUTES.iter().filter(|route| !seen.contains(**route)).collect();
    assert!(missing.is_empty(), "the walk got no answer of {missing:?}");
}

/// One resource of each kind, by id.
struct Resources {
    key: u64,
    firewall: u64,
    volume: u64,
    server: u64,
    image: u64,
    /// An action of the server.
    action: u64,
}

/// Requests every route, with existing and with missing resources.
async fn walk(rig: &Rig) {
    let mut resources = create(rig).await;
    refusals(rig, &resources).await;
    resources.image = server_actions(rig, resources.server).await;
    volume_actions(rig, &resources).await;
    firewall_actions(rig, &resources).await;
    rig.put(&format!("/ssh_keys/{}", resources.key), json!({"name": "k2"})).await.expect(200);
    queries(rig, &resources).await;
    deletions(rig, &resources).await;
}

async fn create(rig: &Rig) -> Resources {
    let key = json!({"name": "k", "public_key": crate::ssh_keys::KEY, "labels": {"a": "b"}});
    let key = rig.post("/ssh_keys", key).await.id("ssh_key");
    let rule = json!({
        "direction": "in",
        "protocol": "tcp",
        "port": "22",
        "source_ips": ["0.0.0.0/0", "::/0"],
        "description": "ssh",
    });
    let firewall = json!({"name": "f", "rules": [rule], "apply_to": [web()]});
    let firewall = rig.post("/firewalls", firewall).await;
    let firewall = rig.done(firewall).await.id("firewall");
    let volume = json!({"name": "v", "size": 10, "location": "fsn1", "format": "ext4"});
    let volume = rig.post("/volumes", volume).await;
    let volume = rig.done(volume).await.id("volume");
    let order = json!({
        "name": "s",
        "server_type": "cx23",
        "image": "docker-ce",
        "location": "fsn1",
        "ssh_keys": [key],
        "volumes": [volume],
        "firewalls": [{"firewall": firewall}],
        "labels": {"role": "web"},
        "user_data": "#cloud-config\n",
    });
    let server = rig.post("/servers", order).await;
    let action = server.body["action"]["id"].as_u64().unwrap();
    let server = rig.done(server).await.id("server");
    Resources { key, firewall, volume, server, image: 0, action }
}

/// A firewall target: all servers with this label.
fn web() -> Value {
    json!({"type": "label_selector", "label_selector": {"selector": "role=web"}})
}

async fn refusals(rig: &Rig, resources: &Resources) {
    let server = resources.server;
    let bad = rig.post("/servers", json!({"name": "-", "color": 1})).await;
    assert_eq!(bad.status, 422);
    rig.post("/servers", json!({"name": "s", "server_type": "cx23", "image": "debian-12"}))
        .await
        .refused(409, "uniqueness_error");
    let renamed = json!({"name": "s2", "labels": {"role": "db"}});
    rig.done(rig.put(&format!("/servers/{server}"), renamed).await).await;
    rig.idle().await;
}

/// Returns the id of a snapshot.
async fn server_actions(rig: &Rig, server: u64) -> u64 {
    let on = |name: &str| format!("/servers/{server}/actions/{name}");
    for (name, body) in [
        ("poweroff", json!({})),
        ("change_type", json!({"server_type": "cx33", "upgrade_disk": false})),
        ("poweron", json!({})),
        ("reboot", json!({})),
        ("reset", json!({})),
        ("shutdown", json!({})),
        ("rebuild", json!({"image": "debian-13"})),
        ("change_protection", json!({"delete": true, "rebuild": true})),
        ("change_protection", json!({"delete": false, "rebuild": false})),
    ] {
        rig.done(rig.post(&on(name), body).await).await.expect(201);
    }
    let ip =
        rig.get(&format!("/servers/{server}")).await.body["server"]["public_net"]["ipv4"]["ip"]
            .clone();
    rig.done(
        rig.post(&on("change_dns_ptr"), json!({"ip": ip, "dns_ptr": "web.example.com"})).await,
    )
    .await
    .expect(201);
    rig.done(rig.post(&on("enable_rescue"), json!({})).await).await.expect(201);
    rig.done(rig.post(&on("disable_rescue"), json!({})).await).await.expect(201);
    rig.post(&on("attach_iso"), json!({"iso": 1})).await.refused(422, "unsupported_error");
    let image = rig
        .done(
            rig.post(&on("create_image"), json!({"description": "d", "labels": {"x": "y"}})).await,
        )
        .await
        .id("image");
    rig.put(&format!("/images/{image}"), json!({"description": "e"})).await.expect(200);
    rig.done(
        rig.post(&format!("/images/{image}/actions/change_protection"), json!({"delete": false}))
            .await,
    )
    .await
    .expect(201);
    image
}

async fn volume_actions(rig: &Rig, resources: &Resources) {
    let Resources { volume, server, .. } = resources;
    let of_volume = |name: &str| format!("/volumes/{volume}/actions/{name}");
    for (name, body) in [
        ("detach", json!({})),
        ("resize", json!({"size": 11})),
        ("attach", json!({"server": server})),
        ("change_protection", json!({"delete": false})),
        ("detach", json!({})),
    ] {
        rig.done(rig.post(&of_volume(name), body).await).await.expect(201);
    }
    rig.put(&format!("/volumes/{volume}"), json!({"name": "v2"})).await.expect(200);
}

async fn firewall_actions(rig: &Rig, resources: &Resources) {
    let Resources { firewall, server, .. } = resources;
    let targets = json!([web(), {"type": "server", "server": {"id": server}}]);
    let of_firewall = |name: &str| format!("/firewalls/{firewall}/actions/{name}");
    rig.done(
        rig.post(&of_firewall("remove_from_resources"), json!({"remove_from": targets})).await,
    )
    .await
    .expect(201);
    rig.done(rig.post(&of_firewall("set_rules"), json!({"rules": []})).await).await.expect(201);
    rig.done(rig.post(&of_firewall("apply_to_resources"), json!({"apply_to": targets})).await)
        .await
        .expect(201);
    rig.put(&format!("/firewalls/{firewall}"), json!({"labels": {"l": ""}})).await.expect(200);
}

async fn queries(rig: &Rig, resources: &Resources) {
    let &Resources { key, firewall, volume, server, image, action } = resources;
    let hour = "start=2026-01-01T00:00:00Z&end=2026-01-01T01:00:00Z";
    let address = rig.get("/primary_ips").await.body["primary_ips"][0]["id"].as_u64().unwrap();
    for path in [
        "/actions?id=1".to_owned(),
        format!("/actions?id={action}"),
        format!("/actions/{action}"),
        format!("/primary_ips/{address}"),
        format!("/servers/{server}/metrics?type=cpu&type=disk,network&{hour}"),
        "/server_types/114".to_owned(),
        "/locations/1".to_owned(),
        "/images?architecture=x86&type=system".to_owned(),
        format!("/images/{image}"),
        "/images/161547269".to_owned(),
    ] {
        rig.get(&path).await.expect(200);
    }
    for (kind, id) in
        [("servers", server), ("volumes", volume), ("firewalls", firewall), ("images", image)]
    {
        for path in [
            format!("/{kind}"),
            format!("/{kind}/{id}"),
            format!("/{kind}/{id}/actions"),
            format!("/{kind}/actions"),
        ] {
            rig.get(&path).await.expect(200);
        }
        rig.get(&format!("/{kind}/1")).await.refused(404, "not_found");
    }
    rig.get(&format!("/ssh_keys/{key}")).await.expect(200);
    for kind in [
        "ssh_keys",
        "server_types",
        "locations",
        "pricing",
        "networks",
        "placement_groups",
        "primary_ips",
        "isos",
        "certificates",
        "load_balancers",
        "load_balancer_types",
        "floating_ips",
        "zones",
    ] {
        rig.get(&format!("/{kind}")).await.expect(200);
    }
    rig.get("/datacenters").await.refused(410, "deprecated_api_endpoint");
    rig.post("/networks", json!({"name": "n"})).await.refused(422, "unsupported_error");
}

async fn deletions(rig: &Rig, resources: &Resources) {
    let Resources { key, firewall, volume, server, image, .. } = resources;
    rig.done(rig.delete(&format!("/servers/{server}")).await).await.expect(200);
    let targets = json!({"remove_from": [web()]});
    let removal =
        rig.post(&format!("/firewalls/{firewall}/actions/remove_from_resources"), targets).await;
    rig.done(removal).await.expect(201);
    for path in [
        format!("/volumes/{volume}"),
        format!("/firewalls/{firewall}"),
        format!("/images/{image}"),
        format!("/ssh_keys/{key}"),
    ] {
        rig.delete(&path).await.expect(204);
        rig.delete(&path).await.refused(404, "not_found");
    }
}
