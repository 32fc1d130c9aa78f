//! The pool of connections to the engine that one client leaves to the next.

use dockbridge_gateway::{EngineIdentity, EngineState};
use tokio::sync::watch;
use tunnel::{Class, OpenError};

use crate::rig::{OK, Peer, Rig, rig, rig_with_status};

const QUESTION: &str = "GET /containers/json HTTP/1.1\r\nHost: d\r\n\r\n";

/// The engine answers the client's question.
async fn answers(engine: &mut Peer, client: &mut Peer) {
    engine.head().await;
    engine.send(OK).await;
    client.until("ok").await;
}

/// A client asks, is answered on a new connection, and leaves.
async fn one_client_asked(rig: &mut Rig) -> Peer {
    let mut client = rig.client().await;
    client.send(QUESTION).await;
    let mut engine = rig.engine().await;
    answers(&mut engine, &mut client).await;
    client.leaves().await;
    engine
}

#[tokio::test]
async fn next_clients_question_uses_the_connection_of_the_last() {
    let mut rig = rig();
    let mut engine = one_client_asked(&mut rig).await;
    for _ in 0..3 {
        let mut client = rig.client().await;
        client.send(QUESTION).await;
        answers(&mut engine, &mut client).await;
        client.leaves().await;
    }
}

#[tokio::test]
async fn request_that_cannot_be_retried_gets_a_new_connection() {
    let mut rig = rig();
    let _left = one_client_asked(&mut rig).await;
    let mut client = rig.client().await;
    client.send("POST /containers/x/start HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n").await;
    let mut engine = rig.engine().await;
    assert!(engine.head().await.starts_with("POST /containers/x/start "));
    engine.send(OK).await;
    client.until("ok").await;
}

#[tokio::test]
async fn temporary_connection_is_not_pooled() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send(QUESTION).await;
    let mut temporary = rig.asked().await.temporary();
    answers(&mut temporary, &mut client).await;
    // Its own client may use it again.
    client.send(QUESTION).await;
    answers(&mut temporary, &mut client).await;
    client.leaves().await;
    let mut client = rig.client().await;
    client.send(QUESTION).await;
    let mut engine = rig.engine().await;
    answers(&mut engine, &mut client).await;
}

#[tokio::test]
async fn big_transfer_uses_no_connection_of_a_question() {
    let mut rig = rig();
    let _left = one_client_asked(&mut rig).await;
    let mut client = rig.client().await;
    client.send("GET /containers/x/export HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let asked = rig.asked().await;
    assert_eq!(asked.class, Class::Bulk);
    let mut engine = asked.engine();
    answers(&mut engine, &mut client).await;
}

#[tokio::test]
async fn pooled_connection_that_the_engine_has_closed_is_not_used() {
    let mut rig = rig();
    drop(one_client_asked(&mut rig).await);
    let mut client = rig.client().await;
    client.send(QUESTION).await;
    let mut engine = rig.engine().await;
    answers(&mut engine, &mut client).await;
}

#[tokio::test]
async fn pooled_connection_that_breaks_off_is_replaced() {
    let mut rig = rig();
    let mut left = one_client_asked(&mut rig).await;
    let mut client = rig.client().await;
    client.send(QUESTION).await;
    left.head().await;
    drop(left);
    let mut engine = rig.engine().await;
    answers(&mut engine, &mut client).await;
}

#[tokio::test]
async fn two_clients_at_once_share_no_connection() {
    let mut rig = rig();
    let mut first = one_client_asked(&mut rig).await;
    let (mut one, mut other) = (rig.client().await, rig.client().await);
    one.send(QUESTION).await;
    first.head().await;
    other.send(QUESTION).await;
    let mut second = rig.engine().await;
    second.head().await;
    second.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond").await;
    other.until("second").await;
    first.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst").await;
    one.until("first").await;
}

#[tokio::test]
async fn pool_is_not_used_while_the_engine_is_away() {
    let (stands, standing) = watch::channel(EngineState::Up);
    let mut rig = rig_with_status(EngineIdentity::empty(), standing);
    let _left = one_client_asked(&mut rig).await;
    stands.send(EngineState::Away).unwrap();
    let mut client = rig.client().await;
    client.send(QUESTION).await;
    let asked = rig.asked().await;
    assert!(
        asked
            .answer
            .send(Err(OpenError::NoMachine(Box::new(api::Error::new(
                api::Code::NoMachine,
                "none is made now"
            )))))
            .is_ok()
    );
    assert!(client.head().await.starts_with("HTTP/1.1 50"));
}

#[tokio::test(start_paused = true)]
async fn pooled_connection_is_closed_when_it_is_not_used() {
    let mut rig = rig();
    let mut engine = one_client_asked(&mut rig).await;
    assert_eq!(engine.rest().await, "");
}
