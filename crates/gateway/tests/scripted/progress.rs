//! Pull, push, load and build while the machine boots: the client gets progress lines, then what
//! the engine answers.

use dockbridge_gateway::{EngineIdentity, EngineState};
use tokio::sync::watch;
use tunnel::OpenError;

use crate::rig::{Rig, rig_with_status, within};

const PULL: &str =
    "POST /v1.41/images/create?fromImage=a HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n";
const LINES: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: \
    chunked\r\n\r\n";
const BOOTING: &str = "Waiting for the machine: booting, usually 18 s";

fn booting() -> (Rig, watch::Sender<EngineState>) {
    let (set, standing) = watch::channel(EngineState::Absent);
    (rig_with_status(EngineIdentity::empty(), standing), set)
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

#[tokio::test]
async fn pull_that_waits_reports_the_stage_and_then_the_engines_lines() {
    let (mut rig, machine) = booting();
    let mut client = rig.client().await;
    client.send(PULL).await;
    let asked = rig.asked().await;
    assert!(asked.wakes);
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    for header in ["Content-Type: application/json\r\n", "Transfer-Encoding: chunked\r\n"] {
        assert!(head.contains(header), "{header:?} in {head}");
    }
    client.until(&format!("{{\"status\":\"{BOOTING}\"}}\r\n")).await;

    machine.send(EngineState::Up).unwrap();
    let mut engine = asked.engine();
    assert!(engine.head().await.starts_with("POST /v1.41/images/create?fromImage=a "));
    engine.send(&format!("{LINES}{}", chunk("{\"status\":\"Pulling\"}\r\n"))).await;
    client.until(&chunk("{\"status\":\"Pulling\"}\r\n")).await;
    engine.send("0\r\n\r\n").await;
    client.until("0\r\n\r\n").await;
    // Both connections go on.
    client.send(PULL).await;
    engine.head().await;
    engine.send("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}").await;
    assert!(client.head().await.starts_with("HTTP/1.1 404 Not Found\r\n"));
}

#[tokio::test]
async fn classic_build_that_waits_reports_the_stage_and_uploads_its_context_behind_it() {
    let (mut rig, machine) = booting();
    let mut client = rig.client().await;
    client.send("POST /build?t=x HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.send("3\r\none\r\n").await;
    let asked = rig.asked().await;
    client.until(&format!("{{\"stream\":\"{BOOTING}\\n\"}}\r\n")).await;
    machine.send(EngineState::Up).unwrap();
    let mut engine = asked.engine();
    engine.until("3\r\none\r\n").await;
    client.send("3\r\ntwo\r\n0\r\n\r\n").await;
    engine.until("3\r\ntwo\r\n0\r\n\r\n").await;
    engine.send(&format!("{LINES}{}0\r\n\r\n", chunk("{\"stream\":\"Step 1\"}\r\n"))).await;
    client.until("Step 1\"}\r\n\r\n0\r\n\r\n").await;
}

#[tokio::test]
async fn error_status_behind_progress_becomes_an_error_line() {
    let (mut rig, _machine) = booting();
    let mut client = rig.client().await;
    client.send(PULL).await;
    let asked = rig.asked().await;
    client.until(BOOTING).await;
    let mut engine = asked.engine();
    engine.head().await;
    let refusal = "{\"message\":\"no such image\"}\n";
    let length = refusal.len();
    engine
        .send(&format!("HTTP/1.1 404 Not Found\r\nContent-Length: {length}\r\n\r\n{refusal}"))
        .await;
    let line = "{\"error\":\"no such image\",\"errorDetail\":{\"message\":\"no such image\"}}\r\n";
    client.until(&format!("{}0\r\n\r\n", chunk(line))).await;
}

#[tokio::test]
async fn wake_that_fails_behind_progress_becomes_an_error_line() {
    let (mut rig, _machine) = booting();
    let mut client = rig.client().await;
    client.send("POST /images/x/push HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n").await;
    let asked = rig.asked().await;
    client.until(BOOTING).await;
    let failure = OpenError::NoMachine(Box::new(api::Error::new(
        api::Code::NoMachine,
        "the budget is spent",
    )));
    assert!(asked.answer.send(Err(failure)).is_ok());
    client.until("\"errorDetail\":{\"message\":\"the budget is spent\"}}\r\n\r\n0\r\n\r\n").await;
}

#[tokio::test]
async fn client_that_leaves_while_progress_is_reported_stops_its_request() {
    let (mut rig, _machine) = booting();
    let mut client = rig.client().await;
    client.send(PULL).await;
    let mut asked = rig.asked().await;
    client.until(BOOTING).await;
    drop(client);
    within("the request is dropped", asked.answer.cancellation()).await;
    rig.activity_is("nothing goes on", |snapshot| snapshot.live.is_empty()).await;
}
