//! Published ports of real containers: they are open here when `docker run` returns, and free when
//! the container is gone.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::dockerd::Dockerd;
use crate::engine;

const WEB: &str = "httpd -f -p 80 -h /";

/// A port that is free now.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// The port must accept at once, without a retry. The program behind it may need a moment longer to
/// listen, as behind Docker's own proxy.
fn fetch(local: SocketAddr) -> std::io::Result<String> {
    let since = std::time::SystemTime::now();
    loop {
        let stream = TcpStream::connect_timeout(&local, Duration::from_secs(5))?;
        match ask(stream) {
            Ok(answer) if !answer.is_empty() => return Ok(answer),
            other => assert!(
                since.elapsed().is_ok_and(|waited| waited.as_secs() < 20),
                "no answer: {other:?}"
            ),
        }
    }
}

fn ask(mut stream: TcpStream) -> std::io::Result<String> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(b"GET /bin/nothing HTTP/1.0\r\n\r\n")?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

async fn fetched(local: SocketAddr) -> std::io::Result<String> {
    tokio::task::spawn_blocking(move || fetch(local)).await.unwrap()
}

async fn run(engine: &Dockerd, script: &str) -> String {
    let outcome = engine.through_the_gateway(script).await;
    assert_eq!(outcome.code, Some(0), "{script}: {outcome:?}");
    outcome.stdout.trim().to_owned()
}

async fn eventually(what: &str, engine: &Dockerd, is: impl Fn() -> bool) {
    let since = tokio::time::Instant::now();
    while !is() {
        assert!(
            since.elapsed().as_secs() < 20,
            "waited in vain for {what}: {:#?}",
            engine.ports.list()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_answer_when_run_returns_and_are_free_when_rm_returns() {
    let Some(engine) = engine().await else { return };
    for round in 0..10 {
        let port = free_port();
        let local = SocketAddr::from(([127, 0, 0, 1], port));
        run(&engine, &format!("docker run -d --name web -p {port}:80 tiny {WEB}")).await;
        let answer = fetched(local).await.unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert!(answer.starts_with("HTTP/1."), "{answer}");
        if let Ok(answer) = fetched(SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port))).await {
            assert!(answer.starts_with("HTTP/1."), "{answer}");
        }
        run(&engine, "docker rm -f web").await;
        TcpListener::bind(local).unwrap_or_else(|error| panic!("round {round}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn taken_port_is_dockers_own_error_and_nothing_runs() {
    let Some(engine) = engine().await else { return };
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let outcome = engine
        .through_the_gateway(&format!("docker run -d --name web -p {port}:80 tiny {WEB}"))
        .await;
    assert_eq!(outcome.code, Some(125), "{outcome:?}");
    let expected = "docker: Error response from daemon: driver failed programming external \
        connectivity on endpoint web (";
    assert!(outcome.stderr.starts_with(expected), "{outcome:?}");
    assert!(
        outcome
            .stderr
            .contains(&format!("): Bind for 127.0.0.1:{port} failed: port is already allocated")),
        "{outcome:?}"
    );
    assert_eq!(run(&engine, "docker inspect -f '{{.State.Status}}' web").await, "created");

    // Likewise if a container has the port, until it is gone.
    drop(taken);
    run(&engine, "docker start web").await;
    let outcome = engine
        .through_the_gateway(&format!("docker run -d --name other -p {port}:80 tiny {WEB}"))
        .await;
    assert_eq!(outcome.code, Some(125), "{outcome:?}");
    // Killed without the gateway: it inspects the container when the port is needed.
    engine.directly("docker rm -f web").await;
    run(&engine, "docker start other").await;
    assert!(
        fetched(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap().starts_with("HTTP/1.")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn port_chosen_by_the_engine_is_open_here_also_after_a_restart() {
    let Some(engine) = engine().await else { return };
    run(&engine, &format!("docker run -d --name web -p 80 tiny {WEB}")).await;
    for _ in 0..2 {
        let shown = run(&engine, "docker port web 80/tcp | head -n 1").await;
        let port: u16 = shown.rsplit(':').next().unwrap().parse().unwrap();
        assert!(
            fetched(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap().starts_with("HTTP/1."),
            "{shown}"
        );
        run(&engine, "docker restart -t 0 web").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_started_and_ended_by_other_clients_are_followed() {
    let Some(engine) = engine().await else { return };
    let (before, after) = (free_port(), free_port());
    engine.directly(&format!("docker run -d --name before -p {before}:80 tiny {WEB}")).await;
    let following = CancellationToken::new();
    let run = tokio::spawn({
        let (ports, following) = (engine.ports.clone(), following.clone());
        async move { ports.run(following).await }
    });
    let open = |port: u16| {
        engine
            .ports
            .list()
            .iter()
            .any(|status| status.local == SocketAddr::from(([127, 0, 0, 1], port)))
    };
    eventually("the port of a container that ran before", &engine, || open(before)).await;
    engine.directly(&format!("docker run -d --name after -p {after}:80 tiny {WEB}")).await;
    eventually("the port of a container that was started", &engine, || open(after)).await;
    assert!(
        fetched(SocketAddr::from(([127, 0, 0, 1], after))).await.unwrap().starts_with("HTTP/1.")
    );
    engine.directly("docker kill before").await;
    eventually("the end of a port", &engine, || !open(before)).await;
    assert!(open(after));
    following.cancel();
    run.await.unwrap().unwrap();
    assert!(open(after), "a path that is lost closes nothing");
    engine.ports.detach();
    let asleep =
        |status: &ports::PortStatus| matches!(status.state, ports::PortState::Asleep { .. });
    assert!(engine.ports.list().iter().all(asleep), "{:#?}", engine.ports.list());
}

#[tokio::test(flavor = "multi_thread")]
async fn output_of_a_container_that_exits_arrives_to_its_last_byte() {
    let Some(engine) = engine().await else { return };
    let following = CancellationToken::new();
    let run_ports = tokio::spawn({
        let (ports, following) = (engine.ports.clone(), following.clone());
        async move { ports.run(following).await }
    });
    let port = free_port();
    run(
        &engine,
        &format!(
            "docker run -d --rm --name once -p {port}:80 tiny sh -c 'seq 1 200000 | nc -l -p 80'"
        ),
    )
    .await;
    let read = tokio::task::spawn_blocking(move || {
        let since = std::time::SystemTime::now();
        // nc needs a moment before it listens; the port answers earlier than that, as with Docker's
        // own proxy.
        loop {
            let mut text = String::new();
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            if stream.read_to_string(&mut text).is_ok() && !text.is_empty() {
                return text;
            }
            assert!(since.elapsed().unwrap().as_secs() < 20, "no answer");
        }
    })
    .await
    .unwrap();
    assert!(read.ends_with("\n200000\n"), "{} bytes", read.len());
    following.cancel();
    run_ports.await.unwrap().unwrap();
}
