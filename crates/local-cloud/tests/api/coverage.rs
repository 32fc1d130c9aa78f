//! Which operations of the official file exist here. Missing ones answer one error and are listed
//! in the documentation.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use reqwest::Method;
use serde_json::json;

use crate::openapi::{location, spec};
use crate::rig::{Answer, Rig, TOKEN};
use crate::ssh_keys::KEY;

/// One existing resource of each kind, by the first segment of its path.
async fn resources(rig: &Rig) -> BTreeMap<&'static str, u64> {
    let server = rig.server("s").await;
    let image = rig
        .done(rig.post(&format!("/servers/{server}/actions/create_image"), json!({})).await)
        .await
        .id("image");
    BTreeMap::from([
        ("servers", server),
        ("images", image),
        ("volumes", rig.volume("v").await),
        ("firewalls", rig.post("/firewalls", json!({"name": "f"})).await.id("firewall")),
        (
            "ssh_keys",
            rig.post("/ssh_keys", json!({"name": "k", "public_key": KEY})).await.id("ssh_key"),
        ),
        (
            "primary_ips",
            rig.get("/primary_ips").await.body["primary_ips"][0]["id"].as_u64().unwrap(),
        ),
        ("server_types", 114),
        ("locations", 1),
        ("datacenters", 4),
    ])
}

/// The path with ids of existing resources. An action is one of that resource, if it has any.
async fn filled(rig: &Rig, path: &str, resources: &BTreeMap<&'static str, u64>) -> String {
    let kind = path.split('/').nth(1).unwrap();
    let id = resources.get(kind).copied().unwrap_or(1);
    let mut filled = path.replace("{id}", &id.to_string()).replace("{id_or_name}", "example.com");
    filled = filled.replace("{rr_name}", "www").replace("{rr_type}", "A");
    let is_action = filled.contains("{action_id}") || path.ends_with("actions/{id}");
    if is_action {
        let server = resources["servers"];
        let list = if resources.contains_key(kind) {
            format!("/{kind}/{id}/actions")
        } else {
            format!("/servers/{server}/actions")
        };
        let action =
            rig.get(&list).await.body["actions"][0]["id"].as_u64().unwrap_or(1).to_string();
        filled = filled.replace("{action_id}", &action);
        if path.ends_with("actions/{id}") {
            filled = path.replace("{id}", &action);
        }
    }
    assert!(!filled.contains('{'), "an unknown parameter: {filled}");
    filled
}

fn is_missing(answer: &Answer) -> bool {
    let is_unsupported = answer.body["error"]["code"] == "unsupported_error";
    if is_unsupported {
        assert_eq!(
            (answer.status, answer.message()),
            (422, "the local cloud does not have this operation")
        );
    }
    is_unsupported
}

/// Whether an answer comes from an existing operation. A 404 counts only if there is nothing to
/// find: no action works on a primary IP, a key or an unchanged image.
fn exists(answer: &Answer, path: &str) -> bool {
    let is_action = path.contains("actions/{");
    match answer.status {
        404 => {
            is_action && answer.body["error"]["message"].as_str().unwrap().starts_with("action ")
        }
        405 | 500.. => false,
        _ => true,
    }
}

#[tokio::test]
async fn every_operation_of_the_official_file_exists_or_answers_unsupported() {
    let Some(spec) = spec() else {
        return testkit::passed_over!("no OpenAPI file at {}", location().display());
    };
    let rig = Rig::start().await;
    let resources = resources(&rig).await;
    let mut operations = spec.operations();
    assert!(operations.len() >= 189, "{} operations", operations.len());
    // Deletions come last.
    operations.sort_by_key(|(method, path)| (method == "DELETE", path.clone(), method.clone()));
    let mut missing = BTreeSet::new();
    for (method, path) in operations {
        let request = rig
            .request(method.parse::<Method>().unwrap(), &filled(&rig, &path, &resources).await)
            .bearer_auth(TOKEN);
        let answer =
            rig.send(if method == "GET" { request } else { request.json(&json!({})) }).await;
        if is_missing(&answer) {
            missing.insert((path, method));
        } else {
            assert!(
                exists(&answer, &path),
                "{method} {path} answered {}: {:#}",
                answer.status,
                answer.body
            );
        }
    }
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/local-cloud.md");
    let test = "-p dockbridge-local-cloud --test api coverage";
    testkit::compare_generated(&document, "missing operations", &listed(&missing), test);
}

/// The list in the documentation's form: a line for each kind, with the actions of a resource
/// together.
fn listed(missing: &BTreeSet<(String, String)>) -> String {
    let mut kinds: BTreeMap<&str, BTreeMap<(&str, &str), BTreeSet<&str>>> = BTreeMap::new();
    for (path, method) in missing {
        let kind = path.split('/').nth(1).unwrap();
        let actions = path.rsplit_once("/actions/").filter(|(_, action)| !action.starts_with('{'));
        let (path, action) =
            actions.map_or((path.as_str(), ""), |(before, action)| (before, action));
        let entry = kinds.entry(kind).or_default();
        match action {
            "" => entry.entry((path, "")).or_default().insert(method.as_str()),
            action => entry.entry((path, "/actions/")).or_default().insert(action),
        };
    }
    let of = |(place, words): (&(&str, &str), &BTreeSet<&str>)| {
        let words: Vec<&str> = words.iter().copied().collect();
        match place {
            (path, "") => format!("`{} {path}`", words.join(" ")),
            (path, actions) => format!("`POST {path}{actions}` {}", words.join(", ")),
        }
    };
    let line = |(kind, places): (&&str, &BTreeMap<_, _>)| {
        format!("- {kind}: {}\n", places.iter().map(of).collect::<Vec<_>>().join("; "))
    };
    kinds.iter().map(line).collect()
}
