//! The host key is replaced however sshd is started, and sshd survives it.

use local_cloud::Sshd;

use super::settled;
use crate::rig::{Stage, pass_over};

#[tokio::test]
async fn the_host_key_is_replaced_where_a_socket_starts_sshd() {
    let Some(stage) = Stage::with_sshd(Sshd::Socket).await else { return pass_over() };
    is_replaced(&stage, "active").await;
    stage.close().await;
}

#[tokio::test]
async fn the_host_key_is_replaced_where_sshd_starts_at_boot() {
    let Some(stage) = Stage::with_sshd(Sshd::Service).await else { return pass_over() };
    is_replaced(&stage, "inactive").await;
    stage.close().await;
}

/// On a machine with `ssh.socket` in this state.
async fn is_replaced(stage: &Stage, socket: &str) {
    let daemon = stage.start(&[]).await;
    settled(stage).await;
    let state = stage.on_machine("systemctl is-active ssh.socket").await;
    assert_eq!(state.stdout.trim(), socket, "the machine is not as it was ordered: {state}");
    let presents = "ssh-keyscan -t ed25519 127.0.0.1 2>/dev/null | grep -F \"$(cut -d ' ' -f 2 \
     /etc/ssh/ssh_host_ed25519_key.pub)\"";
    stage.on_machine(presents).await.succeeded();
    let journal = stage.on_machine("journalctl --no-pager --output cat --unit ssh").await;
    assert!(!journal.succeeded().stdout.contains("Cannot bind"), "sshd died of it: {journal}");
    // The earlier connection is still in use.
    stage.docker(&["version"]).await.succeeded();
    let log = stage.daemon_log();
    assert!(!log.contains("is not settled yet") && !log.contains("is lost"), "{log}");
    daemon.stop().await;
}
