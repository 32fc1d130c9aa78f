//! A late volume delays only docker: sshd and the agent do not wait for it.

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use super::BOOT;
use crate::rig::{LONGEST_COMMAND, Stage, pass_over};

/// Delay between the attachment in the cloud and the appearance of the device.
const LATE: Duration = Duration::from_secs(40);

#[tokio::test]
async fn sshd_and_the_agent_answer_before_a_late_volume_and_docker_behind_it() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let fault = json!({
        "kind": "slow_attach",
        "delay_ms": LATE.as_millis(),
        "match": {"path": "/v1/servers"},
    });
    stage.control().post("faults", &fault.to_string()).await;
    let daemon = stage.start(&[]).await;
    let mut docker = stage.command("docker");
    docker.env("DOCKER_HOST", format!("unix://{}", stage.socket().display())).arg("version");
    let waiting = tokio::spawn(crate::rig::run(docker, ""));

    // sshd's first answer decides: it says that the volume is missing.
    let look = "cat /run/dockbridge/volume.state; ls /dev/disk/by-id; readlink /proc/[0-9]*/exe | \
     grep -c ^/run/dockbridge/agent-";
    stage
        .eventually("sshd answers", BOOT, async || stage.on_machine("true").await.status.success())
        .await;
    let state =
        stage.on_machine("cat /run/dockbridge/volume.state; ls /dev/disk/by-id 2>/dev/null").await;
    assert_eq!(state.stdout, "waiting\n", "sshd answered only when the volume was there: {state}");
    let agent = async || {
        let state = stage.on_machine(look).await;
        assert!(state.stdout.starts_with("waiting\n"), "no agent before the volume: {state}");
        state
            .stdout
            .lines()
            .last()
            .and_then(|count| count.parse::<u32>().ok())
            .is_some_and(|count| count > 0)
    };
    stage.eventually("the agent runs", BOOT, agent).await;
    assert!(!waiting.is_finished(), "docker answered without its volume");

    let ended =
        timeout(LONGEST_COMMAND, waiting).await.expect("docker answers in the end").unwrap();
    ended.succeeded();
    assert_eq!(stage.on_machine("cat /run/dockbridge/volume.state").await.stdout, "ready\n");
    assert_eq!(stage.counts().await, (1, 1), "no second server was made");
    daemon.stop().await;
    stage.close().await;
}

#[tokio::test]
async fn a_volume_that_takes_longer_than_the_lease_costs_no_machine() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let fault = json!({
        "kind": "slow_attach",
        "delay_ms": LATE.as_millis(),
        "match": {"path": "/v1/servers"},
    });
    stage.control().post("faults", &fault.to_string()).await;
    // A quarter of the volume's delay.
    let daemon = stage
        .start(&[("DOCKBRIDGE_KEEPALIVE_TIMEOUT", "10s"), ("DOCKBRIDGE_KEEPALIVE_INTERVAL", "2s")])
        .await;
    stage.docker(&["version"]).await.succeeded();
    let log = stage.daemon_log();
    assert_eq!(
        log.matches("INFO creating the server: ").count(),
        1,
        "the machine ended itself: {log}"
    );
    daemon.stop().await;
    stage.close().await;
}
