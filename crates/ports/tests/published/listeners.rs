//! When ports are taken, opened and closed.

use std::net::TcpListener;

use dockbridge_ports::PortState;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::engine::{eventually, free_port, is_free, local, rig, within};

#[tokio::test]
async fn a_port_is_reserved_before_the_start_and_released_when_it_fails() {
    let (engine, ports, ..) = rig();
    let port = free_port();
    engine.create("web", &[port]);
    let reservation = ports.reserve("web").await.unwrap();
    assert!(!is_free(port));
    drop(reservation);
    assert!(is_free(port));
    assert!(ports.list().is_empty());
}

#[tokio::test]
async fn a_port_in_use_is_a_conflict_with_dockers_message_and_nothing_stays_reserved() {
    let (engine, ports, ..) = rig();
    let taken = TcpListener::bind(local(0)).unwrap();
    let (free, port) = (free_port(), taken.local_addr().unwrap().port());
    engine.create("web", &[free, port]);
    let conflict = ports.reserve("web").await.err().unwrap();
    assert_eq!(
        conflict.to_string(),
        format!(
            "driver failed programming external connectivity on endpoint web (web): Bind for \
             127.0.0.1:{port} failed: port is already allocated"
        )
    );
    assert!(is_free(free));
}

#[tokio::test]
async fn one_of_two_concurrent_starts_gets_the_port() {
    let (engine, ports, ..) = rig();
    let port = free_port();
    engine.create("one", &[port]);
    engine.create("two", &[port]);
    let (one, two) = tokio::join!(ports.reserve("one"), ports.reserve("two"));
    assert_eq!([one.is_ok(), two.is_ok()].iter().filter(|ok| **ok).count(), 1);
}

#[tokio::test]
async fn a_connection_before_the_start_waits_and_is_served() {
    let (engine, ports, _, mut far_ends) = rig();
    let port = free_port();
    engine.create("web", &[port]);
    let reservation = ports.reserve("web").await.unwrap();
    let _early = TcpStream::connect(local(port)).await.unwrap();
    assert!(far_ends.try_recv().is_err());
    engine.start_silently("web", 0);
    reservation.open().await.unwrap();
    within("the early connection", far_ends.recv()).await.unwrap();
}

#[tokio::test]
async fn a_number_chosen_by_the_engine_is_opened_after_the_start() {
    let (engine, ports, ..) = rig();
    let port = free_port();
    engine.create("web", &[0]);
    let reservation = ports.reserve("web").await.unwrap();
    engine.start_silently("web", port);
    reservation.open().await.unwrap();
    TcpStream::connect(local(port)).await.unwrap();
}

#[tokio::test]
async fn a_restart_keeps_the_port_open() {
    let (engine, ports, _, mut far_ends) = rig();
    let port = free_port();
    engine.create("web", &[port]);
    engine.start_silently("web", 0);
    for _ in 0..2 {
        ports.reserve("web").await.unwrap().open().await.unwrap();
        let _connection = TcpStream::connect(local(port)).await.unwrap();
        within("a connection", far_ends.recv()).await.unwrap();
    }
    assert_eq!(ports.list()[0].traffic.connections_total, 2);
}

#[tokio::test]
async fn the_port_is_free_as_soon_as_the_end_is_settled() {
    let (engine, ports, ..) = rig();
    let port = free_port();
    engine.create("web", &[port]);
    for _ in 0..20 {
        let reservation = ports.reserve("web").await.unwrap();
        engine.start_silently("web", 0);
        reservation.open().await.unwrap();
        assert!(!is_free(port));
        engine.die_silently("web");
        ports.settle("web").await;
        assert!(is_free(port));
    }
}

#[tokio::test]
async fn events_open_and_close_ports_and_a_lost_path_closes_nothing_until_the_next_list() {
    let (engine, ports, ..) = rig();
    let (one, two) = (free_port(), free_port());
    engine.create("one", &[one]);
    engine.create("two", &[two]);
    engine.start_silently("one", 0);
    let follow = || {
        tokio::spawn({
            let ports = ports.clone();
            async move { ports.run(CancellationToken::new()).await }
        })
    };

    let following = follow();
    eventually("what ran before", &ports, || !is_free(one)).await;
    engine.start("two");
    eventually("what was started", &ports, || !is_free(two)).await;
    engine.die("one");
    eventually("what died", &ports, || is_free(one)).await;

    engine.cut_events();
    within("the end of following", following).await.unwrap().unwrap_err();
    assert!(!is_free(two));

    // The next list applies what happened meanwhile.
    engine.die_silently("two");
    engine.start_silently("one", 0);
    follow();
    eventually("the list", &ports, || is_free(two) && !is_free(one)).await;
}

#[tokio::test]
async fn outdated_events_change_nothing() {
    let (engine, ports, ..) = rig();
    let port = free_port();
    engine.create("web", &[port]);
    let shutdown = CancellationToken::new();
    let following = tokio::spawn({
        let (ports, shutdown) = (ports.clone(), shutdown.clone());
        async move { ports.run(shutdown).await }
    });
    eventually("following", &ports, || engine.is_followed()).await;
    let reservation = ports.reserve("web").await.unwrap();
    engine.start_silently("web", 0);
    reservation.open().await.unwrap();
    let _connection = TcpStream::connect(local(port)).await.unwrap();
    // The event of the end before this start arrives only now.
    engine.send_event("die", "web");
    engine.send_event("start", "web");
    engine.create("marker", &[free_port()]);
    engine.start("marker");
    eventually("the events have arrived", &ports, || {
        ports.list().iter().any(|status| status.container == "marker")
    })
    .await;
    let status = ports.list().into_iter().find(|status| status.local == local(port)).unwrap();
    assert_eq!(status.traffic.connections_total, 1, "the port was never closed");
    shutdown.cancel();
    following.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_unavailable_port_of_a_running_container_is_listed_with_its_reason() {
    let (engine, ports, ..) = rig();
    let taken = TcpListener::bind(local(0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    engine.create("web", &[port]);
    engine.start_silently("web", 0);
    let following = tokio::spawn({
        let ports = ports.clone();
        async move { ports.run(CancellationToken::new()).await }
    });
    let state = |ports: &dockbridge_ports::Ports| {
        ports
            .list()
            .into_iter()
            .find(|status| status.local == local(port))
            .map(|status| status.state)
    };
    let why = "port is already allocated".to_owned();
    eventually("the reason", &ports, || {
        state(&ports) == Some(PortState::Unavailable { why: why.clone() })
    })
    .await;
    // It is retried without an event.
    drop(taken);
    eventually("the port", &ports, || state(&ports) == Some(PortState::Open)).await;
    following.abort();
}
