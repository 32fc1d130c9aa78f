//! Requests and answers: what one side writes the other side reads, and how either side ends is seen by the other.

use std::time::Duration;

use crate::rig::{Peer, eventually, rig, rig_with, within};
use lifecycle::Kind;
use tokio::io::AsyncWriteExt;
use tunnel::{Class, OpenError};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn heads_pass_as_they_are() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("GET /v1.41/info?a=%20b HTTP/1.1\r\nHost: docker\r\nX-Registry-Auth: abc=\r\nx-odd-CASE: 1\r\n\r\n").await;
    let mut engine = rig.engine().await;
    let head = engine.head().await;
    assert!(head.starts_with("GET /v1.41/info?a=%20b HTTP/1.1\r\n"), "{head}");
    for line in ["\r\nHost: docker\r\n", "\r\nX-Registry-Auth: abc=\r\n", "\r\nx-odd-CASE: 1\r\n"] {
        assert!(head.contains(line), "{line:?} in {head}");
    }
    engine.send("HTTP/1.1 404 Not Found\r\nApi-Version: 1.41\r\nOstype: linux\r\nContent-Length: 3\r\nDate: x\r\n\r\nno\n").await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n"), "{head}");
    for line in ["\r\nApi-Version: 1.41\r\n", "\r\nOstype: linux\r\n", "\r\nContent-Length: 3\r\n", "\r\nDate: x\r\n"] {
        assert!(head.contains(line), "{line:?} in {head}");
    }
    client.until("no\n").await;
}

#[tokio::test]
async fn a_client_connection_keeps_its_engine_connection() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("GET /info HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut engine = rig.engine().await;
    for round in 0..5 {
        if round > 0 {
            client.send("POST /containers/x/kill HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n").await;
        }
        engine.head().await;
        engine.send(OK).await;
        client.until("\r\n\r\nok").await;
    }
    assert!(rig.asks_no_more());
}

#[tokio::test]
async fn a_bulk_request_travels_on_a_bulk_connection() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("GET /info HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send(OK).await;
    client.until("\r\n\r\nok").await;
    client.send("GET /images/get?names=a HTTP/1.1\r\nHost: d\r\n\r\n").await;
    assert_eq!(rig.asked().await.class, Class::Bulk);
}

#[tokio::test]
async fn a_read_on_a_connection_that_went_stale_is_asked_again_on_a_new_one() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("GET /info HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send(OK).await;
    client.until("\r\n\r\nok").await;

    client.send("GET /containers/json HTTP/1.1\r\nHost: d\r\n\r\n").await;
    engine.head().await;
    drop(engine);
    let mut engine = rig.engine().await;
    assert!(engine.head().await.starts_with("GET /containers/json "));
    engine.send(OK).await;
    client.until("\r\n\r\nok").await;
}

#[tokio::test]
async fn a_change_that_may_have_happened_is_not_asked_for_twice() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("GET /info HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send(OK).await;
    client.until("\r\n\r\nok").await;

    client.send("POST /containers/x/start HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n").await;
    engine.head().await;
    drop(engine);
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{head}");
    client.until("the next command connects again\"}\n").await;
    assert!(rig.asks_no_more());
    // The client's connection goes on.
    client.send("GET /info HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send(OK).await;
    client.until("\r\n\r\nok").await;
}

#[tokio::test]
async fn an_engine_connection_that_ended_while_idle_is_replaced_for_any_request() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("GET /info HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send(OK).await;
    client.until("\r\n\r\nok").await;
    drop(engine);

    client.send("POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\n\r\n{}").await;
    let mut engine = rig.engine().await;
    assert!(engine.until("{}").await.starts_with("POST /containers/create "));
    engine.send(OK).await;
    client.until("\r\n\r\nok").await;
}

#[tokio::test]
async fn an_upload_of_unknown_length_flows_as_it_is_sent() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("POST /build HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n").await;
    let mut engine = rig.engine().await;
    let head = engine.head().await;
    assert!(head.contains("Transfer-Encoding: chunked\r\n"), "{head}");
    engine.until("one").await;
    client.send("3\r\ntwo\r\n").await;
    engine.until("two").await;
    // An answer may begin before the upload has ended.
    engine.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nstep\r\n").await;
    client.until("step\r\n").await;
    client.send("0\r\n\r\n").await;
    engine.until("0\r\n\r\n").await;
    engine.send("0\r\n\r\n").await;
    client.until("0\r\n\r\n").await;
}

#[tokio::test]
async fn a_client_that_expects_to_be_told_to_go_on_is_told() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("POST /images/load HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    assert!(client.head().await.starts_with("HTTP/1.1 100 Continue"));
    client.send("data").await;
    engine.until("data").await;
    engine.send(OK).await;
    client.until("\r\n\r\nok").await;
}

#[tokio::test]
async fn an_answer_before_the_end_of_an_upload_reaches_the_client() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("POST /images/load HTTP/1.1\r\nHost: d\r\nContent-Length: 1000000\r\n\r\nxyz").await;
    let mut engine = rig.engine().await;
    engine.until("xyz").await;
    engine.send("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbad").await;
    drop(engine);
    assert!(client.head().await.starts_with("HTTP/1.1 400 Bad Request\r\n"));
    client.until("bad").await;
}

#[tokio::test]
async fn a_client_that_goes_on_sending_after_its_answer_is_not_met_by_a_broken_pipe() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("PUT /containers/nobody/archive?path=/ HTTP/1.1\r\nHost: d\r\nContent-Length: 100000000\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send("HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno").await;
    drop(engine);
    rig.activity_is("the answer is there", |snapshot| snapshot.live.is_empty()).await;
    for _ in 0..50 {
        client.send(&"x".repeat(60_000)).await;
    }
    assert!(client.head().await.starts_with("HTTP/1.1 404 Not Found\r\n"));
    client.until("no").await;
}

#[tokio::test]
async fn the_answer_to_head_has_a_length_and_no_body() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("HEAD /containers/x/archive?path=/ HTTP/1.1\r\nHost: d\r\n\r\nGET /info HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nX-Docker-Container-Path-Stat: abc\r\n\r\n").await;
    let head = client.head().await;
    assert!(head.contains("Content-Length: 1234\r\n") && head.contains("X-Docker-Container-Path-Stat: abc\r\n"), "{head}");
    // The request that the client sent ahead comes next, on the same connection.
    assert!(engine.head().await.starts_with("GET /info "));
    engine.send(OK).await;
    client.until("\r\n\r\nok").await;
    assert!(rig.asks_no_more());
}

#[tokio::test]
async fn an_answer_is_passed_on_as_it_comes() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("GET /events HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.head().await;
    for event in ["{\"a\":1}", "{\"b\":2}"] {
        engine.send(&format!("{:x}\r\n{event}\r\n", event.len())).await;
        client.until(event).await;
    }
    engine.send("0\r\n\r\n").await;
    client.until("\r\n0\r\n\r\n").await;
}

#[tokio::test]
async fn a_chunked_answer_that_breaks_off_does_not_end_cleanly() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("GET /containers/x/export HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
    client.until("half\r\n").await;
    drop(engine);
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn an_answer_of_known_length_that_breaks_off_stays_short() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("GET /containers/x/archive HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort").await;
    client.until("short").await;
    drop(engine);
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_machine_that_cannot_be_reached_is_a_docker_error() {
    let mut rig = rig();
    let mut client = rig.client().await;
    for (error, status, words) in [
        (OpenError::Dead { reason: "no answer for 6 s".into() }, "503 Service Unavailable", "no answer for 6 s"),
        (OpenError::Refused { message: "no such \"socket\"".into() }, "503 Service Unavailable", "no such \\\"socket\\\""),
    ] {
        client.send("GET /info HTTP/1.1\r\nHost: d\r\n\r\n").await;
        assert!(rig.asked().await.answer.send(Err(error)).is_ok());
        let head = client.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{head}");
        assert!(head.contains("Content-Type: application/json\r\n"), "{head}");
        let body = client.until("\"}\n").await;
        assert!(body.starts_with("{\"message\":\"") && body.contains(words), "{body}");
    }
}

#[tokio::test]
async fn big_heads_pass() {
    let mut rig = rig();
    let mut client = rig.client().await;
    let big = "x".repeat(500_000);
    client.send(&format!("GET /info HTTP/1.1\r\nHost: d\r\nX-Registry-Config: {big}\r\n\r\n")).await;
    let mut engine = rig.engine().await;
    assert!(engine.head().await.contains(&big));
    let many: String = (0..500).map(|n| format!("X-Header-{n}: {n}\r\n")).collect();
    engine.send(&format!("HTTP/1.1 200 OK\r\nX-Big: {big}\r\n{many}Content-Length: 0\r\n\r\n")).await;
    let head = client.head().await;
    assert!(head.contains(&big) && head.contains("X-Header-499: 499\r\n"));
}

#[tokio::test]
async fn a_client_that_leaves_is_gone_for_the_engine_at_once() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("POST /containers/x/wait HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    drop(client);
    let left = tokio::time::Instant::now();
    assert_eq!(engine.rest().await, "");
    assert!(left.elapsed() < Duration::from_secs(1), "{:?}", left.elapsed());
    rig.activity_is("nothing goes on", |snapshot| snapshot.live.is_empty()).await;
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_an_answer_is_gone_for_the_engine_at_once() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("GET /containers/x/logs?follow=1 HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nlog\r\n").await;
    client.until("log").await;
    rig.activity_is(
        "a stream",
        |snapshot| matches!(&snapshot.live[..], [live] if live.kind == Kind::Stream && live.source == "GET /containers/x/logs"),
    )
    .await;
    drop(client);
    let left = tokio::time::Instant::now();
    assert_eq!(engine.rest().await, "");
    assert!(left.elapsed() < Duration::from_secs(1), "{:?}", left.elapsed());
    rig.activity_is("nothing goes on", |snapshot| snapshot.live.is_empty()).await;
}

#[tokio::test]
async fn a_client_that_leaves_while_its_upload_stalls_is_found_out() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("POST /images/load HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    // The engine reads no more; the client writes until nothing moves.
    let chunk = format!("{:x}\r\n{}\r\n", 60_000, "x".repeat(60_000));
    while tokio::time::timeout(Duration::from_millis(300), client.io.write_all(chunk.as_bytes())).await.is_ok() {}
    drop(client);
    rig.activity_is("nothing goes on", |snapshot| snapshot.live.is_empty()).await;
    engine.rest().await;
}

#[tokio::test]
async fn a_client_that_leaves_while_the_machine_is_made_gives_up() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("GET /info HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let asked = rig.asked().await;
    rig.activity_is("a command waits", |snapshot| snapshot.live.len() == 1).await;
    drop(client);
    eventually("the wait is given up", || asked.answer.is_canceled(), || "waiting".into()).await;
    rig.activity_is("nothing goes on", |snapshot| snapshot.live.is_empty()).await;
}

#[tokio::test]
async fn a_client_that_only_ends_its_sending_still_gets_its_answer_and_the_engine_hears_of_it() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("GET /containers/x/logs?follow=1 HTTP/1.1\r\nHost: d\r\n\r\n").await;
    client.half_close().await;
    let mut engine = rig.engine().await;
    engine.head().await;
    assert_eq!(engine.rest().await, "", "dockerd gives up what nobody waits for when it reads the end");
    engine.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nlog\r\n0\r\n\r\n").await;
    assert!(client.rest().await.ends_with("3\r\nlog\r\n0\r\n\r\n"));
}

#[tokio::test]
async fn a_reader_that_stalls_holds_back_its_own_engine_connection_only() {
    let mut rig = rig();
    let mut stalled = rig.client().await;
    stalled.send("GET /images/get?names=a HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let chunk = format!("{:x}\r\n{}\r\n", 60_000, "x".repeat(60_000));
    let mut taken = 0;
    while tokio::time::timeout(Duration::from_millis(300), engine.io.write_all(chunk.as_bytes())).await.is_ok() {
        taken += chunk.len();
        assert!(taken < 16 << 20, "what nobody reads is held back");
    }

    let mut other = rig.client().await;
    other.send("GET /info HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send(OK).await;
    other.until("\r\n\r\nok").await;
}

#[tokio::test]
async fn a_command_is_activity_until_its_answer_has_ended() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("POST /v1.41/images/create?fromImage=a HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n").await;
    client.until("{}\r\n").await;
    let live = rig.activity.snapshot().live;
    assert!(matches!(&live[..], [live] if live.kind == Kind::Command && live.source == "POST /images/create"), "{live:?}");
    engine.send("0\r\n\r\n").await;
    rig.activity_is("nothing goes on", |snapshot| snapshot.live.is_empty()).await;
}

#[tokio::test]
async fn ping_and_version_are_answered_here_once_known_and_are_no_activity() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("engine.json");
    let headers = "Api-Version: 1.41\r\nBuilder-Version: 1\r\nDocker-Experimental: false\r\nOstype: linux\r\nServer: Docker/20.10\r\n";
    let version = r#"{"ApiVersion":"1.41","MinAPIVersion":"1.12"}"#;
    {
        let mut rig = rig_with(gateway::Knowledge::load(&path));
        let mut client = rig.client().await;
        client.send("HEAD /_ping HTTP/1.1\r\nHost: d\r\n\r\n").await;
        let mut engine = rig.engine().await;
        engine.head().await;
        engine.send(&format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: 0\r\nContent-Type: text/plain\r\n\r\n")).await;
        client.head().await;
        client.send("GET /version HTTP/1.1\r\nHost: d\r\n\r\n").await;
        engine.head().await;
        engine.send(&format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n{version}", version.len())).await;
        client.until(version).await;
    }
    let mut rig = rig_with(gateway::Knowledge::load(&path));
    let mut client = rig.client().await;
    client.send("HEAD /_ping HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let head = client.head().await;
    for line in headers.lines() {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line:?} in {head}");
    }
    client.send("GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n").await;
    client.until("\r\n\r\nOK").await;
    client.send("GET /v1.41/version HTTP/1.1\r\nHost: d\r\n\r\n").await;
    client.until(version).await;
    assert!(rig.asks_no_more());
    assert_eq!(rig.activity.snapshot(), lifecycle::Snapshot::default());
}

#[tokio::test]
async fn shutdown_closes_idle_clients_and_lets_an_answer_under_way_end() {
    let mut rig = rig();
    let mut idle = rig.client().await;
    let mut busy = rig.client().await;
    busy.send("GET /info HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    rig.shutdown.cancel();
    assert_eq!(idle.rest().await, "");
    engine.send(OK).await;
    assert!(busy.rest().await.ends_with("\r\n\r\nok"));
    within("the gateway ends", &mut rig.serving).await.unwrap();
}

#[tokio::test]
async fn shutdown_does_not_wait_for_endless_streams() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("GET /events HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut engine: Peer = rig.engine().await;
    engine.head().await;
    rig.shutdown.cancel();
    within("the gateway ends", &mut rig.serving).await.unwrap();
    assert_eq!(client.rest().await, "");
}
