//! The cloud's API fails while a machine runs. The last known state is shown with its age, a
//! requested destroy waits for the cloud, also over a restart of the daemon, and the cloud is not
//! flooded meanwhile.

use std::time::Duration;

use tokio::time::sleep;

use super::{Holdings, state};
use crate::rig::{Stage, pass_over};

/// At most this many faults are used.
const AWAY: u64 = 1_000_000;
/// How long the daemon is watched during the outage, and how many requests it may make in this
/// time once it has noticed.
const WATCHED: Duration = Duration::from_secs(20);
const MOST_ASKED: u64 = 8;
/// The longest pauses of the daemon and of its cloud client, and what they wait for.
const SOON: Duration = Duration::from_secs(120);

#[tokio::test]
async fn a_destroy_that_is_wanted_while_the_cloud_is_away_waits_for_it_over_a_new_start() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[("DOCKBRIDGE_KEEPALIVE_INTERVAL", "1s")]).await;
    stage.docker(&["ps"]).await.succeeded();
    let (server, volume) = Holdings::of(&stage).await.only();
    assert!(daemon.client().status().await.unwrap().last_known.is_none(), "it is known now");

    stage
        .control()
        .post(
            "faults",
            &format!(
                r#"{{"kind": "unavailable_503", "times": {AWAY}, "match": {{"path": "/v1/"}}}}"#
            ),
        )
        .await;
    let refused = stage.dockbridge(&["server", "destroy"]).await;
    refused.failed_with("service unavailable");
    refused.failed_with("dockbridge keeps retrying, including after a restart");
    assert_eq!(state(&daemon).await, "releasing");
    daemon.kill().await;
    let status = stage.dockbridge(&["status"]).await;
    status.failed_with("the cloud does not answer");
    status.failed_with(&format!("({server}, cx23 in fsn1), running"));

    let daemon = stage.start(&[("DOCKBRIDGE_KEEPALIVE_INTERVAL", "1s")]).await;
    stage
        .eventually("the next daemon goes on with it", SOON, async || {
            daemon.client().status().await.is_ok_and(|status| {
                status.reason.is_some_and(|reason| reason.contains("not asked, for "))
            })
        })
        .await;
    let status = daemon.client().status().await.unwrap();
    assert_eq!(status.state, api::MachineState::Releasing, "{status:?}");
    let last = status.last_known.as_ref().expect("the last known machine is shown");
    assert_eq!(last.machine.id, Some(server));
    let words = stage.dockbridge(&["status"]).await;
    assert!(words.succeeded().stdout.contains("Last seen dockbridge-default-"), "{words}");
    let before = still_away(&stage).await;
    sleep(WATCHED).await;
    let asked = before - still_away(&stage).await;
    eprintln!("{asked} requests in {} s while the cloud is away", WATCHED.as_secs());
    assert!(asked <= MOST_ASKED, "{asked} requests in {WATCHED:?}");
    assert!(
        daemon.client().status().await.unwrap().last_known.unwrap().age_seconds
            >= last.age_seconds + WATCHED.as_secs() - 1,
        "it ages"
    );

    stage.control().delete("faults").await;
    stage
        .eventually("it is gone without being asked for again", SOON, async || {
            state(&daemon).await == "absent"
        })
        .await;
    let left = Holdings::of(&stage).await;
    assert!(left.servers.is_empty() && left.volumes.contains(&volume), "{left:?}");
    let status = daemon.client().status().await.unwrap();
    assert!(
        status.last_known.is_none()
            && status.reason.as_ref().is_some_and(|reason| reason.contains("was asked for")),
        "{status:?}"
    );
    daemon.kill().await;

    // Done once, it does not affect the next machine.
    let daemon = stage.start(&[]).await;
    stage.docker(&["ps"]).await.succeeded();
    daemon.kill().await;
    let daemon = stage.start(&[]).await;
    stage.eventually("it is taken over", SOON, async || state(&daemon).await == "up").await;
    stage.close().await;
}

#[tokio::test]
async fn a_machine_that_was_given_up_halfway_is_replaced_and_not_waited_for() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let idle = [
        ("DOCKBRIDGE_ACTIVITY_IDLE_TIMEOUT", "2s"),
        ("DOCKBRIDGE_ACTIVITY_CONNECTION_TIMEOUT", "2s"),
        ("DOCKBRIDGE_ACTIVITY_GRACE_PERIOD", "1s"),
    ];
    let daemon = stage.start(&idle).await;
    stage.make_image("tiny").await;
    stage
        .control()
        .post(
            "faults",
            &format!(
                r#"{{"kind": "unavailable_503", "times": {AWAY}, "match": {{"method": "DELETE"}}}}"#
            ),
        )
        .await;
    stage
        .docker(&[
            "run",
            "--rm",
            "-v",
            "keep:/keep",
            "tiny",
            "sh",
            "-c",
            "echo of before >/keep/file",
        ])
        .await
        .succeeded();
    let (server, volume) = Holdings::of(&stage).await.only();
    stage
        .eventually("docker is stopped there, and the cloud does not delete it", SOON, async || {
            daemon.client().status().await.is_ok_and(|status| {
                status.reason.is_some_and(|reason| reason.contains("could not delete the server"))
            })
        })
        .await;
    // Its end was not requested, so the next daemon knows nothing of it.
    daemon.kill().await;
    stage.control().delete("faults").await;

    let daemon = stage.start(&[]).await;
    let read =
        stage.docker(&["run", "--rm", "-v", "keep:/keep", "tiny", "cat", "/keep/file"]).await;
    assert_eq!(read.succeeded().stdout, "of before\n");
    let now = Holdings::of(&stage).await.only();
    assert!(now.0 != server && now.1 == volume, "another machine with the same volume");
    daemon.stop().await;
    stage.close().await;
}

/// Remaining requests of the outage.
async fn still_away(stage: &Stage) -> u64 {
    stage.look().await["faults"][0]["times"].as_u64().expect("the cloud is away")
}
