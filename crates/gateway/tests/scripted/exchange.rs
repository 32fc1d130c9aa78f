//! Requests and responses: each side reads what the other writes, as it comes.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::rig::{OK, rig};

#[tokio::test]
async fn heads_pass_unchanged() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client
        .send(
            "GET /v1.41/info?a=%20b HTTP/1.1\r\nHost: docker\r\nX-Registry-Auth: \
                abc=\r\nx-odd-CASE: 1\r\n\r\n",
        )
        .await;
    let mut engine = rig.engine().await;
    let head = engine.head().await;
    assert!(head.starts_with("GET /v1.41/info?a=%20b HTTP/1.1\r\n"), "{head}");
    for line in ["\r\nHost: docker\r\n", "\r\nX-Registry-Auth: abc=\r\n", "\r\nx-odd-CASE: 1\r\n"] {
        assert!(head.contains(line), "{line:?} in {head}");
    }
    engine
        .send(
            "HTTP/1.1 404 Not Found\r\nApi-Version: 1.41\r\nOstype: linux\r\nContent-Length: \
                3\r\nDate: x\r\n\r\nno\n",
        )
        .await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n"), "{head}");
    for line in [
        "\r\nApi-Version: 1.41\r\n",
        "\r\nOstype: linux\r\n",
        "\r\nContent-Length: 3\r\n",
        "\r\nDate: x\r\n",
    ] {
        assert!(head.contains(line), "{line:?} in {head}");
    }
    client.until("no\n").await;
}

#[tokio::test]
async fn upload_of_unknown_length_passes_as_it_is_sent() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client
        .send("POST /build HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        .await;
    let mut engine = rig.engine().await;
    let head = engine.head().await;
    assert!(head.contains("Transfer-Encoding: chunked\r\n"), "{head}");
    engine.until("one").await;
    client.send("3\r\ntwo\r\n").await;
    engine.until("two").await;
    // A response may begin before the upload has ended.
    engine.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nstep\r\n").await;
    client.until("step\r\n").await;
    client.send("0\r\n\r\n").await;
    engine.until("0\r\n\r\n").await;
    engine.send("0\r\n\r\n").await;
    client.until("0\r\n\r\n").await;
}

#[tokio::test]
async fn response_before_the_end_of_an_upload_reaches_the_client() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client
        .send("POST /images/load HTTP/1.1\r\nHost: d\r\nContent-Length: 1000000\r\n\r\nxyz")
        .await;
    let mut engine = rig.engine().await;
    engine.until("xyz").await;
    engine
        .send("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbad")
        .await;
    drop(engine);
    assert!(client.head().await.starts_with("HTTP/1.1 400 Bad Request\r\n"));
    client.until("bad").await;
}

#[tokio::test]
async fn response_to_head_has_a_length_and_no_body() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client
        .send(
            "HEAD /containers/x/archive?path=/ HTTP/1.1\r\nHost: d\r\n\r\nGET /info \
                HTTP/1.1\r\nHost: d\r\n\r\n",
        )
        .await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine
        .send(
            "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nX-Docker-Container-Path-Stat: abc\r\n\r\n",
        )
        .await;
    let head = client.head().await;
    assert!(
        head.contains("Content-Length: 1234\r\n")
            && head.contains("X-Docker-Container-Path-Stat: abc\r\n"),
        "{head}"
    );
    // The pipelined request comes next, on the same connection.
    assert!(engine.head().await.starts_with("GET /info "));
    engine.send(OK).await;
    client.until("\r\n\r\nok").await;
    assert!(rig.asks_no_more());
}

#[tokio::test]
async fn response_is_passed_on_as_it_comes() {
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
async fn big_heads_pass() {
    let mut rig = rig();
    let mut client = rig.client().await;
    let big = "x".repeat(500_000);
    client
        .send(&format!("GET /info HTTP/1.1\r\nHost: d\r\nX-Registry-Config: {big}\r\n\r\n"))
        .await;
    let mut engine = rig.engine().await;
    assert!(engine.head().await.contains(&big));
    let many: String = (0..500).map(|n| format!("X-Header-{n}: {n}\r\n")).collect();
    engine
        .send(&format!("HTTP/1.1 200 OK\r\nX-Big: {big}\r\n{many}Content-Length: 0\r\n\r\n"))
        .await;
    let head = client.head().await;
    assert!(head.contains(&big) && head.contains("X-Header-499: 499\r\n"));
}

#[tokio::test]
async fn client_that_stalls_holds_back_only_its_own_connection() {
    let mut rig = rig();
    let mut stalled = rig.client().await;
    stalled.send("GET /images/get?names=a HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let chunk = format!("{:x}\r\n{}\r\n", 60_000, "x".repeat(60_000));
    let mut taken = 0;
    while tokio::time::timeout(Duration::from_millis(300), engine.io.write_all(chunk.as_bytes()))
        .await
        .is_ok()
    {
        taken += chunk.len();
        assert!(taken < 16 << 20, "unread bytes are held back");
    }

    let mut other = rig.client().await;
    other.send("GET /info HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send(OK).await;
    other.until("\r\n\r\nok").await;
}
