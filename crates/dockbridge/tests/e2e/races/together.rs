//! Several commands and several daemons at the same time.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Holdings, at_once, docker};
use crate::rig::{Stage, pass_over};

#[tokio::test]
async fn ten_commands_at_once_on_a_cold_profile_make_one_server_and_one_volume() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[]).await;
    let commands = (0..10).map(|_| docker(&stage, &daemon.socket, &["ps", "--quiet"])).collect();
    let (ran, seen) = at_once(&stage, commands).await;
    assert_eq!(ran.len(), 10);
    for command in &ran {
        command.succeeded();
    }
    eprintln!("{}", stage.daemon_log());
    seen.only();
    daemon.stop().await;
    stage.close().await;
}

/// The second daemon is used, first without a pause and then now and then; the first is not.
#[tokio::test]
async fn two_daemons_of_one_profile_share_one_machine_until_neither_needs_it() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let settings = [
        ("DOCKBRIDGE_ACTIVITY_IDLE_TIMEOUT", "3s"),
        ("DOCKBRIDGE_ACTIVITY_CONNECTION_TIMEOUT", "60s"),
        ("DOCKBRIDGE_ACTIVITY_GRACE_PERIOD", "1s"),
        // A heartbeat of the first may come while a container of the second runs.
        ("DOCKBRIDGE_ACTIVITY_CONTAINERS", "ignore"),
    ];
    let first = stage.start(&settings).await;
    let second = stage
        .start_at(&stage.directory.path().join("home/run/second/docker.sock"), &settings)
        .await;
    let sockets = [&first.socket, &second.socket];
    let commands = (0..10).map(|at| docker(&stage, sockets[at % 2], &["ps", "--quiet"])).collect();
    let (ran, seen) = at_once(&stage, commands).await;
    for command in &ran {
        command.succeeded();
    }
    let (server, _) = seen.only();
    // Built through the first, which is its last work.
    stage.make_image("tiny").await;

    let long = ["run", "--rm", "tiny", "sleep", "6"];
    stage.docker_at(&second.socket, &long, "").await.succeeded();
    assert_eq!(
        Holdings::of(&stage).await.only().0,
        server,
        "a command of the second keeps the machine although the first is idle"
    );
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(6) {
        // A repeated identical request would count as polling, which keeps no machine.
        stage.docker_at(&second.socket, &["run", "--rm", "tiny", "true"], "").await.succeeded();
        assert_eq!(
            Holdings::of(&stage).await.only().0,
            server,
            "short commands of the second keep the machine although the first is idle"
        );
        sleep(Duration::from_millis(1_500)).await;
    }
    let log = stage.daemon_log();
    assert!(log.contains("kept for another client"), "the first wanted to take it down:\n{log}");

    second.kill().await;
    stage.docker(&["image", "inspect", "tiny"]).await.succeeded();
    assert_eq!(
        Holdings::of(&stage).await.only().0,
        server,
        "the first goes on when the second is killed"
    );
    stage
        .eventually("a machine that nobody uses goes", Duration::from_secs(60), async || {
            stage.counts().await == (0, 1)
        })
        .await;
    first.stop().await;
    stage.close().await;
}
