//! `server ssh` while the host key from the user data is replaced.

use std::time::Duration;

use crate::rig::{Stage, pass_over};

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
