//! The id of a request: in the answers that dockbridge makes itself, in its log, and in the streams
//! that it opens; never in an answer of the engine.

use std::collections::BTreeSet;

use dockbridge_gateway::{EngineIdentity, EngineState};
use testkit::CapturedLog;
use tokio::sync::watch;
use tunnel::OpenError;

use crate::additions::{ID, answer, inspected, request};
use crate::rig::{rig, rig_with_ports, rig_with_status};

/// The id in a head.
fn id_in(head: &str) -> Option<&str> {
    head.lines().find_map(|line| line.strip_prefix("X-Request-Id: "))
}

fn refused() -> OpenError {
    OpenError::Refused { message: "no such socket".into() }
}

#[tokio::test]
async fn answers_of_dockbridge_itself_have_an_id_of_their_own_each() {
    let (_machine, standing) = watch::channel(EngineState::Absent);
    let mut rig = rig_with_status(EngineIdentity::empty(), standing);
    let mut ids = BTreeSet::new();
    let mut note = |what: &str, head: &str| {
        let id = id_in(head).unwrap_or_else(|| panic!("{what}: no id in {head}"));
        let is_printable = id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        assert!(is_printable, "{what}: {id}");
        assert!(ids.insert(id.to_owned()), "{what}: {id} was another request's");
    };
    let mut client = rig.client().await;
    for _ in 0..2 {
        client.send("GET /info HTTP/1.1\r\nHost: d\r\n\r\n").await;
        assert!(rig.asked().await.answer.send(Err(refused())).is_ok());
        note("an error", &client.head().await);
        client.until("\"}\n").await;
    }
    client.send(&request("POST /images/create?fromImage=a", "")).await;
    let asked = rig.asked().await;
    note("a pull that waits", &client.head().await);
    drop(asked);
    client.until("0\r\n\r\n").await;
    client.send("GET /events HTTP/1.1\r\nHost: d\r\n\r\n").await;
    note("events without an engine", &client.head().await);
}

#[tokio::test]
async fn the_engines_ping_has_no_id_and_neither_has_the_repeated_one() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send("HTTP/1.1 200 OK\r\nServer: Docker/28\r\nContent-Length: 2\r\n\r\nOK").await;
    assert_eq!(id_in(&client.head().await), None);
    client.until("OK").await;
    client.send("GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n").await;
    assert_eq!(id_in(&client.head().await), None);
}

#[tokio::test]
async fn ids_of_clients_and_engines_pass_as_they_are() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("GET /info HTTP/1.1\r\nHost: d\r\nX-Request-Id: client\r\n\r\n").await;
    let mut engine = rig.engine().await;
    assert_eq!(id_in(&engine.head().await), Some("client"));
    engine.send("HTTP/1.1 200 OK\r\nX-Request-Id: engine\r\nContent-Length: 2\r\n\r\n{}").await;
    assert_eq!(id_in(&client.head().await), Some("engine"));
    client.until("{}").await;
    client.send("GET /info HTTP/1.1\r\nHost: d\r\n\r\n").await;
    assert_eq!(id_in(&engine.head().await), None, "nothing is added to a request");
    engine.send("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}").await;
    assert_eq!(id_in(&client.head().await), None, "nothing is added to an answer");
}

#[tokio::test]
async fn log_and_opened_stream_have_the_id_of_the_answer() {
    let log = CapturedLog::begin();
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send(&request("POST /containers/web/pause", "")).await;
    let asked = rig.asked().await;
    let opened_for = asked.request.map(|request| request.to_string());
    assert!(asked.answer.send(Err(refused())).is_ok());
    let head = client.head().await;
    let id = id_in(&head).unwrap();
    assert_eq!(opened_for.as_deref(), Some(id));
    let span = format!("request{{id={id} method=POST endpoint=containers/{{id}}/pause}}");
    assert!(log.has(&[" INFO ", &span, "no such socket"]), "{}", log.text());
}

#[tokio::test]
async fn what_is_asked_on_behalf_of_a_request_has_its_id() {
    let mut rig = rig_with_ports();
    let mut client = rig.client().await;
    client.send(&request(&format!("POST /containers/{ID}/start"), "")).await;
    let inspect = rig.asked().await;
    let id = inspect.request.expect("the inspect belongs to the start");
    let mut engine = inspect.engine();
    engine.head().await;
    engine.send(&answer("200 OK", &inspected("{}", "{}", ""))).await;
    assert_eq!(rig.asked().await.request, Some(id));
    let mut other = rig.client().await;
    other.send("GET /info HTTP/1.1\r\nHost: d\r\n\r\n").await;
    assert_ne!(rig.asked().await.request, Some(id));
}
