//! Published ports: they answer here when `docker run` returns, and are free when `docker rm` returns.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use tokio::time::Instant;

use crate::rig::{Stage, pass_over};

/// A web server in a container.
const WEB: [&str; 6] = ["httpd", "-f", "-p", "80", "-h", "/bin"];
/// In each of two lanes, which get in each other's way.
const ROUNDS: u32 = 25;

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn free_port() -> u16 {
    TcpListener::bind(local(0)).unwrap().local_addr().unwrap().port()
}

/// The port must accept at the first try. The program behind it may need a moment more to listen, as with Docker's own proxy, which accepts and then has
/// nobody to pass the connection to.
fn fetch(port: u16) -> String {
    let begun = Instant::now();
    loop {
        let stream = TcpStream::connect_timeout(&local(port), Duration::from_secs(5)).unwrap();
        match ask(stream) {
            Ok(answer) if !answer.is_empty() => return answer,
            other => assert!(begun.elapsed() < Duration::from_secs(20), "no answer: {other:?}"),
        }
    }
}

fn ask(mut stream: TcpStream) -> std::io::Result<String> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(b"GET /nothing HTTP/1.0\r\n\r\n")?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

async fn fetched(port: u16) {
    let answer = tokio::task::spawn_blocking(move || fetch(port)).await.unwrap();
    assert!(answer.starts_with("HTTP/1."), "{answer}");
}

async fn run_web(stage: &Stage, name: &str, publish: &str) -> crate::rig::Ran {
    stage.docker(&[&["run", "-d", "--name", name, "-p", publish, "tiny"], &WEB[..]].concat()).await
}

/// The same port again and again.
async fn rounds(stage: &Stage, name: &str) {
    let port = free_port();
    for round in 0..ROUNDS {
        run_web(stage, name, &format!("{port}:80")).await.succeeded();
        fetched(port).await;
        stage.docker(&["rm", "-f", name]).await.succeeded();
        TcpListener::bind(local(port)).unwrap_or_else(|error| panic!("{name}, round {round}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_port_answers_when_run_returns_and_is_free_when_rm_returns_again_and_again() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[]).await;
    stage.make_image("tiny").await;
    tokio::join!(rounds(&stage, "left"), rounds(&stage, "right"));
    daemon.stop().await;
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_dockers_own_error_and_a_chosen_one_is_the_one_that_docker_tells() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[]).await;
    stage.make_image("tiny").await;

    let taken = TcpListener::bind(local(0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let publish = format!("{port}:80");
    let refused = run_web(&stage, "web", &publish).await;
    assert_eq!(refused.status.code(), Some(125), "{refused}");
    refused.failed_with("docker: Error response from daemon: driver failed programming external connectivity on endpoint web (");
    refused.failed_with("failed: port is already allocated");
    stage.docker(&["inspect", "-f", "{{.State.Status}}", "web"]).await.succeeded();

    // Free again: the same container starts. A second one is refused by the engine itself.
    drop(taken);
    stage.docker(&["start", "web"]).await.succeeded();
    fetched(port).await;
    let refused = run_web(&stage, "other", &publish).await;
    assert_eq!(refused.status.code(), Some(125), "{refused}");
    refused.failed_with("port is already allocated");
    stage.docker(&["rm", "-f", "web", "other"]).await.succeeded();

    stage.docker(&["build", "-q", "-t", "exposed", stage_context(&stage).as_str()]).await.succeeded();
    stage.docker(&[&["run", "-d", "--name", "web", "-P", "exposed"], &WEB[..]].concat()).await.succeeded();
    for _ in 0..2 {
        let shown = stage.docker(&["port", "web", "80/tcp"]).await;
        let chosen: u16 = shown.succeeded().stdout.lines().next().unwrap().rsplit(':').next().unwrap().parse().unwrap();
        fetched(chosen).await;
        stage.docker(&["restart", "-t", "0", "web"]).await.succeeded();
    }
    daemon.stop().await;
    stage.close().await;
}

/// `tiny` with a port that `-P` publishes.
fn stage_context(stage: &Stage) -> String {
    let context = stage.folder.path().join("exposed");
    std::fs::create_dir_all(&context).unwrap();
    std::fs::write(context.join("Dockerfile"), "FROM tiny\nEXPOSE 80\n").unwrap();
    context.display().to_string()
}
