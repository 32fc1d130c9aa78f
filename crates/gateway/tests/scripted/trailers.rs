//! Chunked bodies with trailers, and `Expect: 100-continue`.

use crate::rig::{OK, rig};

#[tokio::test]
async fn trailers_pass_in_both_directions() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client
        .send(
            "POST /commit HTTP/1.1\r\nHost: d\r\nTrailer: X-Sum\r\nTransfer-Encoding: \
                chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
        )
        .await;
    let mut engine = rig.engine().await;
    let head = engine.head().await;
    assert!(
        head.contains("\r\nTrailer: X-Sum\r\n") && !head.to_lowercase().contains("\r\nte:"),
        "{head}"
    );
    assert_eq!(engine.until("\r\n\r\n").await, "3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n");
    // Go's server sends them to clients that did not ask for them, too.
    engine
        .send(
            "HTTP/1.1 200 OK\r\nTrailer: X-End\r\nTransfer-Encoding: \
                chunked\r\n\r\n2\r\nok\r\n0\r\nX-End: 2\r\n\r\n",
        )
        .await;
    let head = client.head().await;
    assert!(head.contains("\r\nTrailer: X-End\r\n"), "{head}");
    assert_eq!(client.until("\r\n\r\n").await, "2\r\nok\r\n0\r\nX-End: 2\r\n\r\n");
    // The connection stays open.
    client.send("GET /info HTTP/1.1\r\nHost: d\r\nTE: trailers, deflate\r\n\r\n").await;
    let head = engine.head().await;
    assert!(head.contains("\r\nTE: trailers, deflate\r\n"), "{head}");
    engine.send(OK).await;
    client.until("\r\n\r\nok").await;
    assert!(rig.asks_no_more());
}

#[tokio::test]
async fn expected_continue_comes_from_the_engine() {
    let mut rig = rig();
    let mut client = rig.client().await;
    let expecting = "POST /images/load HTTP/1.1\r\nHost: d\r\nExpect: \
        100-continue\r\nContent-Length: 4\r\n\r\n";
    client.send(expecting).await;
    let mut engine = rig.engine().await;
    assert!(engine.head().await.contains("\r\nExpect: 100-continue\r\n"));
    assert!(client.hears_nothing().await, "the engine has not asked for the body yet");
    engine.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(client.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("data").await;
    engine.until("data").await;
    engine.send(OK).await;
    client.until("\r\n\r\nok").await;
}

#[tokio::test]
async fn body_that_the_engine_refuses_is_not_asked_for() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client
        .send(
            "PUT /containers/nobody/archive HTTP/1.1\r\nHost: d\r\nExpect: \
                100-continue\r\nContent-Length: 4000000\r\n\r\n",
        )
        .await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno").await;
    assert!(client.head().await.starts_with("HTTP/1.1 404 Not Found\r\n"));
    client.until("no").await;
}

#[tokio::test]
async fn body_that_comes_unasked_passes() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client
        .send(
            "POST /images/load HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: \
                4\r\n\r\n",
        )
        .await;
    let mut engine = rig.engine().await;
    engine.head().await;
    client.send("data").await;
    engine.until("data").await;
    engine.send(OK).await;
    client.until("\r\n\r\nok").await;
}
