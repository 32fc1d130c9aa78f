//! Ownership of a socket.

use std::os::unix::fs::MetadataExt as _;

use crate::rig::{Stage, pass_over};

#[tokio::test]
async fn a_second_start_on_one_socket_says_so_and_the_first_goes_on_undisturbed() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[]).await;
    let inode = || std::fs::metadata(&daemon.socket).unwrap().ino();
    let (process, before) = (daemon.id(), inode());
    for detach in [None, Some("--detach")] {
        let arguments: Vec<&str> = ["start"].into_iter().chain(detach).collect();
        let second = stage.dockbridge(&arguments).await;
        second.succeeded();
        let output = format!(
            "already running (process {process}). Docker socket: unix://{}",
            daemon.socket.display()
        );
        assert!(second.stdout.contains(&output), "{second}");
    }
    assert_eq!(inode(), before, "the socket is the one that it was");
    assert_eq!(daemon.client().status().await.unwrap().process, process);
    stage.docker(&["ps"]).await.succeeded();
    daemon.stop().await;
    stage.close().await;
}

#[tokio::test]
async fn the_socket_of_a_killed_daemon_is_replaced() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let killed = stage.start(&[]).await;
    let socket = killed.socket.clone();
    killed.kill().await;
    assert!(socket.exists(), "what a killed daemon leaves");
    stage.docker(&["ps"]).await.failed_with("docker daemon");
    let daemon = stage.start(&[]).await;
    stage.docker(&["ps"]).await.succeeded();
    daemon.stop().await;
    assert!(!socket.exists(), "an orderly end takes the socket away");
    stage.close().await;
}
