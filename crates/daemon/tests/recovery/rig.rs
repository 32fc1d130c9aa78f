//! A daemon in this process, an engine of a few lines, a relay between both that can be cut, and a
//! client that keeps its connection.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api::Status;
use dockbridge_daemon::{Daemon, Options};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use lifecycle::Policy;
use machine::{Host, Lease};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::machine::Sshd;

/// Everything that the tests wait for comes within this time, or never.
pub const LONGEST: Duration = Duration::from_secs(60);

/// A machine, the path to it, and a daemon that uses it.
pub struct Stage {
    pub sshd: Sshd,
    pub relay: Relay,
    pub engine: Engine,
    pub directory: tempfile::TempDir,
    ending: CancellationToken,
    running: JoinHandle<()>,
}

impl Stage {
    /// With the daemon connected. `None` if there is no sshd.
    pub async fn up(with_agent: bool) -> Option<Self> {
        let stage = Self::start(with_agent, Mode::Passing).await?;
        stage.until("it is up", |status| status.state == api::MachineState::Up).await;
        Some(stage)
    }

    pub async fn start(with_agent: bool, mode: Mode) -> Option<Self> {
        let sshd = Sshd::start().await?;
        let relay = Relay::start(sshd.port, mode).await;
        let engine = Engine::start(&sshd.path("docker.sock"));
        let directory = tempfile::tempdir().unwrap();
        let mut tunnel = if with_agent { sshd.options_with_agent() } else { sshd.options() };
        tunnel.endpoint.port = relay.port;
        let options = Options {
            profile: "test".to_owned(),
            provider: Arc::new(Host::new(tunnel)),
            policy: Policy::default(),
            budget: None,
            lease: Lease { client: "test".to_owned(), length: LONGEST, idle_limit: LONGEST },
            heartbeat: Duration::from_secs(1),
            socket: directory.path().join("docker.sock"),
            proxy_port: None,
            metrics: None,
            local_paths: dockbridge_daemon::LocalPaths::default(),
            state: directory.path().join("state"),
            ports: None,
            hints: dockbridge_daemon::HintTexts { error: |_| None, warning: |_| Vec::new() },
            service: dockbridge_daemon::Service::default(),
            desktop: None,
            rereading: None,
        };
        let ending = CancellationToken::new();
        let daemon = Daemon::bind(options).await.unwrap();
        let running = tokio::spawn(daemon.run(ending.clone()));
        Some(Self { sshd, relay, engine, directory, ending, running })
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("docker.sock")
    }

    pub async fn status(&self) -> Status {
        api::client::Client::of(&self.socket()).status().await.unwrap()
    }

    /// Polls until the status is as wanted; returns it with the time that took.
    pub async fn until(&self, what: &str, wanted: impl Fn(&Status) -> bool) -> (Status, Duration) {
        let begun = Instant::now();
        loop {
            let status = self.status().await;
            if wanted(&status) {
                return (status, begun.elapsed());
            }
            assert!(begun.elapsed() < LONGEST, "not within {LONGEST:?}: {what}; last: {status:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn client(&self) -> Client {
        Client::connect(&self.socket()).await
    }

    pub async fn close(self) {
        self.ending.cancel();
        timeout(LONGEST, self.running).await.expect("the daemon ends").unwrap();
    }
}

/// A connection of a client, kept over its requests.
pub struct Client {
    sender: SendRequest<Empty<Bytes>>,
    _driver: AbortOnDropHandle<()>,
}

impl Client {
    async fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).await.unwrap();
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let driver = tokio::spawn(async move {
            let _ = connection.await;
        });
        Self { sender, _driver: AbortOnDropHandle::new(driver) }
    }

    /// The head of an answer, and its body as it comes.
    pub async fn open(&mut self, method: &str, path: &str) -> Response<Incoming> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("Host", "docker")
            .body(Empty::new())
            .unwrap();
        // After an answer the client takes a moment to be ready for the next request.
        timeout(LONGEST, self.sender.ready())
            .await
            .expect("it is ready")
            .expect("the client's connection holds");
        timeout(LONGEST, self.sender.send_request(request))
            .await
            .expect("an answer")
            .expect("the client's connection holds")
    }

    /// Status and body.
    pub async fn ask(&mut self, method: &str, path: &str) -> (u16, String) {
        let response = self.open(method, path).await;
        let status = response.status().as_u16();
        let body = timeout(LONGEST, response.into_body().collect())
            .await
            .expect("a body")
            .unwrap()
            .to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

/// The message of an error in Docker's form.
pub fn docker_error((status, body): &(u16, String)) -> String {
    assert!(*status >= 500, "{status}: {body}");
    let error: serde_json::Value =
        serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON: {body}"));
    error["message"].as_str().unwrap_or_else(|| panic!("no message: {body}")).to_owned()
}

/// The part of the API that the tests use: `/events` never ends, `/slow` is never answered, all
/// other requests are.
pub struct Engine {
    path: PathBuf,
    serving: Option<AbortOnDropHandle<()>>,
}

impl Engine {
    pub fn start(path: &Path) -> Self {
        let mut engine = Self { path: path.to_owned(), serving: None };
        engine.restart();
        engine
    }

    /// Closes all connections, and removes the socket.
    pub fn stop(&mut self) {
        self.serving = None;
        let _ = std::fs::remove_file(&self.path);
    }

    pub fn restart(&mut self) {
        self.stop();
        let listener = UnixListener::bind(&self.path).unwrap();
        self.serving = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            // Owns the connections: they end with it.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream));
            }
        })));
    }
}

async fn serve(stream: UnixStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut request = String::new();
        if stream.read_line(&mut request).await? == 0 {
            return Ok(());
        }
        let mut line = String::new();
        while stream.read_line(&mut line).await? > 2 {
            line.clear();
        }
        let answer = match request.split(' ').nth(1).unwrap_or_default() {
            "/slow" => std::future::pending().await,
            events if events.starts_with("/events") => {
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n"
            }
            _ => "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]",
        };
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// What a relay does with connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Passing,
    /// No byte passes, and no error is reported: a cable that was pulled.
    Silent,
    /// Connections are refused.
    Refusing,
}

/// Stands between the daemon and the machine.
pub struct Relay {
    pub port: u16,
    mode: Arc<watch::Sender<Mode>>,
    /// Connections of earlier generations pass no bytes any more.
    generation: Arc<watch::Sender<u64>>,
    _relaying: AbortOnDropHandle<()>,
}

impl Relay {
    async fn start(to: u16, mode: Mode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (mode, generation) =
            (Arc::new(watch::Sender::new(mode)), Arc::new(watch::Sender::new(0)));
        let relaying = tokio::spawn(relay(listener, port, to, mode.clone(), generation.clone()));
        Self { port, mode, generation, _relaying: AbortOnDropHandle::new(relaying) }
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// All connections so far pass no bytes any more, new ones do: one end has another address now.
    pub fn strand(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }
}

async fn relay(
    listener: TcpListener,
    port: u16,
    to: u16,
    mode: Arc<watch::Sender<Mode>>,
    generation: Arc<watch::Sender<u64>>,
) {
    let (mut listener, mut connections, mut modes) =
        (Some(listener), JoinSet::new(), mode.subscribe());
    loop {
        if *modes.borrow_and_update() == Mode::Refusing {
            (listener, connections) = (None, JoinSet::new());
            modes.changed().await.unwrap();
            continue;
        }
        if listener.is_none() {
            listener = Some(TcpListener::bind(("127.0.0.1", port)).await.unwrap());
        }
        tokio::select! {
            Ok((client, _)) = listener.as_ref().unwrap().accept() => {
                connections.spawn(carry(client, to, mode.subscribe(), generation.subscribe()));
            }
            _ = modes.changed() => {}
        }
    }
}

async fn carry(
    mut client: TcpStream,
    to: u16,
    mut mode: watch::Receiver<Mode>,
    mut generation: watch::Receiver<u64>,
) {
    let mine = *generation.borrow();
    let _ = mode.wait_for(|mode| *mode == Mode::Passing).await;
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", to)).await else { return };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => return,
        _ = generation.wait_for(|now| *now > mine) => {}
        _ = mode.wait_for(|mode| *mode == Mode::Silent) => {}
    }
    // Both ends stay open, and hear nothing.
    std::future::pending::<()>().await;
}
