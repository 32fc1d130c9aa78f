//! Connections that the engine takes over: bytes in both directions, each with an end of its own
//! (half-close).

use std::time::Duration;

use crate::rig::{Peer, Rig, rig};
use lifecycle::Kind;
use tokio::io::AsyncWriteExt;
use tunnel::Class;

const ATTACH: &str = "POST /containers/x/attach?stream=1 HTTP/1.1\r\nHost: d\r\nConnection: \
    Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 UPGRADED\r\nContent-Type: \
    application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";

async fn attached(rig: &mut Rig) -> (Peer, Peer) {
    let mut client = rig.client().await;
    client.send(ATTACH).await;
    let mut engine = rig.engine().await;
    let head = engine.head().await;
    assert!(
        head.contains("\r\nConnection: Upgrade\r\n") && head.contains("\r\nUpgrade: tcp\r\n"),
        "{head}"
    );
    engine.send(SWITCH).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    for line in
        ["Content-Type: application/vnd.docker.raw-stream", "Connection: Upgrade", "Upgrade: tcp"]
    {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line} in {head}");
    }
    (client, engine)
}

#[tokio::test]
async fn bytes_pass_in_both_directions_and_are_activity() {
    let mut rig = rig();
    let (mut client, mut engine) = attached(&mut rig).await;
    for _ in 0..3 {
        client.send("in").await;
        engine.until("in").await;
        engine.send("out").await;
        client.until("out").await;
    }
    let live = rig.activity.snapshot().live;
    let [only] = &live[..] else { panic!("{live:?}") };
    assert_eq!((only.kind, only.source.as_str()), (Kind::Stream, "POST /containers/x/attach"));
}

#[tokio::test]
async fn bytes_that_come_with_the_heads_are_not_lost() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send(&format!("{ATTACH}early in,")).await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send(&format!("{SWITCH}early out,")).await;
    client.until("early out,").await;
    engine.until("early in,").await;
    client.send("late in").await;
    engine.until("late in").await;
}

#[tokio::test]
async fn client_half_closes_and_still_reads_the_output() {
    let mut rig = rig();
    let (mut client, mut engine) = attached(&mut rig).await;
    client.send("input").await;
    client.half_close().await;
    assert_eq!(engine.rest().await, "input");
    engine.send("output").await;
    client.until("output").await;
    drop(engine);
    assert_eq!(client.rest().await, "");
    rig.activity_is("nothing goes on", |snapshot| snapshot.live.is_empty()).await;
}

#[tokio::test]
async fn input_sent_before_the_upgrade_arrives_although_the_client_has_ended() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send(&format!("{ATTACH}input")).await;
    client.half_close().await;
    let mut engine = rig.engine().await;
    engine.head().await;
    rig.activity_is("the end is known", |snapshot| snapshot.live.len() == 1).await;
    engine.send(SWITCH).await;
    assert_eq!(engine.rest().await, "input");
    engine.send("output").await;
    drop(engine);
    assert!(client.rest().await.ends_with("output"));
}

#[tokio::test]
async fn engine_half_closes_and_still_reads_the_input() {
    let mut rig = rig();
    let (mut client, mut engine) = attached(&mut rig).await;
    engine.send("output").await;
    engine.half_close().await;
    assert_eq!(client.rest().await, "output");
    client.send("input").await;
    engine.until("input").await;
    drop(client);
    assert_eq!(engine.rest().await, "");
    rig.activity_is("nothing goes on", |snapshot| snapshot.live.is_empty()).await;
}

#[tokio::test]
async fn client_that_is_gone_ends_a_silent_stream() {
    let mut rig = rig();
    let (client, mut engine) = attached(&mut rig).await;
    drop(client);
    let left = tokio::time::Instant::now();
    assert_eq!(engine.rest().await, "");
    assert!(left.elapsed() < Duration::from_secs(1), "{:?}", left.elapsed());
    // The stream does not outlive the client although the engine keeps its side open.
    rig.activity_is("nothing goes on", |snapshot| snapshot.live.is_empty()).await;
}

#[tokio::test]
async fn client_that_is_gone_behind_unread_input_ends_the_stream() {
    let mut rig = rig();
    let (mut client, mut engine) = attached(&mut rig).await;
    let input = "x".repeat(60_000);
    while tokio::time::timeout(Duration::from_millis(300), client.io.write_all(input.as_bytes()))
        .await
        .is_ok()
    {}
    drop(client);
    rig.activity_is("nothing goes on", |snapshot| snapshot.live.is_empty()).await;
    engine.rest().await;
}

#[tokio::test]
async fn engine_that_is_gone_ends_the_client() {
    let mut rig = rig();
    let (mut client, engine) = attached(&mut rig).await;
    drop(engine);
    assert_eq!(client.rest().await, "");
    // What the client sends from now on cannot arrive, so its writes fail.
    let refused = async {
        while client.io.write_all(b"input").await.is_ok() {
            tokio::task::yield_now().await
        }
    };
    crate::rig::within("writes fail", refused).await;
    rig.activity_is("nothing goes on", |snapshot| snapshot.live.is_empty()).await;
}

#[tokio::test]
async fn refused_upgrade_is_an_ordinary_response() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send(ATTACH).await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send("HTTP/1.1 409 Conflict\r\nContent-Length: 3\r\n\r\nno\n").await;
    client.until("no\n").await;
    client.send("GET /info HTTP/1.1\r\nHost: d\r\n\r\n").await;
    engine.until("GET /info ").await;
}

#[tokio::test]
async fn client_without_upgrade_header_gets_the_raw_stream_behind_an_ordinary_head() {
    let mut rig = rig();
    let mut client = rig.client().await;
    // Not the first request on its connection.
    client.send("POST /containers/x/kill HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    client.head().await;

    let body = r#"{"Detach":false}"#;
    client
        .send(&format!(
            "POST /exec/x/start HTTP/1.1\r\nHost: d\r\nContent-Length: {}\r\n\r\n{body}early in,",
            body.len()
        ))
        .await;
    let head = engine.head().await;
    assert!(head.contains("\r\nUpgrade: tcp\r\n"), "{head}");
    engine.until(body).await;
    engine.send(&format!("{SWITCH}early out,")).await;
    let head = client.head().await;
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n"),
        "{head}"
    );
    assert!(
        !head.contains("Upgrade") && !head.contains("Content-Length") && !head.contains("chunked"),
        "{head}"
    );
    client.until("early out,").await;
    engine.until("early in,").await;
    client.send("in").await;
    client.half_close().await;
    assert_eq!(engine.rest().await, "in");
    engine.send("out").await;
    drop(engine);
    assert_eq!(client.rest().await, "out");
}

/// Over a short path a question has a route on which a break would look like an end.
#[tokio::test]
async fn raw_stream_does_not_use_the_connection_of_a_question() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("GET /info HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let asked = rig.asked().await;
    assert_eq!(asked.class, Class::Question);
    let mut engine = asked.engine();
    engine.head().await;
    engine.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    client.head().await;
    client.send("POST /exec/x/start HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(rig.asked().await.class, Class::Interactive);
}

#[tokio::test]
async fn upgrade_to_another_protocol_passes_unchanged() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client
        .send(
            "POST /session HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: \
                h2c\r\nX-Docker-Expose-Session-Uuid: u\r\n\r\n",
        )
        .await;
    let mut engine = rig.engine().await;
    let head = engine.head().await;
    assert!(
        head.contains("\r\nUpgrade: h2c\r\n")
            && head.contains("\r\nX-Docker-Expose-Session-Uuid: u\r\n"),
        "{head}"
    );
    engine
        .send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nPRI")
        .await;
    assert!(client.head().await.contains("\r\nUpgrade: h2c\r\n"));
    client.until("PRI").await;
}

/// The upgrades beside `attach` and `exec`: the headers of the request and of the response pass
/// unchanged, and so does every byte behind them.
#[tokio::test]
async fn every_upgrade_of_the_api_is_a_stream_with_two_ends() {
    let upgrades = [
        ("POST /grpc", "Upgrade: h2c", "Upgrade: h2c"),
        ("POST /v1.43/session", "Upgrade: h2c\r\nX-Docker-Expose-Session-Name: s", "Upgrade: h2c"),
        (
            "GET /v1.43/containers/x/attach/ws?stream=1&stdin=1&stdout=1",
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \
                dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://localhost",
            "Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        ),
    ];
    for (line, asks, answers) in upgrades {
        let mut rig = rig();
        let mut client = rig.client().await;
        client
            .send(&format!(
                "{line} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\n{asks}\r\n\r\nearly in,"
            ))
            .await;
        let mut engine = rig.engine().await;
        let head = engine.head().await;
        assert!(head.starts_with(&format!("{line} HTTP/1.1\r\n")), "{head}");
        for asked in asks.split("\r\n") {
            assert!(head.contains(&format!("\r\n{asked}\r\n")), "{line}: {asked} in {head}");
        }
        engine
            .send(&format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: \
                    Upgrade\r\n{answers}\r\n\r\nearly out,"
            ))
            .await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{line}: {head}");
        for answered in answers.split("\r\n") {
            assert!(head.contains(&format!("\r\n{answered}\r\n")), "{line}: {answered} in {head}");
        }
        client.until("early out,").await;
        engine.until("early in,").await;
        // A partial stdcopy frame, and a partial frame of another protocol.
        engine.send("\u{1}\0\0\0\0\0\0\u{9}half").await;
        client.until("\u{9}half").await;
        client.send("\0\0\u{4}in").await;
        client.half_close().await;
        assert_eq!(engine.rest().await, "\0\0\u{4}in", "{line}");
        engine.send("out").await;
        drop(engine);
        assert_eq!(client.rest().await, "out", "{line}");
        rig.activity_is("nothing goes on", |snapshot| snapshot.live.is_empty()).await;
    }
}

#[tokio::test]
async fn stdcopy_output_that_breaks_off_ends_with_an_error_frame() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send(ATTACH).await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send(&SWITCH.replace("raw-stream", "multiplexed-stream")).await;
    client.head().await;
    engine.send("\u{1}\0\0\0\0\0\0\u{4}word\u{1}\0\0\0\0\0\0\u{4}ha").await;
    client.until("word").await;
    client.send("unread").await;
    crate::rig::within("the input", engine.io.readable()).await.unwrap();
    // A socket that is closed with unread input is reset, like a lost path.
    drop(engine);
    let rest = client.rest().await;
    assert!(rest.starts_with("\u{3}\0\0\0\0\0\0"), "no partial frame before it: {rest:?}");
    assert!(rest.len() > 8, "{rest:?}");
}

#[tokio::test]
async fn stdcopy_output_that_ends_is_passed_on_to_its_last_byte() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send(ATTACH).await;
    let mut engine = rig.engine().await;
    engine.head().await;
    // The first frame comes together with the head.
    engine
        .send(&format!(
            "{}\u{1}\0\0\0\0\0\0\u{4}word\u{1}\0",
            SWITCH.replace("raw-stream", "multiplexed-stream")
        ))
        .await;
    client.head().await;
    engine.send("\0\0\0\0\0\u{4}half").await;
    client.until("half").await;
    engine.send("\u{2}\0\0\0\0\0\0\u{4}cut").await;
    drop(engine);
    assert_eq!(client.rest().await, "\u{2}\0\0\0\0\0\0\u{4}cut");
}
