//! Connections to the engine that one client leaves to the next.

use dockbridge_gateway::{EngineIdentity, EngineState};
use tokio::sync::watch;
use tunnel::{Class, OpenError};

use crate::rig::{OK, Peer, Rig, rig, rig_looking_at};

const QUESTION: &str = "GET /containers/json HTTP/1.1\r\nHost: d\r\n\r\n";

/// The engine answers what the client asked.
async fn answers(engine: &mut Peer, client: &mut Peer) {
    engine.head().await;
    engine.send(OK).await;
    client.until("ok").await;
}

/// A client that asks something, is answered on a connection of its own, and leaves.
async fn somebody_asked(rig: &mut Rig) -> Peer {
    let mut client = rig.client().await;
    client.send(QUESTION).await;
    let mut engine = rig.engine().await;
    answers(&mut engine, &mut client).await;
    client.leaves().await;
    engine
}

#[tokio::test]
async fn the_next_clients_question_goes_by_the_connection_of_the_last() {
    let mut rig = rig();
    let mut engine = somebody_asked(&mut rig).await;
    for _ in 0..3 {
        let mut client = rig.client().await;
        client.send(QUESTION).await;
        answers(&mut engine, &mut client).await;
        client.leaves().await;
    }
}

#[tokio::test]
async fn what_must_not_happen_twice_gets_a_connection_of_its_own() {
    let mut rig = rig();
    let _left = somebody_asked(&mut rig).await;
    let mut client = rig.client().await;
    client.send("POST /containers/x/start HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n").await;
    let mut engine = rig.engine().await;
    assert!(engine.head().await.starts_with("POST /containers/x/start "));
    engine.send(OK).await;
    client.until("ok").await;
}

#[tokio::test]
async fn a_makeshift_is_left_to_nobody() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send(QUESTION).await;
    let mut makeshift = rig.asked().await.makeshift();
    answers(&mut makeshift, &mut client).await;
    // Its own client may ask again by it.
    client.send(QUESTION).await;
    answers(&mut makeshift, &mut client).await;
    client.leaves().await;
    let mut client = rig.client().await;
    client.send(QUESTION).await;
    let mut engine = rig.engine().await;
    answers(&mut engine, &mut client).await;
}

#[tokio::test]
async fn big_transfers_take_no_connection_of_a_question() {
    let mut rig = rig();
    let _left = somebody_asked(&mut rig).await;
    let mut client = rig.client().await;
    client.send("GET /containers/x/export HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let asked = rig.asked().await;
    assert_eq!(asked.class, Class::Bulk);
    let mut engine = asked.engine();
    answers(&mut engine, &mut client).await;
}

#[tokio::test]
async fn one_that_the_engine_has_closed_meanwhile_is_not_used() {
    let mut rig = rig();
    drop(somebody_asked(&mut rig).await);
    let mut client = rig.client().await;
    client.send(QUESTION).await;
    let mut engine = rig.engine().await;
    answers(&mut engine, &mut client).await;
}

#[tokio::test]
async fn one_that_breaks_off_under_the_question_is_replaced() {
    let mut rig = rig();
    let mut left = somebody_asked(&mut rig).await;
    let mut client = rig.client().await;
    client.send(QUESTION).await;
    left.head().await;
    drop(left);
    let mut engine = rig.engine().await;
    answers(&mut engine, &mut client).await;
}

#[tokio::test]
async fn two_clients_at_once_share_nothing() {
    let mut rig = rig();
    let mut first = somebody_asked(&mut rig).await;
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
async fn an_engine_that_is_going_away_is_not_asked_any_more() {
    let (stands, standing) = watch::channel(EngineState::Up);
    let mut rig = rig_looking_at(EngineIdentity::empty(), standing);
    let _left = somebody_asked(&mut rig).await;
    stands.send(EngineState::Away).unwrap();
    let mut client = rig.client().await;
    client.send(QUESTION).await;
    let asked = rig.asked().await;
    assert!(
        asked.answer.send(Err(OpenError::NoMachine { message: "none is made now".into() })).is_ok()
    );
    assert!(client.head().await.starts_with("HTTP/1.1 50"));
}

#[tokio::test(start_paused = true)]
async fn one_that_nobody_wants_is_closed() {
    let mut rig = rig();
    let mut engine = somebody_asked(&mut rig).await;
    assert_eq!(engine.rest().await, "");
}
