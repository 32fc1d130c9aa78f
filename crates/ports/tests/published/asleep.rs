//! Ports of a machine that was taken down.

use dockbridge_ports::{PortState, Ports};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::engine::{Engine, eventually, free_port, is_free, local, rig, within};

/// A container with an open port.
async fn open() -> (Engine, Ports, u16, impl Sized) {
    let (engine, ports, _, far_ends) = rig();
    let port = free_port();
    engine.create("web", &[port]);
    let reservation = ports.reserve("web").await.unwrap();
    engine.start_silently("web", 0);
    reservation.open().await.unwrap();
    (engine, ports, port, far_ends)
}

fn state(ports: &Ports, port: u16) -> Option<PortState> {
    ports.list().into_iter().find(|status| status.local == local(port)).map(|status| status.state)
}

async fn reply_to(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(local(port)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    // A reset is an end, too.
    let _ = within("the end of the connection", stream.read_to_string(&mut reply)).await;
    reply
}

#[tokio::test]
async fn a_port_of_a_machine_that_ended_by_itself_answers_that_it_is_asleep() {
    let (engine, ports, port, _far_ends) = open().await;
    ports.fall_asleep();
    let Some(PortState::Asleep { why }) = state(&ports, port) else { panic!("it is not asleep") };
    assert!(why.contains("dockbridge wake"), "{why}");
    let answer = reply_to(port, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 503 ")
            && answer.contains("web is asleep")
            && answer.contains("dockbridge wake"),
        "{answer}"
    );
    assert_eq!(reply_to(port, "\x16\x03\x01 something else").await, "");
    // The machine's end is reported again when it has gone.
    ports.detach();
    assert!(!is_free(port) && matches!(state(&ports, port), Some(PortState::Asleep { .. })));
    // A machine runs again, and the container with it.
    let following = CancellationToken::new();
    let run = tokio::spawn({
        let (ports, following) = (ports.clone(), following.clone());
        async move { ports.run(following).await }
    });
    eventually("the port of the container", &ports, || {
        state(&ports, port) == Some(PortState::Open)
    })
    .await;
    assert_eq!(ports.list().len(), 1);
    following.cancel();
    run.await.unwrap().unwrap();
    ports.fall_asleep();
    // Another machine, where it does not run.
    engine.die_silently("web");
    let run = tokio::spawn({
        let ports = ports.clone();
        async move { ports.run(CancellationToken::new()).await }
    });
    eventually("nothing is asleep", &ports, || ports.list().is_empty() && is_free(port)).await;
    run.abort();
}

#[tokio::test]
async fn a_port_of_a_machine_that_the_user_ended_is_free_and_listed_as_asleep() {
    let (_engine, ports, port, _far_ends) = open().await;
    ports.detach();
    assert!(is_free(port) && matches!(state(&ports, port), Some(PortState::Asleep { .. })));
    ports.close().await;
    assert!(ports.list().is_empty());
}

#[tokio::test]
async fn a_sleeping_port_is_given_to_a_container_that_starts_with_it() {
    let (engine, ports, port, _far_ends) = open().await;
    ports.fall_asleep();
    engine.die_silently("web");
    engine.create("other", &[port]);
    let reservation = ports.reserve("other").await.unwrap();
    engine.start_silently("other", 0);
    reservation.started().await.unwrap();
    assert!(
        ports
            .list()
            .iter()
            .any(|status| status.container == "other" && status.state == PortState::Open),
        "{:#?}",
        ports.list()
    );
    within("everything ends", ports.close()).await;
    assert!(is_free(port));
}
