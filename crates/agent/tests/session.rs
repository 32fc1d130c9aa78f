//! The program itself: a session on pipes, and the resident that it starts. All files of the
//! machine, including the programs that the agent may run, are in a temporary directory.

#![allow(clippy::unwrap_used, reason = "helpers of tests count as tests")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use agent_proto::{
    Call, EndOfLease, Heartbeat, Opened, Opening, READY_LINE, RefusalKind, Reply, datagram,
};
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio_util::compat::TokioAsyncReadCompatExt as _;

/// The limit for everything that should take milliseconds.
const LIMIT: Duration = Duration::from_secs(20);

struct Session {
    child: Child,
    streams: mpsc::Sender<oneshot::Sender<yamux::Stream>>,
    /// Holds the pipes.
    multiplexer: tokio::task::JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.multiplexer.abort();
    }
}

impl Session {
    async fn start(root: &Path, arguments: &[&str]) -> Self {
        Self::start_with_log(root, arguments, Stdio::inherit()).await
    }

    async fn start_with_log(root: &Path, arguments: &[&str], log: Stdio) -> Self {
        Self::start_by(Command::new(env!("CARGO_BIN_EXE_dockbridge-agent")), root, arguments, log)
            .await
    }

    async fn start_by(mut agent: Command, root: &Path, arguments: &[&str], log: Stdio) -> Self {
        let mut child = agent
            .arg("session")
            .args(arguments)
            .arg("--test-root")
            .arg(root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut ready = vec![0; READY_LINE.len()];
        tokio::time::timeout(LIMIT, stdout.read_exact(&mut ready)).await.unwrap().unwrap();
        assert_eq!(String::from_utf8(ready).unwrap(), READY_LINE);
        let (streams, mut asks) = mpsc::channel::<oneshot::Sender<yamux::Stream>>(8);
        let mut connection = yamux::Connection::new(
            tokio::io::join(stdout, stdin).compat(),
            yamux::Config::default(),
            yamux::Mode::Client,
        );
        let multiplexer = tokio::spawn(std::future::poll_fn(move |cx| {
            while let std::task::Poll::Ready(Some(ask)) = asks.poll_recv(cx) {
                let std::task::Poll::Ready(stream) = connection.poll_new_outbound(cx) else {
                    panic!("a backlog of few streams")
                };
                ask.send(stream.unwrap()).unwrap();
            }
            connection.poll_next_inbound(cx).map(drop)
        }));
        Self { child, streams, multiplexer }
    }

    async fn open(&self, opening: &Opening) -> (yamux::Stream, Opened) {
        let (ask, stream) = oneshot::channel();
        self.streams.send(ask).await.unwrap();
        let mut stream = stream.await.unwrap();
        stream.write_all(&agent_proto::encode(opening).unwrap()).await.unwrap();
        let opened = tokio::time::timeout(LIMIT, receive(&mut stream)).await.unwrap();
        (stream, opened)
    }

    async fn call(&self, call: Call) -> Reply {
        let (mut stream, opened) = self.open(&Opening::Call(call)).await;
        assert_eq!(opened, Opened::Ready);
        tokio::time::timeout(LIMIT, receive(&mut stream)).await.unwrap()
    }
}

async fn receive<T: serde::de::DeserializeOwned>(stream: &mut yamux::Stream) -> T {
    let mut bytes = vec![0; 4];
    stream.read_exact(&mut bytes).await.unwrap();
    let length = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
    bytes.resize(4 + length, 0);
    stream.read_exact(&mut bytes[4..]).await.unwrap();
    agent_proto::decode(&bytes).unwrap().unwrap().0
}

fn tcp(port: u16) -> Opening {
    Opening::Tcp { host: "127.0.0.1".into(), port, request: None }
}

fn udp(port: u16) -> Opening {
    Opening::Udp { host: "127.0.0.1".into(), port, request: None }
}

fn lease_seconds(reply: Reply) -> Option<u32> {
    match reply {
        Reply::Report(report) => report.lease_seconds,
        other => panic!("{other:?}"),
    }
}

fn heartbeat(lease_seconds: u32) -> Call {
    Call::Heartbeat(Heartbeat {
        client: "a".into(),
        lease_seconds,
        idle_seconds: 0,
        idle_limit_seconds: 300,
    })
}

#[tokio::test]
async fn a_session_without_a_resident_answers_some_calls_and_ends_with_its_input() {
    let root = tempfile::tempdir().unwrap();
    let mut session = Session::start(root.path(), &[]).await;
    assert_eq!(session.call(Call::Ping).await, Reply::Done);
    assert_eq!(lease_seconds(session.call(Call::Report).await), None);
    assert!(matches!(session.call(heartbeat(300)).await, Reply::Failed { .. }));
    let (_, opened) = session.open(&Opening::Docker).await;
    assert!(
        matches!(&opened, Opened::Refused(refusal) if refusal.kind == RefusalKind::NotFound),
        "{opened:?}"
    );
    let free =
        tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let (_, opened) = session.open(&tcp(free)).await;
    assert!(
        matches!(
            &opened,
            Opened::Refused(refusal) if refusal.kind == RefusalKind::ConnectionRefused
        ),
        "{opened:?}"
    );
    session.multiplexer.abort();
    let ended = tokio::time::timeout(LIMIT, session.child.wait()).await.unwrap().unwrap();
    assert!(ended.success(), "{ended:?}");
}

/// The lines that a session logs until the client has been refused these streams.
async fn logged(arguments: &[&str], refused: &[Opening]) -> Vec<String> {
    let root = tempfile::tempdir().unwrap();
    let mut session = Session::start_with_log(root.path(), arguments, Stdio::piped()).await;
    let mut log = session.child.stderr.take().unwrap();
    for opening in refused {
        let (_, opened) = session.open(opening).await;
        assert!(matches!(opened, Opened::Refused(_)), "{opened:?}");
    }
    session.multiplexer.abort();
    let mut text = String::new();
    tokio::time::timeout(LIMIT, log.read_to_string(&mut text)).await.unwrap().unwrap();
    let text = text.replace(&root.path().display().to_string(), "");
    let message = |line: &str| line.strip_prefix("dockbridge-agent: ").unwrap().to_owned();
    text.lines().map(message).collect()
}

#[tokio::test]
async fn log_names_the_request_that_fails_and_on_demand_that_of_each_stream() {
    let request = Some("k3vq7xw2hdrm".into());
    let with_id = Opening::Socket { path: "/nowhere/docker.sock".into(), request };
    let openings = [with_id, Opening::Docker];
    let no_file = "cannot be reached: No such file or directory (os error 2)";
    let with_id = "stream 1 of request k3vq7xw2hdrm";
    let failure = format!("info: {with_id}: /nowhere/docker.sock {no_file}");
    assert_eq!(logged(&[], &openings).await, std::slice::from_ref(&failure));
    let each = [
        format!("debug: {with_id}: to /nowhere/docker.sock"),
        failure,
        "debug: stream 3: to /var/run/docker.sock".to_owned(),
        format!("debug: stream 3: /var/run/docker.sock {no_file}"),
    ];
    assert_eq!(logged(&["--debug"], &openings).await, each);
}

#[tokio::test]
async fn port_that_nothing_listens_at_is_logged_on_demand_only() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert!(logged(&[], &[tcp(port)]).await.is_empty());
    let log = logged(&["--debug"], &[tcp(port)]).await;
    let failed = format!("debug: stream 1: 127.0.0.1:{port} cannot be reached: Connection refused");
    assert!(log[1].starts_with(&failed), "{log:?}");
}

#[tokio::test]
async fn datagrams_keep_their_boundaries_and_a_closed_port_ends_nothing() {
    let root = tempfile::tempdir().unwrap();
    let session = Session::start(root.path(), &[]).await;
    let peer = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = peer.local_addr().unwrap().port();
    let (mut stream, opened) = session.open(&udp(port)).await;
    assert_eq!(opened, Opened::Ready);
    let echoing = tokio::spawn(async move {
        let mut buffer = vec![0; datagram::MAX];
        loop {
            let (length, from) = peer.recv_from(&mut buffer).await.unwrap();
            peer.send_to(&buffer[..length], from).await.unwrap();
        }
    });
    for length in [0, 1, 60_000] {
        let one = vec![7; length];
        stream.write_all(&[&datagram::header(length)[..], &one].concat()).await.unwrap();
        let mut back = vec![0; 2 + length];
        tokio::time::timeout(LIMIT, stream.read_exact(&mut back)).await.unwrap().unwrap();
        assert_eq!(datagram::split(&back), Some((&one[..], 2 + length)));
    }
    echoing.abort();
    assert!(echoing.await.unwrap_err().is_cancelled());
    // Nothing listens any more, which is not reported; then a socket listens again.
    for _ in 0..3 {
        stream.write_all(&[0, 1, 7]).await.unwrap();
    }
    let mut buffer = [0; 8];
    let peer = tokio::net::UdpSocket::bind(("127.0.0.1", port)).await.unwrap();
    let begun = tokio::time::Instant::now();
    while tokio::time::timeout(Duration::from_millis(50), peer.recv(&mut buffer)).await.is_err() {
        assert!(begun.elapsed() < LIMIT);
        stream.write_all(&[0, 1, 7]).await.unwrap();
    }
    assert_eq!(buffer[0], 7);
}

/// A machine in a directory, whose programs log their calls.
fn machine() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    for directory in ["programs", "proc/self"] {
        std::fs::create_dir_all(path(directory)).unwrap();
    }
    std::fs::write(path("proc/self/mountinfo"), "").unwrap();
    for name in ["sync", "systemctl", "curl"] {
        let log = path("log");
        let log = log.display();
        let end = if name == "curl" { "cat > /dev/null\nexit 22\n" } else { "" };
        let script = format!("#!/bin/sh\nPATH=/usr/bin:/bin\necho {name} \"$*\" >> {log}\n{end}");
        let program = path("programs").join(name);
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    root
}

#[tokio::test]
async fn the_resident_outlives_its_session_and_self_destructs_without_renewal() {
    ends_with_the_lease(|| Command::new(env!("CARGO_BIN_EXE_dockbridge-agent"))).await;
}

/// On an arm64 host the other test is this one.
#[cfg(not(target_arch = "aarch64"))]
#[tokio::test]
async fn the_arm64_agent_self_destructs_without_renewal() {
    let agents = std::env::var_os("DOCKBRIDGE_AGENT_DIR").unwrap_or_default();
    let found = testkit::arm64_agent(Path::new(&agents));
    let (agent, emulation) = match (&found, testkit::Emulation::arm64()) {
        (Ok(agent), Ok(emulation)) => (agent, emulation),
        (Err(reason), _) | (_, Err(reason)) => return testkit::passed_over!("{reason}"),
    };
    ends_with_the_lease(|| emulation.command(agent).into()).await;
}

/// The life of a resident from its start to the end of its machine.
async fn ends_with_the_lease(agent: impl Fn() -> Command) {
    let root = machine();
    let path = |name: &str| root.path().join(name);
    let session =
        async || Session::start_by(agent(), root.path(), &["--resident"], Stdio::inherit()).await;
    let first = session().await;
    let order = EndOfLease::Delete {
        endpoint: "http://api.example/v1".into(),
        server: 7,
        token: "s3cret".into(),
    };
    assert_eq!(first.call(Call::EndOfLease(order)).await, Reply::Done);
    assert!(lease_seconds(first.call(heartbeat(600)).await).is_some());
    drop(first);

    let second = session().await;
    assert!(lease_seconds(second.call(Call::Report).await).is_some_and(|left| left > 500));
    let written: u64 =
        std::fs::read_to_string(path("run/dockbridge/lease")).unwrap().trim().parse().unwrap();
    assert!(written > 500, "{written}");
    assert!(matches!(second.call(heartbeat(1)).await, Reply::Report(_)));
    drop(second);

    // Five attempts to delete, with pauses of 15 s in all, then the power-off.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let log = std::fs::read_to_string(path("log")).unwrap_or_default();
        if log.ends_with("systemctl poweroff\n") {
            let deletions = "curl --config -\n".repeat(5);
            assert_eq!(log, format!("sync \n{deletions}systemctl poweroff\n"));
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "no end: {log}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_killed_resident_is_restarted_by_the_next_call_and_gets_the_order_again() {
    let root = machine();
    let session = Session::start(root.path(), &["--resident"]).await;
    let order = EndOfLease::Delete {
        endpoint: "http://api.example/v1".into(),
        server: 7,
        token: "s3cret".into(),
    };
    assert_eq!(session.call(Call::EndOfLease(order)).await, Reply::Done);
    assert!(lease_seconds(session.call(heartbeat(600)).await).is_some());
    let before = residents(root.path());
    assert_eq!(before.len(), 1, "{before:?}");
    for _ in 0..2 {
        rustix::process::kill_process(residents(root.path())[0], rustix::process::Signal::KILL)
            .unwrap();
        let killed = tokio::time::Instant::now();
        while !residents(root.path()).is_empty() {
            assert!(killed.elapsed() < LIMIT, "it still runs");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Its lease is forgotten; this heartbeat begins a new one.
        let left = lease_seconds(session.call(heartbeat(600)).await);
        assert!(left.is_some_and(|left| left > 500), "{left:?}");
    }
    let now = residents(root.path());
    assert!(now.len() == 1 && now != before, "{now:?} after {before:?}");
    assert!(matches!(session.call(heartbeat(1)).await, Reply::Report(_)));
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        let log = std::fs::read_to_string(root.path().join("log")).unwrap_or_default();
        if log.contains("curl --config -") {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "the server is not deleted: {log}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    rustix::process::kill_process(now[0], rustix::process::Signal::KILL).unwrap();
}

/// The processes that are residents of this machine.
fn residents(root: &Path) -> Vec<rustix::process::Pid> {
    let processes = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_resident = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        words.contains(&&b"resident"[..]) && words.contains(&root.as_os_str().as_encoded_bytes())
    };
    processes.filter(is_resident).filter_map(rustix::process::Pid::from_raw).collect()
}
