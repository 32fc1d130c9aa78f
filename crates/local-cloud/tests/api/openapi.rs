//! Hetzner's OpenAPI file as a judge of answers. It is looked for at `HCLOUD_OPENAPI`, else beside
//! the workspace.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

use crate::rig::Rig;

pub struct Spec {
    document: Value,
    /// By method, path pattern and status.
    validators: Mutex<BTreeMap<String, Validator>>,
}

/// The file, or nothing where it is missing.
pub fn spec() -> Option<&'static Spec> {
    static SPEC: OnceLock<Option<Spec>> = OnceLock::new();
    SPEC.get_or_init(Spec::load).as_ref()
}

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

pub fn location() -> PathBuf {
    let beside = || {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/facts/hcloud-openapi.json")
    };
    std::env::var_os("HCLOUD_OPENAPI").map_or_else(beside, PathBuf::from)
}

impl Spec {
    fn load() -> Option<Spec> {
        let text = std::fs::read(location()).ok()?;
        Some(Spec {
            document: serde_json::from_slice(&text).unwrap(),
            validators: Mutex::default(),
        })
    }

    /// Every operation of the file: method and path, such as `GET /servers/{id}`.
    pub fn operations(&self) -> Vec<(String, String)> {
        let paths = self.document["paths"].as_object().unwrap();
        let of = |(path, methods): (&String, &Value)| {
            let methods =
                methods.as_object().unwrap().keys().filter(|m| METHODS.contains(&m.as_str()));
            methods.map(|m| (m.to_uppercase(), path.clone())).collect::<Vec<_>>()
        };
        paths.iter().flat_map(of).collect()
    }

    /// Panics if the file does not allow this answer. Tells the pattern of the route, if the file
    /// knows it.
    pub fn judge(&self, method: &str, path: &str, status: u16, body: &Value) -> Option<String> {
        let path = path.split('?').next()?;
        let pattern = self.pattern(path)?;
        let responses = &self.document["paths"][&pattern][method.to_lowercase()]["responses"];
        let key = [status.to_string(), format!("{}xx", status / 100)]
            .into_iter()
            .find(|key| responses.get(key).is_some());
        // An answer of a method that the file does not list is an error in the common envelope.
        let (responses, key) = match key {
            Some(key) => (responses, key),
            None if status >= 400 => {
                (&self.document["paths"]["/servers"]["get"]["responses"], "4xx".to_owned())
            }
            None => panic!("{method} {pattern} never answers {status}"),
        };
        let schema = &responses[&key]["content"]["application/json"]["schema"];
        if schema.is_null() {
            assert!(body.is_null(), "{method} {path} has no body, but answered {body}");
            return Some(pattern);
        }
        let problems: Vec<String> = {
            let mut validators = self.validators.lock().unwrap();
            let validator = validators
                .entry(format!(
                    "{method} {pattern} \
                {key}"
                ))
                .or_insert_with(|| compile(schema));
            validator.iter_errors(body).map(|e| format!("{}: {e}", e.instance_path())).collect()
        };
        assert!(
            problems.is_empty(),
            "{method} {path} answered {status} {body:#}\nbut: \
            {problems:#?}"
        );
        Some(pattern)
    }

    fn pattern(&self, path: &str) -> Option<String> {
        let path = path.strip_prefix("/v1")?;
        let paths = self.document["paths"].as_object().unwrap();
        let fits = |pattern: &str| {
            let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
            loop {
                match (wanted.next(), given.next()) {
                    (None, None) => return true,
                    (Some(w), Some(g))
                        if w == g || w.starts_with('{') && g.parse::<u64>().is_ok() => {}
                    _ => return false,
                }
            }
        };
        paths.keys().find(|p| *p == path).or_else(|| paths.keys().find(|p| fits(p))).cloned()
    }
}

fn compile(schema: &Value) -> Validator {
    let mut schema = schema.clone();
    as_json_schema(&mut schema);
    jsonschema::options()
        .with_draft(Draft::Draft7)
        .should_validate_formats(true)
        .build(&schema)
        .unwrap()
}

/// Properties that the file requires, and that were removed after it was published.
const REMOVED: [&str; 2] = ["datacenter", "deprecated"];

/// OpenAPI 3.0 says `nullable` where JSON Schema has another type. What was announced after the
/// file was published is mended here.
fn as_json_schema(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.values_mut().for_each(as_json_schema);
            map.remove("example");
            if let Some(required) = map.get_mut("required").and_then(Value::as_array_mut) {
                required.retain(|name| !REMOVED.iter().any(|removed| name == removed));
            }
            if let Some(values) =
                map.get_mut("assignee_type").and_then(|kind| kind["enum"].as_array_mut())
            {
                values.push(json!("unassigned"));
            }
            if map.remove("nullable") == Some(Value::Bool(true)) {
                if let Some(kind) = map.get("type").cloned() {
                    map.insert("type".into(), json!([kind, "null"]));
                }
                if let Some(values) = map.get_mut("enum").and_then(Value::as_array_mut) {
                    values.push(Value::Null);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(as_json_schema),
        _ => {}
    }
}

/// The routes that a broad walk has to have shown to the file.
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
async fn every_answer_is_one_that_the_official_file_allows() {
    if spec().is_none() {
        println!("passed over: no OpenAPI file at {}", location().display());
        return;
    }
    let rig = Rig::start().await;
    walk(&rig).await;
    let seen = rig.judged();
    let missing: Vec<&&str> = ROUTES.iter().filter(|route| !seen.contains(**route)).collect();
    assert!(missing.is_empty(), "the walk did not get an answer of {missing:?}");
}

#[test]
fn the_judge_refuses_what_the_file_does_not_allow() {
    let Some(spec) = spec() else {
        return println!("passed over: no OpenAPI file at {}", location().display());
    };
    let judged = |body: Value| {
        std::panic::catch_unwind(|| spec.judge("GET", "/v1/actions/1", 200, &body)).is_ok()
    };
    let good = json!({"action": {"id": 1, "command": "c", "status": "success", "started": "2026-10-01T00:00:00Z", "finished": null,
        "progress": 100, "resources": [], "error": null}});
    assert!(judged(good.clone()));
    for (field, bad) in [
        ("status", json!("done")),
        ("started", json!("yesterday")),
        ("command", json!(null)),
        ("error", json!({})),
    ] {
        let mut body = good.clone();
        body["action"][field] = bad;
        assert!(!judged(body), "a bad {field} was let through");
    }
}

/// Everything once, with what exists and with what does not.
async fn walk(rig: &Rig) {
    let key = rig
        .post(
            "/ssh_keys",
            json!({"name": "k", "public_key": crate::ssh_keys::KEY, "labels": {"a": "b"}}),
        )
        .await
        .id("ssh_key");
    let firewall = rig.post("/firewalls", json!({"name": "f", "rules": [{"direction": "in", "protocol": "tcp", "port": "22",
        "source_ips": ["0.0.0.0/0", "::/0"], "description": "ssh"}], "apply_to": [{"type": "label_selector", "label_selector": {"selector": "role=web"}}]})).await;
    let firewall = rig.done(firewall).await.id("firewall");
    let volume = rig
        .post("/volumes", json!({"name": "v", "size": 10, "location": "fsn1", "format": "ext4"}))
        .await;
    let volume = rig.done(volume).await.id("volume");
    let order = json!({"name": "s", "server_type": "cx23", "image": "docker-ce", "location": "fsn1", "ssh_keys": [key], "volumes": [volume],
        "firewalls": [{"firewall": firewall}], "labels": {"role": "web"}, "user_data": "#cloud-config\n"});
    let server = rig.post("/servers", order).await;
    let action = server.body["action"]["id"].as_u64().unwrap();
    let server = rig.done(server).await.id("server");

    let bad = rig.post("/servers", json!({"name": "-", "colour": 1})).await;
    assert_eq!(bad.status, 422);
    rig.post("/servers", json!({"name": "s", "server_type": "cx23", "image": "debian-12"}))
        .await
        .refused(409, "uniqueness_error");
    rig.done(
        rig.put(&format!("/servers/{server}"), json!({"name": "s2", "labels": {"role": "db"}}))
            .await,
    )
    .await;
    rig.idle().await;
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
    let targets = json!([{"type": "label_selector", "label_selector": {"selector": "role=web"}}, {"type": "server", "server": {"id": server}}]);
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
    rig.put(&format!("/ssh_keys/{key}"), json!({"name": "k2"})).await.expect(200);

    let address = rig.get("/primary_ips").await.body["primary_ips"][0]["id"].as_u64().unwrap();
    for path in [
        "/actions?id=1".to_owned(),
        format!("/actions?id={action}"),
        format!("/actions/{action}"),
        format!("/primary_ips/{address}"),
        format!(
            "/servers/{server}/metrics?type=cpu&type=disk,network&start=2026-01-01T00:00:00Z&end=2026-01-01T01:00:00Z"
        ),
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

    rig.done(rig.delete(&format!("/servers/{server}")).await).await.expect(200);
    rig.done(
        rig.post(&of_firewall("remove_from_resources"), json!({"remove_from": [targets[0]]})).await,
    )
    .await
    .expect(201);
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
