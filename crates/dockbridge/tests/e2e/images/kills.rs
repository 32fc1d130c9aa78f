//! Builds that are killed without warning: the next one continues from what exists.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use super::{Building, Site, holds};
use crate::rig::{LONGEST_COMMAND, pass_over, run};
use crate::web::Manner;

/// Where a build is killed: after the announcement of a phase, or in the middle of its bytes.
const POINTS: [(&str, bool); 10] = [
    ("look_up", false),
    ("create", false),
    ("rescue", false),
    ("discard", false),
    ("write", false),
    ("write", true),
    ("sync", false),
    ("verify", false),
    ("snapshot", false),
    ("clean_up", false),
];

#[tokio::test]
async fn a_build_killed_at_ten_points_ends_with_one_snapshot_one_server_paid_and_nothing_left() {
    let Some(site) = Site::new().await else { return pass_over() };
    let image = site.make_image(64 << 20);
    let url = site.web.serve("image", &image, Manner::Slow(32 << 20));
    let arguments = ["--url", url.as_str(), "--name", "killed"];
    for (phase, in_the_middle) in POINTS {
        let mut build = site.begin(&arguments);
        let reached = loop {
            let Some(event) = build.event().await else { break false };
            let here = event["phase"] == phase;
            if here && event["event"] == "phase" && !in_the_middle {
                break true;
            }
            if here
                && event["event"] == "progress"
                && event["bytes"].as_u64().is_some_and(|bytes| bytes > 8 << 20)
            {
                break true;
            }
        };
        // After a snapshot that a killed build began there is nothing more to write.
        assert!(reached || phase == "clean_up", "{phase} was not reached");
        kill_process(Pid::from_raw(build.pid()).unwrap(), Signal::KILL).ok();
        build.child.wait().await.unwrap();
    }
    let last = site.build(&arguments).await;
    assert!(last.succeeded().stdout.contains("existed already"), "{last}");
    let snapshots = site.snapshots().await;
    let [snapshot] = snapshots.as_slice() else { panic!("one snapshot: {snapshots:?}") };
    assert!(holds(&site.snapshot_file(snapshot.id), &image).await);
    assert_eq!(site.left().await, Vec::<String>::new());
    assert_eq!(
        actions(&site, "create_server").await,
        1,
        "each server that is made is paid for an hour"
    );
    assert_eq!(actions(&site, "create_image").await, 1);
    let bill = site.stage.control().get("bill").await;
    let projects = bill.as_object().unwrap().values();
    let billed: Vec<&Value> =
        projects.flat_map(|project| project["servers"].as_array().unwrap()).collect();
    assert!(
        billed.len() == 1 && billed[0]["hours"] == 1,
        "one server for one hour is on the cloud's own bill: {bill}"
    );
    site.stage.close().await;
}

/// As above; the preparation runs on a running server, and starts over on the same one.
const POINTS_OF_OWN_IMAGE: [&str; 7] =
    ["look_up", "create", "boot", "prepare", "strip", "snapshot", "clean_up"];

#[tokio::test]
async fn a_build_of_our_own_image_killed_at_each_point_ends_as_if_it_had_not_been() {
    let Some(site) = Site::new().await else { return pass_over() };
    for phase in POINTS_OF_OWN_IMAGE {
        let mut build = site.begin_of("docker", &[]);
        let reached = loop {
            match build.event().await {
                Some(event) if event["event"] == "phase" && event["phase"] == phase => break true,
                Some(_) => {}
                None => break false,
            }
        };
        assert!(reached || phase == "clean_up", "{phase} was not reached");
        kill_process(Pid::from_raw(build.pid()).unwrap(), Signal::KILL).ok();
        build.child.wait().await.unwrap();
    }
    let last = site.stage.dockbridge(&["image", "build", "docker"]).await;
    assert!(last.succeeded().stdout.contains("existed already"), "{last}");
    let snapshots = site.snapshots().await;
    assert!(
        snapshots.len() == 1 && snapshots[0].labels.contains_key("dockbridge-machine-image"),
        "{snapshots:?}"
    );
    assert_eq!(site.left().await, Vec::<String>::new());
    assert_eq!(
        actions(&site, "create_server").await,
        1,
        "each server that is made is paid for an hour"
    );
    assert_eq!(actions(&site, "create_image").await, 1);
    assert!(actions(&site, "rebuild_server").await >= 3, "what was begun is not gone on with");
    site.stage.close().await;
}

/// A snapshot takes minutes in the cloud; here it takes some seconds.
#[tokio::test]
async fn a_snapshot_that_is_being_made_is_waited_for_after_a_kill_and_removed_after_ctrl_c() {
    let Some(site) = Site::new().await else { return pass_over() };
    let image = site.make_image(16 << 20);
    let url = site.web.serve("image", &image, Manner::Good);
    let arguments = ["--url", url.as_str(), "--name", "half"];
    let mut build = begun_snapshot(&site, &arguments).await;
    kill_process(Pid::from_raw(build.pid()).unwrap(), Signal::KILL).unwrap();
    build.child.wait().await.unwrap();
    let next = site.build(&arguments).await;
    assert!(next.succeeded().stdout.contains("existed already"), "{next}");
    assert!(next.stderr.contains("which an earlier build began"), "it was waited for: {next}");
    assert_eq!((site.snapshots().await.len(), site.left().await), (1, Vec::new()));
    assert_eq!(actions(&site, "create_image").await, 1);
    site.stage.dockbridge(&["image", "delete", "half"]).await.succeeded();

    let build = begun_snapshot(&site, &arguments).await;
    kill_process(Pid::from_raw(build.pid()).unwrap(), Signal::INT).unwrap();
    let output =
        timeout(LONGEST_COMMAND, build.child.wait_with_output()).await.expect("it ends").unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(
        (site.snapshots().await.len(), site.left().await),
        (0, Vec::new()),
        "a snapshot that nobody wants bills"
    );
    site.stage.close().await;
}

/// A build with an incomplete snapshot.
async fn begun_snapshot(site: &Site, arguments: &[&str]) -> Building {
    let slow = r#"{
        "kind": "action_hang",
        "delay_ms": 5000,
        "match": {"path": "/v1/servers/*/actions/create_image"}
    }"#;
    site.stage.control().post("faults", slow).await;
    let mut build = site.begin(arguments);
    build.reaches("snapshot").await;
    let begun = Duration::from_secs(10);
    site.stage
        .eventually("the snapshot is begun", begun, async || !site.snapshots().await.is_empty())
        .await;
    build
}

/// How often an action was done to servers of this project, whether they still exist or not.
async fn actions(site: &Site, command: &str) -> usize {
    let url = format!("{}/servers/actions?per_page=50&page=", site.stage.cloud.endpoint());
    let mut found = 0;
    for page in 1.. {
        let mut curl = Command::new("curl");
        curl.args([
            "-sS",
            "--fail",
            "-H",
            &format!("Authorization: Bearer {}", site.stage.cloud.token()),
            &format!("{url}{page}"),
        ]);
        let output: Value = serde_json::from_str(&run(curl, "").await.succeeded().stdout).unwrap();
        found += output["actions"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|action| action["command"] == command)
            .count();
        if output["meta"]["pagination"]["next_page"].is_null() {
            break;
        }
    }
    found
}
