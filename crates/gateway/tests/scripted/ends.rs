//! How an exchange ends early: either side breaks off, leaves or half-closes, or the gateway stops.

use std::time::Duration;

use lifecycle::Kind;
use tokio::io::AsyncWriteExt;

use crate::rig::{OK, Peer, eventually, rig, within};

#[tokio::test]
async fn client_that_still_sends_after_its_response_meets_no_broken_pipe() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client
        .send(
            "PUT /containers/nobody/archive?path=/ HTTP/1.1\r\nHost: d\r\nContent-Length: \
                100000000\r\n\r\n",
        )
        .await;
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
async fn chunked_response_that_breaks_off_does_not_end_cleanly() {
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
async fn response_of_known_length_that_breaks_off_stays_short() {
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
async fn engine_notices_at_once_that_a_client_leaves() {
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
async fn engine_notices_at_once_that_a_client_leaves_in_the_middle_of_a_response() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("GET /containers/x/logs?follow=1 HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nlog\r\n").await;
    client.until("log").await;
    rig.activity_is("a stream", |snapshot| {
        let live: Vec<_> =
            snapshot.live.iter().map(|live| (live.kind, live.source.as_str())).collect();
        live == [(Kind::Stream, "GET /containers/x/logs")]
    })
    .await;
    drop(client);
    let left = tokio::time::Instant::now();
    assert_eq!(engine.rest().await, "");
    assert!(left.elapsed() < Duration::from_secs(1), "{:?}", left.elapsed());
    rig.activity_is("nothing goes on", |snapshot| snapshot.live.is_empty()).await;
}

#[tokio::test]
async fn client_that_leaves_while_its_upload_stalls_is_noticed() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client
        .send("POST /images/load HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    let mut engine = rig.engine().await;
    engine.head().await;
    // The engine reads no more; the client writes until nothing moves.
    let chunk = format!("{:x}\r\n{}\r\n", 60_000, "x".repeat(60_000));
    while tokio::time::timeout(Duration::from_millis(300), client.io.write_all(chunk.as_bytes()))
        .await
        .is_ok()
    {}
    drop(client);
    rig.activity_is("nothing goes on", |snapshot| snapshot.live.is_empty()).await;
    engine.rest().await;
}

#[tokio::test]
async fn client_that_leaves_during_a_wake_gives_up() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("GET /info HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let asked = rig.asked().await;
    rig.activity_is("a command waits", |snapshot| snapshot.live.len() == 1).await;
    drop(client);
    eventually("the wait ends", || asked.answer.is_canceled(), || "waiting".into()).await;
    rig.activity_is("nothing goes on", |snapshot| snapshot.live.is_empty()).await;
}

#[tokio::test]
async fn half_closed_client_gets_its_response_and_the_half_close_is_passed_on() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("GET /containers/x/logs?follow=1 HTTP/1.1\r\nHost: d\r\n\r\n").await;
    client.half_close().await;
    let mut engine = rig.engine().await;
    engine.head().await;
    assert_eq!(engine.rest().await, "", "dockerd stops such work when it reads the end");
    engine.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nlog\r\n0\r\n\r\n").await;
    assert!(client.rest().await.ends_with("3\r\nlog\r\n0\r\n\r\n"));
}

#[tokio::test]
async fn requests_before_a_half_close_are_all_answered() {
    let mut rig = rig();
    let mut client = rig.client().await;
    // The last one travels on a connection of its own, opened when the half-close is known.
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: d\r\n\r\n");
    client.send(&format!("{}{}", get("/info"), get("/images/get?names=a"))).await;
    client.half_close().await;
    for path in ["/info", "/images/get?names=a"] {
        let mut engine = rig.engine().await;
        assert!(engine.head().await.starts_with(&format!("GET {path} ")));
        assert_eq!(engine.rest().await, "");
        engine.send(OK).await;
    }
    assert_eq!(client.rest().await.matches("\r\n\r\nok").count(), 2);
}

#[tokio::test]
async fn shutdown_closes_idle_clients_and_lets_a_response_end() {
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
