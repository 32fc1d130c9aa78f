//! The network is cut under open forwards.

use std::io::{ErrorKind, Read as _};
use std::time::Duration;

use super::{connect, echo, echoed, free_port, is_free, local, make_peer, sent_and_answered};
use crate::rig::{Stage, pass_over, set_link};

/// A dead path is noticed within this time; the path's own tests measure it more closely.
const NOTICED: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_network_resets_connections_and_takes_no_listener_away() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[]).await;
    make_peer(&stage).await;
    let port = free_port();
    let (tcp, udp) = (format!("{port}:7"), format!("{port}:7/udp"));
    stage.docker(&["run", "-d", "--name", "web", "-p", &tcp, "-p", &udp, "peer"]).await.succeeded();
    sent_and_answered(local(port)).await;
    let mut open = tokio::task::spawn_blocking(move || echo(local(port))).await.unwrap();

    let link = stage.link();
    set_link(&link, "down").await;
    let ended = tokio::task::spawn_blocking(move || {
        open.set_read_timeout(Some(NOTICED)).unwrap();
        open.read(&mut [0]).unwrap_err().kind()
    });
    while !ended.is_finished() {
        assert!(!is_free(local(port)), "the listener stays while the network is cut");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(ended.await.unwrap(), ErrorKind::ConnectionReset);
    assert_ne!(daemon.client().status().await.unwrap().state, api::MachineState::Absent);
    assert!(!is_free(local(port)));

    // A connection during the cut: reset, or served when the network is back, but not refused.
    let early = connect(local(port));
    set_link(&link, "up").await;
    drop(early);
    echoed(local(port)).await;
    sent_and_answered(local(port)).await;
    assert!(
        stage.dockbridge(&["ports"]).await.succeeded().stdout.contains("ago from 127.0.0.1:"),
        "the failed connection is shown"
    );
    stage.docker(&["rm", "-f", "web"]).await.succeeded();
    assert!(is_free(local(port)));
    daemon.stop().await;
    stage.close().await;
}
