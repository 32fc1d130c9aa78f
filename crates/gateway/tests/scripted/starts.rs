//! Starts of containers with published ports: when they are answered, and how a start ends whose
//! port is taken here.

use std::net::TcpListener;

use crate::additions::{ID, answer, free_port, inspected, request};
use crate::rig::{Peer, Rig, rig_with_ports};

const STARTED: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// The client asks for a start, and the engine has answered the inspect.
async fn asks_to_start(rig: &mut Rig, bindings: &str, more: &str) -> Peer {
    let mut client = rig.client().await;
    client.send(&request("POST /containers/web/start", "")).await;
    let mut question = rig.engine().await;
    assert!(question.head().await.starts_with("GET /containers/web/json HTTP/1.1\r\n"));
    question.send(&answer("200 OK", &inspected(bindings, "{}", more))).await;
    client
}

/// The engine starts it, and the client gets the response. The inspect behind it is not answered.
async fn starts(rig: &mut Rig, client: &mut Peer) -> Peer {
    let mut engine = rig.engine().await;
    assert!(engine.head().await.starts_with("POST /containers/web/start "));
    engine.send(STARTED).await;
    assert!(client.head().await.starts_with("HTTP/1.1 204 "), "the start waits for an inspect");
    engine
}

#[tokio::test]
async fn fixed_port_is_open_when_the_start_is_answered_without_an_inspect_before() {
    let mut rig = rig_with_ports();
    let port = free_port();
    let bindings = format!("{{\"80/tcp\":[{{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"{port}\"}}]}}");
    let mut client = asks_to_start(&mut rig, &bindings, "").await;
    let mut engine = starts(&mut rig, &mut client).await;
    assert!(TcpListener::bind(("127.0.0.1", port)).is_err(), "the port is not listened on");
    // The inspect comes behind the response. A container that has ended by then has no port any
    // more when its end is reported.
    let mut question = rig.engine().await;
    assert!(question.head().await.starts_with(&format!("GET /containers/{ID}/json ")));
    client.send(&request("POST /containers/web/wait", "")).await;
    assert!(engine.head().await.starts_with("POST /containers/web/wait "));
    engine.send(&answer("200 OK", "{\"StatusCode\":0}")).await;
    assert!(client.head().await.starts_with("HTTP/1.1 200 "));
    assert!(client.hears_nothing().await, "the end is reported before the ports are known");
    question.send(&answer("404 Not Found", "{\"message\":\"No such container\"}")).await;
    client.until("{\"StatusCode\":0}").await;
    TcpListener::bind(("127.0.0.1", port)).unwrap();
}

#[tokio::test]
async fn wait_reaches_the_engine_while_the_inspect_behind_the_start_is_not_answered() {
    let fixed = format!("{{\"80/tcp\":[{{\"HostIp\":\"\",\"HostPort\":\"{}\"}}]}}", free_port());
    let chosen = "{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"\"}]}";
    for bindings in [fixed.as_str(), chosen] {
        let mut rig = rig_with_ports();
        let mut client = asks_to_start(&mut rig, bindings, ",\"AutoRemove\":true").await;
        let mut engine = starts(&mut rig, &mut client).await;
        let mut inspect = rig.engine().await;
        assert!(inspect.head().await.starts_with(&format!("GET /containers/{ID}/json ")));
        // On the connection that the client has already.
        let wait = "POST /containers/web/wait?condition=removed";
        client.send(&request(wait, "")).await;
        assert!(engine.head().await.starts_with(wait), "{bindings}");
    }
}

#[tokio::test]
async fn port_that_the_engine_chose_is_open_when_it_is_shown() {
    let mut rig = rig_with_ports();
    let port = free_port();
    // A container that removes itself may be ending: its start is answered first.
    let chosen = "{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"\"}]}";
    let mut client = asks_to_start(&mut rig, chosen, ",\"AutoRemove\":true").await;
    let mut engine = starts(&mut rig, &mut client).await;
    let mut question = rig.engine().await;
    assert!(question.head().await.starts_with(&format!("GET /containers/{ID}/json ")));
    let shown = inspected(
        "{}",
        &format!("{{\"80/tcp\":[{{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"{port}\"}}]}}"),
        "",
    );
    // Other containers do not wait.
    for (path, waits) in [("/containers/other/json", false), ("/containers/web/json", true)] {
        client.send(&request(&format!("GET {path}"), "")).await;
        assert!(engine.head().await.starts_with(&format!("GET {path} ")));
        engine.send(&answer("200 OK", &shown)).await;
        if !waits {
            client.until(&shown).await;
        }
    }
    assert!(client.hears_nothing().await, "the number is shown before it answers");
    question.send(&answer("200 OK", &shown)).await;
    client.until(&shown).await;
    assert!(TcpListener::bind(("127.0.0.1", port)).is_err(), "the port is not listened on");
}

#[tokio::test]
async fn self_removing_container_with_a_taken_port_is_removed() {
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
        // The engine never got the start.
        assert!(engine.hears_nothing().await && rig.asks_no_more());
    }
}
