//! Ports of containers on this computer, as if the containers were here, over the real docker
//! client.

mod behavior;
mod crowd;
mod cuts;
mod families;
mod machine;
mod published;
mod testcontainers;
mod without_agent;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use tokio::time::Instant;

use crate::rig::Stage;

/// A web server in a container.
const WEB: [&str; 6] = ["httpd", "-f", "-p", "80", "-h", "/bin"];
/// On a busy computer a program in a container may need this long until it listens.
const AWAKE: Duration = Duration::from_secs(20);

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn local_v6(port: u16) -> SocketAddr {
    (Ipv6Addr::LOCALHOST, port).into()
}

fn has_ipv6() -> bool {
    TcpListener::bind(local_v6(0)).is_ok()
}

fn free_port() -> u16 {
    TcpListener::bind(local(0)).unwrap().local_addr().unwrap().port()
}

fn free_udp_port() -> u16 {
    UdpSocket::bind(local(0)).unwrap().local_addr().unwrap().port()
}

/// Whether another program could listen there now.
fn is_free(at: SocketAddr) -> bool {
    TcpListener::bind(at).is_ok()
}

/// A connection, or an error where nothing listens. `None` if the port has accepted it and reset
/// it, because the program behind it does not listen yet: on a busy computer the reset arrives
/// before this process has looked at its new connection.
fn try_connect(at: SocketAddr) -> std::io::Result<Option<TcpStream>> {
    match TcpStream::connect_timeout(&at, Duration::from_secs(5)) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(None),
        connected => connected.map(Some),
    }
}

fn connect(at: SocketAddr) -> Option<TcpStream> {
    try_connect(at).unwrap_or_else(|error| panic!("{at}: {error}"))
}

/// The port must accept at the first try. The program behind it may need a moment more to listen,
/// as with Docker's own proxy, which accepts before there is a connection to pass on to.
fn fetch(port: u16) -> String {
    let begun = Instant::now();
    loop {
        match connect(local(port)).map(ask) {
            Some(Ok(answer)) if !answer.is_empty() => return answer,
            other => assert!(begun.elapsed() < AWAKE, "no answer: {other:?}"),
        }
    }
}

fn ask(stream: TcpStream) -> std::io::Result<String> {
    ask_for(stream, "/nothing")
}

fn ask_for(mut stream: TcpStream, path: &str) -> std::io::Result<String> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

async fn fetched(port: u16) {
    let answer = tokio::task::spawn_blocking(move || fetch(port)).await.unwrap();
    assert!(answer.starts_with("HTTP/1."), "{answer}");
}

/// A datagram comes back. One may be lost before the program behind the port listens; a port
/// without a listener on this computer is always a failure.
fn send_and_answer(at: SocketAddr) {
    let from: SocketAddr = if at.is_ipv4() { local(0) } else { local_v6(0) };
    let socket = UdpSocket::bind(from).unwrap();
    socket.connect(at).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let begun = Instant::now();
    let mut buffer = [0; 64];
    loop {
        socket.send(b"datagram").unwrap_or_else(|error| panic!("{at}: {error}"));
        match socket.recv(&mut buffer) {
            Ok(length) => return assert_eq!(&buffer[..length], b"datagram"),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => panic!("{at}: {error}"),
        }
        assert!(begun.elapsed() < AWAKE, "no datagram came back from {at}");
    }
}

async fn sent_and_answered(at: SocketAddr) {
    tokio::task::spawn_blocking(move || send_and_answer(at)).await.unwrap();
}

/// Data written to a connection comes back; the port accepts at the first try.
fn echo(at: SocketAddr) -> TcpStream {
    let begun = Instant::now();
    loop {
        if let Some(stream) = connect(at) {
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            if round_trip(&stream).is_ok() {
                return stream;
            }
        }
        assert!(begun.elapsed() < AWAKE, "nothing comes back from {at}");
    }
}

fn round_trip(mut stream: &TcpStream) -> std::io::Result<Duration> {
    let begun = Instant::now();
    let mut back = [0; 4];
    stream.write_all(b"echo")?;
    stream.read_exact(&mut back)?;
    assert_eq!(&back, b"echo");
    Ok(begun.elapsed())
}

async fn echoed(at: SocketAddr) {
    tokio::task::spawn_blocking(move || drop(echo(at))).await.unwrap();
}

/// The image `peer`: see `ports/peer/main.rs`.
async fn make_peer(stage: &Stage) {
    let context = stage.directory.path().join("context-peer");
    std::fs::create_dir_all(&context).unwrap();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/ports/peer/main.rs");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let made = Command::new(rustc)
        .args(["--edition", "2024", "-C", "opt-level=1", "-C", "target-feature=+crt-static", "-o"])
        .arg(context.join("peer"))
        .arg(source)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    std::fs::copy("/bin/busybox", context.join("busybox")).unwrap();
    let dockerfile = "FROM scratch\nCOPY busybox peer /bin/\nEXPOSE 7/tcp 7/udp\nCMD \
     [\"/bin/peer\"]\n";
    std::fs::write(context.join("Dockerfile"), dockerfile).unwrap();
    stage.docker(&["build", "--quiet", "-t", "peer", context.to_str().unwrap()]).await.succeeded();
}

/// The forwards of `dockbridge ports --json`.
async fn listed(stage: &Stage) -> Vec<serde_json::Value> {
    let output = stage.dockbridge(&["ports", "--json"]).await.succeeded().json();
    output["ports"].as_array().unwrap().clone()
}

/// Starts a container whose port numbers the engine chooses. Another stage's machine may have the
/// same window of numbers, because it does not know this one: then `run` says so, and the next
/// container gets the next numbers.
async fn run_any(stage: &Stage, arguments: &[&str], name: &str) {
    for _ in 0..50 {
        let ran = stage.docker(&[&["run", "-d", "--name", name, "-P"], arguments].concat()).await;
        if ran.status.success() {
            return;
        }
        ran.failed_with("The engine chose this number");
        stage.docker(&["rm", "-f", name]).await.succeeded();
    }
    panic!("fifty containers in a row got numbers that are taken here");
}

/// The port that `docker port` shows.
async fn shown(stage: &Stage, container: &str, inside: &str) -> u16 {
    let shown = stage.docker(&["port", container, inside]).await;
    shown.succeeded().stdout.lines().next().unwrap().rsplit(':').next().unwrap().parse().unwrap()
}
