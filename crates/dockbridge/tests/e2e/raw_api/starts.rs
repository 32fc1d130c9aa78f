//! Containers that remove themselves, started and waited for over one connection: the wait must
//! not come too late.

use std::path::Path;

use serde_json::{Value, json};

use super::{Connection, blocking};
use crate::docker_cli::Comparison;
use crate::rig::pass_over;

/// Number of containers of each kind.
const ROUNDS: &str = "DOCKBRIDGE_TEST_WAITS";
const SHORT: usize = 12;
/// Connections at once.
const AT_ONCE: usize = 4;

/// What a container publishes: nothing, a number of the engine's choice, or one of its own.
const KINDS: [&str; 4] =
    ["nothing", "nothing, by name", "a number of the engine's choice", "a number"];

/// Creates, starts and waits; returns the answer to the wait.
fn round(socket: &Path, kind: &str, number: usize) -> (u16, Value) {
    let port = match kind {
        "a number of the engine's choice" => json!({ "80/tcp": [{ "HostPort": "" }] }),
        "a number" => json!({ "80/tcp": [{ "HostPort": (20_300 + number % 100).to_string() }] }),
        _ => json!({}),
    };
    let name = format!("round{number}");
    let query = if kind.ends_with("by name") { format!("?name={name}") } else { String::new() };
    let body = json!({
        "Image": "tiny",
        "Cmd": ["true"],
        "HostConfig": { "AutoRemove": true, "PortBindings": port },
    });
    let mut connection = Connection::to(socket);
    let created = connection.ask("POST", &format!("/containers/create{query}"), Some(&body));
    assert_eq!(created.status, 201, "{created:?}");
    let container =
        if query.is_empty() { created.body["Id"].as_str().unwrap().to_owned() } else { name };
    let started = connection.ask("POST", &format!("/containers/{container}/start"), None);
    assert_eq!(started.status, 204, "{kind}: {started:?}");
    let waited = connection.ask("POST", &format!("/containers/{container}/wait"), None);
    (waited.status, waited.body["StatusCode"].clone())
}

/// How many of the waits were answered, and the first that was not.
fn waits(socket: &Path, kind: &str, rounds: usize) -> (usize, Option<(u16, Value)>) {
    let of = |worker: usize| {
        (worker..rounds)
            .step_by(AT_ONCE)
            .map(|number| round(socket, kind, number))
            .collect::<Vec<_>>()
    };
    let answers: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|worker| scope.spawn(move || of(worker))).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let good = |answer: &&(u16, Value)| **answer == (200, json!(0));
    (answers.iter().filter(good).count(), answers.iter().find(|answer| !good(answer)).cloned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_self_removing_container_is_waited_for_as_on_the_engine() {
    let Some(comparison) = Comparison::new().await else { return pass_over() };
    let asked = std::env::var(ROUNDS).ok().map(|rounds| rounds.parse::<usize>().unwrap());
    if asked.is_none() {
        eprintln!("short form: {SHORT} rounds of each kind; {ROUNDS}=1000 asks for more");
    }
    let rounds = asked.unwrap_or(SHORT);
    let mut wrong = Vec::new();
    for kind in KINDS {
        let (direct, through) = (comparison.direct.clone(), comparison.stage.socket());
        let on_the_engine = blocking(move || waits(&direct, kind, rounds)).await;
        let here = blocking(move || waits(&through, kind, rounds)).await;
        eprintln!(
            "publishes {kind}: {} of {rounds} waits on the engine, {} of {rounds} through \
             dockbridge",
            on_the_engine.0, here.0
        );
        if here.0 < on_the_engine.0 {
            wrong.push(format!("publishes {kind}: {here:?}, and on the engine {on_the_engine:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    comparison.close().await;
}
