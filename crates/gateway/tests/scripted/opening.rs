//! Streams to the engine: which request gets which, and what happens when one is stale, has died or
//! is refused.

use tunnel::{Class, OpenError};

use crate::rig::{OK, rig};

#[tokio::test]
async fn client_connection_keeps_its_engine_connection() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("GET /info HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut engine = rig.engine().await;
    for round in 0..5 {
        if round > 0 {
            client
                .send("POST /containers/x/kill HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
                .await;
        }
        engine.head().await;
        engine.send(OK).await;
        client.until("\r\n\r\nok").await;
    }
    assert!(rig.asks_no_more());
}

#[tokio::test]
async fn bulk_request_travels_on_a_bulk_connection() {
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
async fn read_on_a_stale_connection_is_retried_on_a_new_one() {
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
async fn change_that_may_have_happened_is_not_retried() {
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
    // The client's connection stays open.
    client.send("GET /info HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send(OK).await;
    client.until("\r\n\r\nok").await;
}

#[tokio::test]
async fn connection_that_ended_while_idle_is_replaced_for_any_request() {
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
async fn machine_that_cannot_be_reached_is_a_docker_error() {
    let mut rig = rig();
    let mut client = rig.client().await;
    for (error, status, words) in [
        (
            OpenError::Dead { reason: "no answer for 6 s".into() },
            "503 Service Unavailable",
            "no answer for 6 s",
        ),
        (
            OpenError::Refused { message: "no such \"socket\"".into() },
            "503 Service Unavailable",
            "no such \\\"socket\\\"",
        ),
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
async fn stream_that_is_refused_late_is_the_same_error() {
    let mut rig = rig();
    let mut client = rig.client().await;
    for (method, error, words) in [
        (
            "GET",
            OpenError::NotFound { message: "no socket there".into() },
            "no socket there. Is Docker running on the machine?",
        ),
        (
            "POST",
            OpenError::Refused { message: "connection refused".into() },
            "connection refused. Is Docker running on the machine?",
        ),
        (
            "GET",
            OpenError::NotFound {
                message: "/run/user/1000/docker.sock cannot be reached: No such file or directory"
                    .into(),
            },
            "/run/user/1000/docker.sock cannot be reached: No such file or directory. The engine \
                of a user runs while that user is logged in, or always after `loginctl \
                enable-linger USER` there. Is it running?",
        ),
        (
            "POST",
            OpenError::NoMachine(Box::new(api::Error::new(api::Code::NoMachine, "out of stock"))),
            "out of stock",
        ),
    ] {
        client
            .send(&format!("{method} /x HTTP/1.1\r\nHost: d\r\nContent-Length: 4\r\n\r\nbody"))
            .await;
        rig.asked().await.refused_by_reading(error);
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{head}");
        let body = client.until("\"}\n").await;
        assert_eq!(body, format!("{{\"message\":\"{words}\"}}\n"));
        assert!(rig.asks_no_more());
    }
}

#[tokio::test]
async fn read_on_a_new_stream_that_died_is_retried_once() {
    let mut rig = rig();
    let mut client = rig.client().await;
    let dead = || OpenError::Dead { reason: "no answer for 6 s".into() };
    client.send("GET /info HTTP/1.1\r\nHost: d\r\n\r\n").await;
    rig.asked().await.refused_by_reading(dead());
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send(OK).await;
    client.until("\r\n\r\nok").await;

    drop(engine);
    client.send("HEAD /containers/x/archive HTTP/1.1\r\nHost: d\r\n\r\n").await;
    rig.asked().await.refused_by_reading(dead());
    rig.asked().await.refused_by_reading(dead());
    assert!(client.head().await.starts_with("HTTP/1.1 503 "));
    assert!(rig.asks_no_more());

    client.send("POST /containers/x/start HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n").await;
    rig.asked().await.refused_once_written_to(dead());
    assert!(client.head().await.starts_with("HTTP/1.1 503 "));
    client.until("Try again: the next command connects again\"}\n").await;
    assert!(rig.asks_no_more());
}

#[tokio::test]
async fn request_that_announces_a_megabyte_is_bulk() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client
        .send("POST /configs/create HTTP/1.1\r\nHost: d\r\nContent-Length: 1048576\r\n\r\n")
        .await;
    assert_eq!(rig.asked().await.class, Class::Bulk);
    let mut client = rig.client().await;
    client.send("GET /libpod/info HTTP/1.1\r\nHost: d\r\n\r\n").await;
    assert_eq!(rig.asked().await.class, Class::Bulk);
    let mut client = rig.client().await;
    client
        .send("POST /configs/create HTTP/1.1\r\nHost: d\r\nContent-Length: 1048575\r\n\r\n")
        .await;
    assert_eq!(rig.asked().await.class, Class::Interactive);
}
