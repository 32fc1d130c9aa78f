//! Queries of actions.

use std::time::{Duration, SystemTime};

use dockbridge_local_cloud::{Cloud, Options, Pace};
use serde_json::json;

use crate::rig::{Answer, Rig, options};

fn removed(answer: &Answer) {
    assert_eq!(
        answer.refused(410, "deprecated_api_endpoint").message(),
        "API functionality was removed"
    );
    let announcement = answer.body["error"]["details"]["announcement"].as_str().unwrap();
    assert!(announcement.starts_with("https://docs.hetzner.cloud/changelog#20"), "{announcement}");
}

#[tokio::test]
async fn actions_are_found_by_id_or_by_resource() {
    let rig = Rig::start().await;
    let volume = rig.volume("v").await;
    let server = rig.server("s").await;
    let of_server = rig.get(&format!("/servers/{server}/actions?sort=command:desc")).await;
    let commands: Vec<_> = of_server.body["actions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["command"].clone())
        .collect();
    assert_eq!(commands, ["start_server", "create_server"]);
    let of_volume = rig.get(&format!("/volumes/{volume}/actions")).await.body["actions"][0].clone();
    assert_eq!(
        (&of_volume["command"], &of_volume["resources"]),
        (&json!("create_volume"), &json!([{"id": volume, "type": "volume"}]))
    );
    let id = of_volume["id"].as_u64().unwrap();
    for path in [
        format!("/actions/{id}"),
        format!("/volumes/actions/{id}"),
        format!("/volumes/{volume}/actions/{id}"),
    ] {
        assert_eq!(rig.get(&path).await.expect(200).body["action"]["id"], id, "{path}");
    }
    rig.get(&format!("/servers/{server}/actions/{id}")).await.refused(404, "not_found");
    let some = rig.get(&format!("/actions?id={id}&id=1")).await;
    assert_eq!(some.body["actions"].as_array().unwrap().len(), 1);
    assert_eq!(some.body.get("meta"), None);
    assert_eq!(rig.get("/volumes/actions?status=running").await.body["actions"], json!([]));
    removed(&rig.get("/actions").await);
    removed(&rig.get("/datacenters").await);
    removed(&rig.get("/datacenters/4").await);
    rig.get("/servers/1/actions").await.refused(404, "not_found");
}

#[tokio::test]
async fn at_the_real_pace_an_action_takes_time_and_shows_progress() {
    let directory = tempfile::tempdir().unwrap();
    let slow = Options { pace: Pace::Real, pace_seed: Some(1), ..options(&directory) };
    let rig = Rig::around(Cloud::start(slow).await.unwrap(), directory);
    let before = SystemTime::now();
    let made = rig.post("/volumes", json!({"name": "v", "size": 10, "location": "fsn1"})).await;
    let path = format!("/actions/{}", made.id("action"));
    rig.until(&path, |body| (1..100).contains(&body["action"]["progress"].as_u64().unwrap())).await;
    rig.done(made).await;
    assert!(before.elapsed().unwrap() >= Duration::from_millis(2000));
}
