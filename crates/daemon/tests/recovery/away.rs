//! A machine that does not answer for longer: what the status reports, that the daemon finds it
//! without a request, and that no client waits longer than needed.

use std::time::Duration;

use tokio::time::Instant;

use crate::rig::{Mode, Stage, docker_error};

#[tokio::test(flavor = "multi_thread")]
async fn lost_machine_is_retried_with_growing_pauses_and_found_without_a_request() {
    let Some(stage) = Stage::up(true).await else { return };
    stage.relay.set(Mode::Refusing);
    let (status, _) = stage
        .until("an attempt failed", |status| {
            status.state == api::MachineState::Lost && status.next_attempt_seconds > Some(0.0)
        })
        .await;
    let reason = status.reason.unwrap_or_default();
    assert!(
        reason.contains("the connection broke") || reason.contains("closed the connection"),
        "{reason}"
    );
    assert!(reason.contains("cannot be reached"), "what the last attempt said: {reason}");
    assert!(status.why.next.starts_with("connecting again in "), "{}", status.why.next);
    // 1, 2 and 4 s, each longer or shorter by a quarter.
    let (status, _) =
        stage.until("the pauses grow", |status| status.next_attempt_seconds > Some(2.6)).await;
    assert!(
        status.since_seconds > 2.0,
        "lost since it was lost, not since the last attempt: {status:?}"
    );
    stage.relay.set(Mode::Passing);
    let (status, took) =
        stage.until("it is found again", |status| status.state == api::MachineState::Up).await;
    eprintln!("found {:.2} s after it could be", took.as_secs_f64());
    assert_eq!(status.next_attempt_seconds, None);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_client_does_not_wait_for_a_pause() {
    let Some(stage) = Stage::up(true).await else { return };
    stage.relay.set(Mode::Refusing);
    let (status, _) =
        stage.until("a long pause", |status| status.next_attempt_seconds > Some(5.5)).await;
    let pause = Duration::from_secs_f64(status.next_attempt_seconds.unwrap());
    stage.relay.set(Mode::Passing);
    let asked = Instant::now();
    assert_eq!(stage.client().await.ask("GET", "/v1.41/containers/json").await.0, 200);
    assert!(
        asked.elapsed() < pause,
        "answered after {:?} of a pause of {pause:?}",
        asked.elapsed()
    );
    eprintln!(
        "answered {:.2} s into a pause of {:.2} s",
        asked.elapsed().as_secs_f64(),
        pause.as_secs_f64()
    );
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn machine_that_is_away_at_the_start_is_found_when_it_comes() {
    let Some(stage) = Stage::start(true, Mode::Refusing).await else { return };
    let (status, _) =
        stage.until("it was looked for", |status| status.next_attempt_seconds > Some(0.0)).await;
    assert_eq!(status.state, api::MachineState::Lost);
    // A command has three attempts of its own, and then reports why they failed.
    let answer = stage.client().await.ask("GET", "/v1.41/containers/json").await;
    assert!(docker_error(&answer).contains("cannot be reached"), "{answer:?}");
    let (status, _) =
        stage.until("it goes on", |status| status.next_attempt_seconds.is_some()).await;
    assert!(
        matches!(status.state, api::MachineState::Failed | api::MachineState::Lost),
        "{status:?}"
    );
    stage.relay.set(Mode::Passing);
    stage.until("it is found", |status| status.state == api::MachineState::Up).await;
    assert_eq!(stage.client().await.ask("GET", "/v1.41/containers/json").await.0, 200);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn machine_that_refuses_the_login_is_not_retried_without_a_request() {
    let Some(stage) = Stage::up(true).await else { return };
    let keys = stage.sshd.path("authorized_keys");
    let trusted = std::fs::read_to_string(&keys).unwrap();
    std::fs::write(&keys, "").unwrap();
    stage.relay.strand();
    let (status, _) =
        stage.until("it says so", |status| status.state == api::MachineState::Failed).await;
    assert!(
        status.reason.as_ref().is_some_and(|reason| reason.contains("does not accept the key")),
        "{status:?}"
    );
    assert_eq!(
        (status.next_attempt_seconds, status.why.next.as_str()),
        (None, "the next docker command wakes a machine")
    );
    // A command gets a new attempt at once.
    std::fs::write(&keys, trusted).unwrap();
    assert_eq!(stage.client().await.ask("GET", "/v1.41/containers/json").await.0, 200);
    stage.close().await;
}
