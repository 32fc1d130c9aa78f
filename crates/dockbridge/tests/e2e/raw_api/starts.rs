//! Containers that remove themselves, started and waited for over one connection: the wait must
//! not come too late.

use std::path::Path;

use serde_json::{Value, json};

use super::{Connection, blocking};
use crate::docker_cli::Comparison;
use crate::rig::pass_over;

/// Number of containers of each kind; a kind after it is the only one.
const ROUNDS: &str = "DOCKBRIDGE_TEST_WAITS";
const SHORT: usize = 12;
/// Connections at once.
const AT_ONCE: usize = 4;

/// What a container publishes: nothing, a number of the engine's choice, or one of its own.
const KINDS: [&str; 4] =
    ["nothing", "nothing, by name", "a number of the engine's choice", "a number"];

/// Creates, starts and waits; returns the answer to the wait. Names and ports differ by round and
/// by path, since the container of the round before may still be removed.
fn round(paths: [&Path; 2], path: usize, kind: &str, number: usize) -> (u16, Value) {
    let port = match kind {
        "a number of the engine's choice" => json!({ "80/tcp": [{ "HostPort": "" }] }),
        "a number" => {
            let port = 20_300 + 2 * (number % 100) + path;
            json!({ "80/tcp": [{ "HostPort": port.to_string() }] })
        }
        _ => json!({}),
    };
    let name = format!("round{number}-{path}");
    let query = if kind.ends_with("by name") { format!("?name={name}") } else { String::new() };
    let body = json!({
        "Image": "tiny",
        "Cmd": ["true"],
        "HostConfig": { "AutoRemove": true, "PortBindings": port },
    });
    let mut connection = Connection::to(paths[path]);
    let created = connection.ask("POST", &format!("/containers/create{query}"), Some(&body));
    assert_eq!(created.status, 201, "{created:?}");
    let container =
        if query.is_empty() { created.body["Id"].as_str().unwrap().to_owned() } else { name };
    let started = connection.ask("POST", &format!("/containers/{container}/start"), None);
    assert_eq!(started.status, 204, "{kind}: {started:?}");
    let waited = connection.ask("POST", &format!("/containers/{container}/wait"), None);
    (waited.status, waited.body["StatusCode"].clone())
}

/// The waits on one path to the engine.
#[derive(Debug, Default)]
struct Waits {
    /// How many were answered with the container's end.
    good: usize,
    /// The rounds of the others, with the answers.
    late: Vec<(usize, (u16, Value))>,
}

impl Waits {
    fn add(&mut self, number: usize, answer: (u16, Value)) {
        if answer == (200, json!(0)) {
            self.good += 1;
        } else {
            self.late.push((number, answer));
        }
    }

    fn join(self, other: Self) -> Self {
        let late = self.late.into_iter().chain(other.late).collect();
        Self { good: self.good + other.good, late }
    }
}

/// Rounds on two paths to one engine, by turns, so that both meet the same engine and the same
/// load.
fn waits(paths: [&Path; 2], kind: &str, rounds: usize) -> [Waits; 2] {
    let of = |worker: usize| {
        let mut waits = <[Waits; 2]>::default();
        for number in (worker..rounds).step_by(AT_ONCE) {
            // Neither path is always the first.
            for path in [number % 2, 1 - number % 2] {
                waits[path].add(number, round(paths, path, kind, number));
            }
        }
        waits
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|worker| scope.spawn(move || of(worker))).collect();
        let waits = workers.into_iter().map(|worker| worker.join().unwrap());
        let joined = waits.reduce(|[a, b], [c, d]| [a.join(c), b.join(d)]);
        joined.unwrap_or_default()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_self_removing_container_is_waited_for_as_on_the_engine() {
    let Some(comparison) = Comparison::new().await else { return pass_over() };
    let asked = std::env::var(ROUNDS).ok();
    let (rounds, only) = match &asked {
        Some(asked) => asked.split_once(' ').unwrap_or((asked, "")),
        None => {
            eprintln!("short form: {SHORT} rounds of each kind; {ROUNDS}=1000 asks for more");
            ("", "")
        }
    };
    let rounds = if rounds.is_empty() { SHORT } else { rounds.parse().unwrap() };
    let kinds: Vec<_> = KINDS.into_iter().filter(|kind| only.is_empty() || *kind == only).collect();
    assert!(!kinds.is_empty(), "no kind {only}: {KINDS:?}");
    let mut wrong = Vec::new();
    for kind in kinds {
        let (direct, through) = (comparison.direct.clone(), comparison.stage.socket());
        let [on_the_engine, here] =
            blocking(move || waits([&direct, &through], kind, rounds)).await;
        eprintln!(
            "publishes {kind}: {} of {rounds} waits on the engine, {} of {rounds} through \
             dockbridge",
            on_the_engine.good, here.good
        );
        if here.good < on_the_engine.good {
            wrong.push(format!("publishes {kind}: {here:?}, and on the engine {on_the_engine:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    comparison.close().await;
}
