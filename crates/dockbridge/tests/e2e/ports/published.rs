//! Published ports: they answer here when `docker run` returns, and are free when `docker rm`
//! returns, again and again.

use std::net::{TcpListener, UdpSocket};

use super::{
    WEB, fetched, free_port, free_udp_port, local, make_peer, run_any, sent_and_answered, shown,
};
use crate::rig::{Stage, pass_over};

/// Number of rounds for each protocol. The full measure is 500.
fn rounds() -> u32 {
    std::env::var("DOCKBRIDGE_PORT_ROUNDS")
        .map_or(30, |rounds| rounds.parse().expect("a number of rounds"))
}

async fn run_web(stage: &Stage, name: &str, publish: &str) -> crate::rig::Ran {
    stage.docker(&[&["run", "-d", "--name", name, "-p", publish, "tiny"], &WEB[..]].concat()).await
}

/// The same port again and again, in two concurrent series.
async fn connections(stage: &Stage, name: &str) {
    let port = free_port();
    for round in 0..rounds() / 2 {
        run_web(stage, name, &format!("{port}:80")).await.succeeded();
        fetched(port).await;
        stage.docker(&["rm", "-f", name]).await.succeeded();
        TcpListener::bind(local(port))
            .unwrap_or_else(|error| panic!("{name}, round {round}: {error}"));
    }
}

async fn datagrams(stage: &Stage, name: &str) {
    let port = free_udp_port();
    for round in 0..rounds() / 2 {
        let publish = format!("{port}:7/udp");
        stage.docker(&["run", "-d", "--name", name, "-p", &publish, "peer"]).await.succeeded();
        sent_and_answered(local(port)).await;
        stage.docker(&["rm", "-f", name]).await.succeeded();
        UdpSocket::bind(local(port))
            .unwrap_or_else(|error| panic!("{name}, round {round}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_port_answers_when_run_returns_and_is_free_when_rm_returns_again_and_again() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[]).await;
    stage.make_image("tiny").await;
    tokio::join!(connections(&stage, "left"), connections(&stage, "right"));
    daemon.stop().await;
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_does_one_for_datagrams() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[]).await;
    make_peer(&stage).await;
    tokio::join!(datagrams(&stage, "left"), datagrams(&stage, "right"));
    daemon.stop().await;
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_dockers_own_error_and_a_chosen_one_is_shown_by_docker() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[]).await;
    stage.make_image("tiny").await;

    let taken = TcpListener::bind(local(0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let publish = format!("{port}:80");
    let refused = run_web(&stage, "web", &publish).await;
    assert_eq!(refused.status.code(), Some(125), "{refused}");
    refused.failed_with(
        "docker: Error response from daemon: driver failed programming external connectivity on \
         endpoint web (",
    );
    refused.failed_with("failed: port is already allocated");
    stage.docker(&["inspect", "-f", "{{.State.Status}}", "web"]).await.succeeded();

    // Free again: the same container starts. The engine itself refuses a second one.
    drop(taken);
    stage.docker(&["start", "web"]).await.succeeded();
    fetched(port).await;
    let refused = run_web(&stage, "other", &publish).await;
    assert_eq!(refused.status.code(), Some(125), "{refused}");
    refused.failed_with("port is already allocated");
    stage.docker(&["rm", "-f", "web", "other"]).await.succeeded();

    stage
        .docker(&["build", "-q", "-t", "exposed", stage_context(&stage).as_str()])
        .await
        .succeeded();
    run_any(&stage, &[&["exposed"], &WEB[..]].concat(), "web").await;
    fetched(shown(&stage, "web", "80/tcp").await).await;
    daemon.stop().await;
    stage.close().await;
}

/// `tiny` with a port that `-P` publishes.
fn stage_context(stage: &Stage) -> String {
    let context = stage.directory.path().join("exposed");
    std::fs::create_dir_all(&context).unwrap();
    std::fs::write(context.join("Dockerfile"), "FROM tiny\nEXPOSE 80\n").unwrap();
    context.display().to_string()
}
