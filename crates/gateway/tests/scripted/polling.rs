//! Clients that poll, and clients that follow events: with a machine, without one, and over the
//! lives of several.

use std::time::Duration;

use dockbridge_gateway::{EngineIdentity, EngineState};
use lifecycle::Snapshot;
use tokio::sync::watch;

use crate::rig::{Peer, Rig, rig_with_status};

const LIST: &str = "GET /v1.41/containers/json?all=1 HTTP/1.1\r\nHost: d\r\nUser-Agent: \
    Docker-Client/28.2.2 (linux)\r\n\r\n";
const RUNNING: &str = r#"[{"Id":"1","State":"running","Status":"Up 2 hours","Ports":[]}]"#;
const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: \
    chunked\r\n\r\n";

fn machine(standing: EngineState) -> (Rig, watch::Sender<EngineState>) {
    let (set, standing) = watch::channel(standing);
    (rig_with_status(EngineIdentity::empty(), standing), set)
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn event(nanoseconds: u64, action: &str) -> String {
    format!("{{\"Action\":\"{action}\",\"time\":1,\"timeNano\":{nanoseconds}}}\n")
}

async fn answers(engine: &mut Peer) {
    engine.head().await;
    engine.send(&format!("{STREAM}{}0\r\n\r\n", chunk(RUNNING))).await;
}

/// A client that reads every second, until it counts as polling.
async fn polls(rig: &mut Rig, client: &mut Peer) -> Peer {
    client.send(LIST).await;
    let asked = rig.asked().await;
    assert!(asked.wakes, "the first could be a user's");
    let mut engine = asked.engine();
    answers(&mut engine).await;
    client.until("0\r\n\r\n").await;
    for _ in 0..2 {
        rig.clock.advance(Duration::from_secs(1));
        client.send(LIST).await;
        answers(&mut engine).await;
        client.until("0\r\n\r\n").await;
    }
    rig.clock.advance(Duration::from_secs(1));
    engine
}

#[tokio::test]
async fn poll_gets_the_engines_response_and_is_no_activity() {
    let (mut rig, _machine) = machine(EngineState::Up);
    let mut client = rig.client().await;
    let mut engine = polls(&mut rig, &mut client).await;
    rig.activity_is("the three before have ended", |snapshot| snapshot.live.is_empty()).await;
    let before = rig.activity.snapshot();
    client.send(LIST).await;
    engine.head().await;
    assert_eq!(rig.activity.snapshot(), before, "while it is answered");
    engine.send(&format!("{STREAM}{}0\r\n\r\n", chunk("[]"))).await;
    assert!(client.until("0\r\n\r\n").await.contains("[]"));
    assert_eq!(rig.activity.snapshot(), before);
}

#[tokio::test]
async fn poll_without_a_machine_gets_the_last_response_with_exited_containers() {
    let (mut rig, machine) = machine(EngineState::Up);
    let mut client = rig.client().await;
    drop(polls(&mut rig, &mut client).await);
    machine.send(EngineState::Absent).unwrap();
    rig.activity_is("the three before have ended", |snapshot| snapshot.live.is_empty()).await;
    let before = rig.activity.snapshot();
    for _ in 0..20 {
        client.send(LIST).await;
        let answer = client.until("}]\n").await;
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains(r#""State":"exited""#),
            "{answer}"
        );
        rig.clock.advance(Duration::from_secs(1));
    }
    assert!(rig.asks_no_more(), "nothing is woken");
    assert_eq!(rig.activity.snapshot(), before);
    machine.send(EngineState::Away).unwrap();
    client.send(LIST).await;
    assert!(client.until("}]").await.contains(r#""State":"running""#), "it may still run");

    // Another read, or a change, wakes a machine as usual.
    client.send("GET /v1.41/images/json HTTP/1.1\r\nHost: d\r\n\r\n").await;
    assert!(rig.asked().await.wakes);
}

#[tokio::test]
async fn poll_gets_the_last_response_if_the_machine_goes_meanwhile() {
    let (mut rig, _machine) = machine(EngineState::Up);
    let mut client = rig.client().await;
    drop(polls(&mut rig, &mut client).await);
    client.send(LIST).await;
    let asked = rig.asked().await;
    assert!(!asked.wakes);
    drop(asked.engine());
    assert!(client.until("}]").await.contains(RUNNING));
}

#[tokio::test]
async fn events_stay_open_without_a_machine_and_wake_none() {
    let (mut rig, machine) = machine(EngineState::Absent);
    let mut client = rig.client().await;
    client.send("GET /v1.41/events?filters=%7B%7D HTTP/1.1\r\nHost: d\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(client.hears_nothing().await && rig.asks_no_more());
    assert_eq!(rig.activity.snapshot(), Snapshot::default());

    machine.send(EngineState::Up).unwrap();
    let asked = rig.asked().await;
    assert!(!asked.wakes);
    let mut engine = asked.engine();
    let head = engine.head().await;
    assert!(
        head.starts_with("GET /v1.41/events?filters=%7B%7D&since=1"),
        "what happened since it was asked: {head}"
    );
    engine.send(&format!("{STREAM}{}", chunk(&event(5, "start")))).await;
    client.until("\"start\"").await;
    assert_eq!(rig.activity.snapshot(), Snapshot::default());
}

#[tokio::test]
async fn events_outlive_a_machine_and_go_on_behind_the_last_one() {
    let (mut rig, machine) = machine(EngineState::Up);
    let mut client = rig.client().await;
    client.send("GET /events HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut engine = rig.engine().await;
    assert!(engine.head().await.starts_with("GET /events HTTP/1.1"), "as the client asked");
    let (stopped, half) = (event(7_000_000_001, "stop"), &event(7_000_000_002, "die")[..9]);
    engine.send(&format!("{STREAM}{}{}", chunk(&stopped), chunk(half))).await;
    client.until("\"stop\"").await;
    machine.send(EngineState::Absent).unwrap();
    drop(engine);
    assert!(
        client.hears_nothing().await && rig.asks_no_more(),
        "open, and nothing of half an event"
    );

    machine.send(EngineState::Up).unwrap();
    let mut engine = rig.engine().await;
    let head = engine.head().await;
    assert!(head.starts_with("GET /events?since=7.000000001 HTTP/1.1"), "{head}");
    let news = [stopped, event(7_000_000_002, "die"), event(9_000_000_000, "start")].concat();
    engine.send(&format!("{STREAM}{}", chunk(&news))).await;
    let news = client.until("\"start\"").await;
    assert!(news.contains("\"die\"") && !news.contains("\"stop\""), "each once: {news}");
}

/// A client whose request for events the engine has refused, with this header of the engine's.
async fn refused_events(rig: &mut Rig, header: &str) -> (Peer, Peer) {
    let mut client = rig.client().await;
    client.send("GET /events?filters=nonsense HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    let body = "{\"message\":\"oops\"}";
    let head = format!("HTTP/1.1 400 Bad Request\r\n{header}\r\nContent-Length: 18\r\n\r\n");
    engine.send(&format!("{head}{body}")).await;
    (client, engine)
}

#[tokio::test]
async fn refusal_of_events_is_passed_on_and_a_client_that_leaves_is_noticed() {
    let (mut rig, _machine) = machine(EngineState::Up);
    let (mut client, _engine) = refused_events(&mut rig, "Content-Type: application/json").await;
    let answer = client.until("oops\"}").await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");

    client.send("GET /events HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send(STREAM).await;
    client.head().await;
    drop(client);
    assert_eq!(engine.rest().await, "", "the engine's end is closed with the client's");
}

#[tokio::test]
async fn refusal_of_events_that_ends_with_the_connection_is_passed_on() {
    let (mut rig, _machine) = machine(EngineState::Up);
    let (mut client, engine) = refused_events(&mut rig, "Connection: close").await;
    drop(engine);
    let answer = client.until("oops\"}").await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
}
