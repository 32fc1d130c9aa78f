//! `server ssh` while the host key from the user data is replaced.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use crate::rig::{Ran, Stage, pass_over, run};

/// A daemon tries again after 30 s to replace the key.
const SOON: Duration = Duration::from_secs(180);

/// From the first moment that the machine admits a login, over the replacement of its host key, to
/// long after.
#[tokio::test]
async fn a_login_never_meets_a_host_key_that_it_does_not_know() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let known = stage.directory.path().join("home/state/default/known_hosts");
    for round in 1..=2 {
        let daemon = stage.start(&[]).await;
        stage.docker(&["ps"]).await.succeeded();
        // Known before, used after: what a login meets if the replacement happens in between.
        let login = stage.dockbridge(&["server", "ssh", "true"]).await;
        let before = std::fs::read_to_string(&known).unwrap();
        assert!(login.status.success(), "{login}\n{before}");
        let settled = || stage.daemon_log().matches("the machine is settled").count() >= round;
        stage
            .eventually("the host key is replaced", Duration::from_secs(60), async || settled())
            .await;
        stage.dockbridge(&["server", "ssh", "true"]).await.succeeded();
        let after = std::fs::read_to_string(&known).unwrap();
        let present = after.lines().next_back().unwrap();
        assert!(before.lines().any(|line| line == present), "{before}\n{after}");
        assert_eq!(after.lines().count(), 1, "the replaced key is forgotten: {after}");
        stage.dockbridge(&["server", "destroy"]).await.succeeded();
        daemon.stop().await;
    }
    stage.close().await;
}

/// The daemon's replacement of the key stops at the cloud's label until the faults are removed: the
/// next key is made, and sshd presents the first one.
async fn hold_replacement(stage: &Stage) {
    let fault = json!({
        "kind": "server_error",
        "times": 1_000,
        "match": {"method": "PUT", "path": "/v1/servers"},
    });
    stage.control().post("faults", &fault.to_string()).await;
}

/// Logs in by `server ssh`, and keeps the keys that it wrote down.
async fn known_hosts(stage: &Stage, name: &str) -> PathBuf {
    stage.dockbridge(&["server", "ssh", "true"]).await.succeeded();
    let kept = stage.directory.path().join(name);
    std::fs::copy(stage.directory.path().join("home/state/default/known_hosts"), &kept).unwrap();
    kept
}

/// A login with keys that were written down before.
async fn log_in(stage: &Stage, known_hosts: &Path) -> Ran {
    let known = std::fs::read_to_string(known_hosts).unwrap();
    let key = stage.directory.path().join("home/config/ssh_ed25519");
    let mut command = stage.command("ssh");
    command.args(["-l", "root", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes"]);
    command.args(["-o", "GlobalKnownHostsFile=/dev/null"]);
    command.arg("-o").arg(format!("UserKnownHostsFile={}", known_hosts.display()));
    command.arg("-i").arg(key).args([known.split_whitespace().next().unwrap(), "true"]);
    run(command, "").await
}

#[tokio::test]
async fn host_keys_that_are_written_down_before_the_replacement_serve_after_it() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    hold_replacement(&stage).await;
    let daemon = stage.start(&[]).await;
    stage.docker(&["ps"]).await.succeeded();
    let held = async || stage.daemon_log().contains("the machine is not settled yet");
    stage.eventually("the replacement has begun", SOON, held).await;
    let before = known_hosts(&stage, "before").await;
    // The first half of the replacement on the machine: the key file is the new one, and sshd has
    // not read it yet.
    let copy = "cd /etc/ssh && cp -p dockbridge_next_key ssh_host_ed25519_key && cp -p \
                dockbridge_next_key.pub ssh_host_ed25519_key.pub";
    stage.on_machine(copy).await.succeeded();
    let between = known_hosts(&stage, "between").await;

    stage.control().delete("faults").await;
    let settled = async || stage.daemon_log().contains("the machine is settled");
    stage.eventually("the host key is replaced", SOON, settled).await;
    for known in [&before, &between] {
        log_in(&stage, known).await.succeeded();
        let known = std::fs::read_to_string(known).unwrap();
        assert_eq!(known.lines().count(), 2, "the first key and the next one: {known}");
    }
    let after = std::fs::read_to_string(known_hosts(&stage, "after").await).unwrap();
    assert_eq!(after.lines().count(), 1, "the replaced key is forgotten: {after}");
    daemon.stop().await;
    stage.close().await;
}
