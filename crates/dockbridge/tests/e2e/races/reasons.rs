//! What the user sees about a machine that stays, and the pin that keeps it.

use std::time::Duration;

use serde_json::Value;

use crate::rig::{Stage, foreign_agent, pass_over};

const SETTINGS: [(&str, &str); 4] = [
    ("DOCKBRIDGE_ACTIVITY_IDLE_TIMEOUT", "1s"),
    ("DOCKBRIDGE_ACTIVITY_CONNECTION_TIMEOUT", "1s"),
    ("DOCKBRIDGE_ACTIVITY_GRACE_PERIOD", "1s"),
    ("DOCKBRIDGE_KEEPALIVE_INTERVAL", "1s"),
];

async fn why(stage: &Stage) -> Value {
    serde_json::from_str(&stage.dockbridge(&["why", "--json"]).await.succeeded().stdout).unwrap()
}

fn reason<'a>(why: &'a Value, kind: &str) -> Option<&'a str> {
    why["reasons"].as_array()?.iter().find(|reason| reason["kind"] == kind)?["what"].as_str()
}

#[tokio::test]
async fn a_pin_and_a_label_keep_an_idle_machine_and_why_names_them() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&SETTINGS).await;
    stage.dockbridge(&["pin", "--for", "10m"]).await.succeeded();
    stage.make_image("tiny").await;
    let keeps = [
        "run",
        "--detach",
        "--name",
        "train",
        "--label",
        "dockbridge.keep=yes",
        "--stop-timeout",
        "1",
        "tiny",
        "sleep",
        "600",
    ];
    stage.docker(&keeps).await.succeeded();

    stage
        .eventually("nothing but pin and label keep it", Duration::from_secs(30), async || {
            let output = why(&stage).await;
            reason(&output, "recent").is_none() && reason(&output, "command").is_none()
        })
        .await;
    let output = why(&stage).await;
    assert_eq!(reason(&output, "pin"), Some("pinned by the user"), "{output}");
    assert_eq!(
        reason(&output, "container"),
        Some("container train has the label dockbridge.keep"),
        "{output}"
    );
    assert_eq!(
        (output["state"].as_str(), output["endings"].as_array().map(Vec::len)),
        (Some("up"), Some(0)),
        "{output}"
    );
    let lease =
        daemon.client().status().await.unwrap().report.and_then(|report| report.lease_seconds);
    assert!(
        lease.is_some_and(|seconds| (540..=600).contains(&seconds)),
        "the machine is promised as long: {lease:?}"
    );
    let words = stage.dockbridge(&["why"]).await;
    assert!(
        words
            .succeeded()
            .stdout
            .contains("container train has the label dockbridge.keep, while it continues"),
        "{words}"
    );

    stage.dockbridge(&["unpin"]).await.succeeded();
    let output = why(&stage).await;
    assert_eq!(
        (reason(&output, "pin"), output["state"].as_str()),
        (None, Some("up")),
        "the label alone: {output}"
    );
    stage.docker(&["rm", "--force", "train"]).await.succeeded();
    let gone = async || {
        daemon.client().status().await.is_ok_and(|status| status.state == api::MachineState::Absent)
    };
    stage.eventually("it goes when nothing keeps it", Duration::from_secs(30), gone).await;
    assert_eq!(stage.counts().await, (0, 1));
    let words = stage.dockbridge(&["why"]).await;
    assert!(words.succeeded().stdout.starts_with("There is no machine, for "), "{words}");
    daemon.stop().await;
    stage.close().await;
}

#[tokio::test]
async fn a_machine_without_an_agent_is_reported_with_the_consequences() {
    let Some(mut stage) = Stage::new().await else { return pass_over() };
    foreign_agent(&mut stage);
    let daemon = stage.start(&SETTINGS).await;
    stage.docker(&["ps"]).await.succeeded();
    for command in ["status", "why"] {
        let words = stage.dockbridge(&[command]).await;
        let output = words.succeeded().stdout.contains("no agent runs on dockbridge-default-");
        assert!(output && words.stdout.contains("it cannot delete itself"), "{words}");
    }
    let output = why(&stage).await;
    assert_eq!(output["warnings"].as_array().map(Vec::len), Some(1), "{output}");
    daemon.stop().await;
    stage.close().await;
}
