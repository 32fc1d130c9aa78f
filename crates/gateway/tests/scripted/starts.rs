//! Starts of containers with published ports: what is answered when, and how one ends whose port is
//! taken here.

use std::net::TcpListener;

use crate::added::{ID, answer, free_port, inspected, request};
use crate::rig::{Peer, Rig, rig_with_ports};

const STARTED: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// The client has asked for a start, and the engine has told what the container asks for.
async fn asks_to_start(rig: &mut Rig, bindings: &str, more: &str) -> Peer {
    let mut client = rig.client().await;
    client.send(&request("POST /containers/web/start", "")).await;
    let mut question = rig.engine().await;
    assert!(question.head().await.starts_with("GET /containers/web/json HTTP/1.1\r\n"));
    question.send(&answer("200 OK", &inspected(bindings, "{}", more))).await;
    client
}

/// The engine starts it, and the client hears of it. What the gateway asks behind that is left
/// unanswered.
async fn starts(rig: &mut Rig, client: &mut Peer) -> Peer {
    let mut engine = rig.engine().await;
    assert!(engine.head().await.starts_with("POST /containers/web/start "));
    engine.send(STARTED).await;
    assert!(client.head().await.starts_with("HTTP/1.1 204 "), "the start waits for an inspect");
    engine
}

#[tokio::test]
async fn a_port_with_a_number_answers_when_the_start_does_and_nothing_is_asked_before_that() {
    let mut rig = rig_with_ports();
    let port = free_port();
    let bindings = format!("{{\"80/tcp\":[{{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"{port}\"}}]}}");
    let mut client = asks_to_start(&mut rig, &bindings, "").await;
    let mut engine = starts(&mut rig, &mut client).await;
    assert!(TcpListener::bind(("127.0.0.1", port)).is_err(), "the port is not listened on");
    // Behind it the engine is asked; a container that has ended by then has its port no longer when
    // its end is told.
    let mut question = rig.engine().await;
    assert!(question.head().await.starts_with(&format!("GET /containers/{ID}/json ")));
    client.send(&request("POST /containers/web/wait", "")).await;
    assert!(engine.head().await.starts_with("POST /containers/web/wait "));
    engine.send(&answer("200 OK", "{\"StatusCode\":0}")).await;
    assert!(client.head().await.starts_with("HTTP/1.1 200 "));
    assert!(client.hears_nothing().await, "the end is told before the ports are known");
    question.send(&answer("404 Not Found", "{\"message\":\"No such container\"}")).await;
    client.until("{\"StatusCode\":0}").await;
    TcpListener::bind(("127.0.0.1", port)).unwrap();
}

#[tokio::test]
async fn whoever_asks_which_number_the_engine_chose_finds_it_open() {
    let mut rig = rig_with_ports();
    let port = free_port();
    // A container that removes itself may be ending: its start is answered first.
    let chosen = "{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"\"}]}";
    let mut client = asks_to_start(&mut rig, chosen, ",\"AutoRemove\":true").await;
    let mut engine = starts(&mut rig, &mut client).await;
    let mut question = rig.engine().await;
    assert!(question.head().await.starts_with(&format!("GET /containers/{ID}/json ")));
    let told = inspected(
        "{}",
        &format!("{{\"80/tcp\":[{{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"{port}\"}}]}}"),
        "",
    );
    // Others are not held up.
    for (path, waits) in [("/containers/other/json", false), ("/containers/web/json", true)] {
        client.send(&request(&format!("GET {path}"), "")).await;
        assert!(engine.head().await.starts_with(&format!("GET {path} ")));
        engine.send(&answer("200 OK", &told)).await;
        if !waits {
            client.until(&told).await;
        }
    }
    assert!(client.hears_nothing().await, "the number is told before it answers");
    question.send(&answer("200 OK", &told)).await;
    client.until(&told).await;
    assert!(TcpListener::bind(("127.0.0.1", port)).is_err(), "the port is not listened on");
}

#[tokio::test]
async fn a_self_removing_container_whose_port_is_taken_is_removed_as_the_engine_does() {
    for (more, removed) in [(",\"AutoRemove\":true", true), ("", false)] {
        let mut rig = rig_with_ports();
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let bindings = format!("{{\"80/tcp\":[{{\"HostIp\":\"\",\"HostPort\":\"{port}\"}}]}}");
        let mut client = asks_to_start(&mut rig, &bindings, more).await;
        let mut engine = rig.engine().await;
        assert!(engine.head().await.starts_with(&format!("GET /containers/{ID}/json ")));
        engine.send(&answer("200 OK", &inspected(&bindings, "{}", more))).await;
        if removed {
            assert!(
                engine.head().await.starts_with(&format!("DELETE /containers/{ID}?force=1&v=1 "))
            );
            engine.send(STARTED).await;
        }
        let refused = client.head().await;
        assert!(refused.starts_with("HTTP/1.1 500 "), "{refused}");
        let said = client.until("}\n").await;
        assert!(
            said.contains(&format!("Bind for 127.0.0.1:{port} failed: port is already allocated")),
            "{said}"
        );
        // The engine never heard of the start.
        assert!(engine.hears_nothing().await && rig.asks_no_more());
    }
}
