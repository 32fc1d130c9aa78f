//! The main job: wake, use, idle, wake again.

use std::time::Duration;

use crate::rig::{Stage, pass_over};

#[tokio::test]
async fn the_first_command_creates_one_server_and_idleness_destroys_it() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage
        .start(&[
            ("DOCKBRIDGE_ACTIVITY_IDLE_TIMEOUT", "3s"),
            ("DOCKBRIDGE_ACTIVITY_GRACE_PERIOD", "1s"),
        ])
        .await;
    assert_eq!(stage.counts().await, (0, 0), "start creates nothing");

    let listed = stage.docker(&["ps", "--format", "{{.Names}}"]).await;
    listed.succeeded();
    assert_eq!(stage.counts().await, (1, 1));

    stage
        .eventually("the idle machine is gone", Duration::from_secs(60), async || {
            stage.counts().await == (0, 1)
        })
        .await;
    stage.docker(&["ps"]).await.succeeded();
    assert_eq!(stage.counts().await, (1, 1), "the volume is used again");
    daemon.stop().await;
    stage.close().await;
}
