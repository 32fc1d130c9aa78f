//! Responses without an end: their chunks are relayed unchanged, and HTTP goes on behind them on
//! both sides.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::rig::{OK, Peer, Rig, rig, within};

const FOLLOW: &str = "GET /v1.41/containers/x/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: d\r\n\r\n";
const HEAD: &str = "HTTP/1.1 200 OK\r\nX-Odd: 1\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A client that follows a log, and the engine that was asked for it.
async fn asked(rig: &mut Rig, request: &str) -> (Peer, Peer) {
    let mut client = rig.client().await;
    client.send(request).await;
    let mut engine = rig.engine().await;
    engine.head().await;
    (client, engine)
}

/// A question and its response on the same connections.
async fn goes_on(client: &mut Peer, engine: &mut Peer) {
    client.send("GET /info HTTP/1.1\r\nHost: d\r\n\r\n").await;
    assert!(engine.head().await.starts_with("GET /info HTTP/1.1\r\n"));
    engine.send(OK).await;
    let answer = client.until("\r\n\r\nok").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn chunks_pass_unchanged_and_both_connections_go_on() {
    let mut rig = rig();
    let (mut client, mut engine) = asked(&mut rig, FOLLOW).await;
    engine.send(HEAD).await;
    let head = client.head().await;
    assert!(
        head.contains("\r\nX-Odd: 1\r\n") && head.contains("\r\nTransfer-Encoding: chunked\r\n"),
        "{head}"
    );
    for piece in ["5;x=y\r\nhe", "llo\r\n", "0a\r\n0123456789\r\n", "0\r\nX-Sum: 1\r\n\r\n"] {
        engine.send(piece).await;
        assert_eq!(client.until(piece).await, piece);
    }
    // Again and again, with questions between them.
    for _ in 0..3 {
        goes_on(&mut client, &mut engine).await;
        client.send(FOLLOW).await;
        engine.head().await;
        engine.send(&format!("{HEAD}3\r\nlog\r\n0\r\n\r\n")).await;
        assert!(client.until("3\r\nlog\r\n0\r\n\r\n").await.starts_with("HTTP/1.1 200 OK\r\n"));
    }
    assert!(rig.asks_no_more());
    client.leaves().await;
    rig.activity_is("nothing goes on", |snapshot| snapshot.live.is_empty()).await;
}

#[tokio::test]
async fn response_that_comes_bytewise_passes() {
    let mut rig = rig();
    let (mut client, mut engine) = asked(&mut rig, FOLLOW).await;
    let whole = format!("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n{HEAD}3\r\nlog\r\n0\r\n\r\n");
    for byte in whole.as_bytes() {
        engine.io.write_all(std::slice::from_ref(byte)).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(client.until("3\r\nlog\r\n0\r\n\r\n").await.contains("HTTP/1.1 200 OK\r\n"));
    goes_on(&mut client, &mut engine).await;
}

#[tokio::test]
async fn pipelined_request_is_answered_behind_a_relayed_response() {
    let mut rig = rig();
    let (mut client, mut engine) =
        asked(&mut rig, &format!("{FOLLOW}GET /info HTTP/1.1\r\nHost: d\r\n\r\n")).await;
    engine.send(&format!("{HEAD}3\r\nlog\r\n")).await;
    client.until("3\r\nlog\r\n").await;
    assert!(engine.hears_nothing().await, "one request after the other");
    engine.send("0\r\n\r\n").await;
    assert!(engine.head().await.starts_with("GET /info "));
    engine.send(OK).await;
    assert!(client.until("\r\n\r\nok").await.starts_with("0\r\n\r\nHTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn client_that_does_not_read_holds_the_engine_back_and_loses_nothing() {
    let mut rig = rig();
    let (mut client, mut engine) = asked(&mut rig, FOLLOW).await;
    engine.send(HEAD).await;
    client.head().await;
    let chunk = format!("{:x}\r\n{}\r\n", 50_000, "x".repeat(50_000));
    let mut sent = 0;
    // A write that does not fit is partial, so the rest of it is sent afterwards.
    let mut rest = chunk.as_bytes();
    while let Ok(written) =
        tokio::time::timeout(Duration::from_millis(300), engine.io.write(rest)).await
    {
        rest = &rest[written.unwrap()..];
        if rest.is_empty() {
            (sent, rest) = (sent + 1, chunk.as_bytes());
        }
        assert!(sent < 200, "nothing holds the engine up");
    }
    let sending = async {
        engine.io.write_all(rest).await.unwrap();
        engine.io.write_all(b"0\r\n\r\n").await.unwrap();
    };
    let all = chunk.repeat(sent + 1) + "0\r\n\r\n";
    let mut heard = vec![0; all.len()];
    let (_, read) = within("the whole answer", async {
        tokio::join!(sending, client.io.read_exact(&mut heard))
    })
    .await;
    read.unwrap();
    assert!(heard == all.as_bytes(), "other bytes than were sent");
    goes_on(&mut client, &mut engine).await;
}

#[tokio::test]
async fn malformed_chunks_end_the_connection_but_not_the_response() {
    for nonsense in ["3\r\nlogs\r\n", "log\r\n", "-1\r\n", "3\nlog\r\n"] {
        let mut rig = rig();
        let (mut client, mut engine) = asked(&mut rig, FOLLOW).await;
        engine.send(HEAD).await;
        client.head().await;
        engine.send(&format!("{nonsense}0\r\n\r\n")).await;
        assert!(!client.rest().await.ends_with("0\r\n\r\n"), "{nonsense:?}");
        assert_eq!(engine.rest().await, "");
        rig.activity_is("nothing goes on", |snapshot| snapshot.live.is_empty()).await;
    }
}

#[tokio::test]
async fn bytes_behind_the_last_chunk_are_dropped_with_the_engines_connection() {
    let mut rig = rig();
    let (mut client, mut engine) = asked(&mut rig, FOLLOW).await;
    engine.send(&format!("{HEAD}0\r\n\r\n{OK}")).await;
    assert!(client.until("0\r\n\r\n").await.ends_with("\r\n\r\n0\r\n\r\n"));
    assert_eq!(engine.rest().await, "");
    client.send("GET /info HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut another = rig.engine().await;
    another.head().await;
    another.send("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nanother").await;
    client.until("another").await;
}

#[tokio::test]
async fn engine_that_ends_in_the_middle_breaks_off_behind_what_came() {
    let mut rig = rig();
    let (mut client, mut engine) = asked(&mut rig, FOLLOW).await;
    engine.send(&format!("{HEAD}3\r\nlog\r\n5\r\nha")).await;
    drop(engine);
    assert!(client.rest().await.ends_with("\r\n\r\n3\r\nlog\r\n5\r\nha"));
    rig.activity_is("nothing goes on", |snapshot| snapshot.live.is_empty()).await;
}

#[tokio::test]
async fn client_that_closes_or_knows_no_chunks_is_not_relayed() {
    for (request, end) in [
        (FOLLOW.replace("Host", "Connection: close\r\nHost"), "3\r\nlog\r\n0\r\n\r\n"),
        (FOLLOW.replace("HTTP/1.1", "HTTP/1.0"), "\r\n\r\nlog"),
    ] {
        let mut rig = rig();
        let (mut client, mut engine) = asked(&mut rig, &request).await;
        engine.send(&format!("{HEAD}3\r\nlog\r\n0\r\n\r\n")).await;
        let answer = client.rest().await;
        assert!(answer.ends_with(end), "{answer:?}");
    }
}

#[tokio::test]
async fn response_without_chunks_is_not_relayed() {
    let mut rig = rig();
    let (mut client, mut engine) = asked(&mut rig, FOLLOW).await;
    engine
        .send("HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n")
        .await;
    assert!(client.until("2\r\nno\r\n0\r\n\r\n").await.starts_with("HTTP/1.1 404 Not Found\r\n"));
    goes_on(&mut client, &mut engine).await;
    client.send(FOLLOW).await;
    engine.head().await;
    engine.send("HTTP/1.1 200 OK\r\n\r\nlog").await;
    drop(engine);
    client.until("\r\n\r\n3\r\nlog\r\n0\r\n\r\n").await;
}

#[tokio::test]
async fn head_that_the_client_does_not_take_yet_is_not_lost() {
    const REQUESTS: usize = 60;
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send(&FOLLOW.repeat(REQUESTS)).await;
    let mut engine = rig.engine().await;
    let line = "x".repeat(8_000);
    let answer = format!("{HEAD}{:x}\r\n{line}\r\n0\r\n\r\n", line.len());
    // Until the client's socket is full: what fills it is a line, and what comes next a head.
    let mut answered = 0;
    while !engine.hears_nothing().await {
        engine.head().await;
        engine.send(&answer).await;
        answered += 1;
    }
    assert!(answered < REQUESTS, "nothing holds the engine up");
    let answering = async {
        for _ in answered..REQUESTS {
            engine.head().await;
            engine.send(&answer).await;
        }
    };
    let reading = async {
        for n in 0..REQUESTS {
            let heard = client.until("\r\n0\r\n\r\n").await;
            assert!(
                heard.starts_with("HTTP/1.1 200 OK\r\n") && heard.contains(&line),
                "answer {n}: {} bytes",
                heard.len()
            );
        }
    };
    tokio::join!(answering, reading);
}
