//! A cloud that was closed and started again.

use dockbridge_local_cloud::{Access, Cloud, Options, Pace, StartError};
use serde_json::json;

use crate::rig::{Rig, TOKEN, options};

#[tokio::test]
async fn a_restart_keeps_everything_and_all_servers_are_off() {
    let rig = Rig::start().await;
    let volume = rig.volume("v").await;
    let server = rig.server_with("s", json!({"volumes": [volume], "labels": {"a": "b"}})).await;
    let before = rig.get(&format!("/servers/{server}")).await.body["server"].clone();
    let rig = rig.restart().await;
    let after = rig.get(&format!("/servers/{server}")).await.body["server"].clone();
    assert_eq!(after["status"], "off");
    for field in ["name", "labels", "volumes", "public_net", "created"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    rig.done(rig.post(&format!("/servers/{server}/actions/poweron"), json!({})).await).await;
    let other = rig.server("t").await;
    assert!(other > server, "ids are never reused");
}

#[tokio::test]
async fn a_restart_fails_running_actions_and_finishes_deletions() {
    let Rig { cloud, directory, .. } = {
        let rig = Rig::start().await;
        rig.server("doomed").await;
        rig
    };
    cloud.close().await;
    // At the real pace the deletion takes seconds.
    let slow = Options { pace: Pace::Real, ..options(&directory) };
    let rig = Rig::around(Cloud::start(slow).await.unwrap(), directory);
    let doomed = rig.get("/servers?name=doomed").await.body["servers"][0]["id"].as_u64().unwrap();
    let made = rig
        .post("/servers", json!({"name": "s", "server_type": "cx23", "image": "debian-12"}))
        .await;
    let deletion = rig.delete(&format!("/servers/{doomed}")).await;
    // Before the deletion's turn there is nothing to resume.
    rig.until(&format!("/servers/{doomed}"), |body| body["server"]["status"] == "deleting").await;
    let rig = rig.restart().await;
    let action = rig.ended(made.id("action")).await;
    assert_eq!(
        (&action["status"], &action["error"]["code"]),
        (&json!("error"), &json!("action_failed"))
    );
    assert_eq!(rig.ended(deletion.id("action")).await["status"], "error");
    rig.get(&format!("/servers/{doomed}")).await.refused(404, "not_found");
    let server = made.id("server");
    rig.done(rig.post(&format!("/servers/{server}/actions/poweron"), json!({})).await).await;
}

#[tokio::test]
async fn a_directory_belongs_to_one_cloud() {
    let rig = Rig::start().await;
    let second = Cloud::start(options(&rig.directory)).await;
    assert!(matches!(second, Err(StartError::InUse { .. })));
    let directory = rig.directory;
    rig.cloud.close().await;
    Cloud::start(options(&directory)).await.unwrap().close().await;
}

#[tokio::test]
async fn a_dropped_cloud_releases_its_port_and_directory() {
    let rig = Rig::start().await;
    let address =
        rig.url("").trim_start_matches("http://").trim_end_matches("/v1").parse().unwrap();
    let directory = rig.directory;
    drop(rig.cloud);
    let again = async {
        loop {
            let mut options = options(&directory);
            options.listen = address;
            if let Ok(cloud) = Cloud::start(options).await {
                return cloud;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), again)
        .await
        .expect("port and directory are still in use")
        .close()
        .await;
}

#[tokio::test]
async fn without_tokens_one_is_created_and_kept_private() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let mut bare = options(&directory);
    bare.tokens.clear();
    let cloud = Cloud::start(bare.clone()).await.unwrap();
    let token = cloud.token().to_owned();
    assert_eq!(token.len(), 64);
    let listed = reqwest::Client::new()
        .get(format!("{}/servers", cloud.endpoint()))
        .bearer_auth(&token)
        .send()
        .await
        .unwrap();
    assert_eq!(listed.status(), 200);
    cloud.close().await;
    assert_eq!(
        std::fs::metadata(directory.path().join("token")).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let cloud = Cloud::start(bare).await.unwrap();
    assert_eq!(cloud.token(), token);
    cloud.close().await;
}

#[test]
fn debug_output_of_the_options_shows_no_token() {
    let directory = tempfile::tempdir().unwrap();
    let shown = format!("{:?}", options(&directory));
    assert!(!shown.contains(TOKEN), "{shown}");
    assert!(shown.contains(&format!("{:?}", Access::ReadOnly)), "{shown}");
}
