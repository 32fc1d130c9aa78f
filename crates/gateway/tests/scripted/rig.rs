//! A gateway between a client and an engine; the test writes every byte of both.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use api::RequestId;
use dockbridge_gateway::{
    Disk, EngineIdentity, EngineState, EngineStatus, Gateway, LocalPaths, Wait,
};
use futures::FutureExt;
use futures::future::BoxFuture;
use lifecycle::{Activity, FakeClock, Snapshot};
use ports::Ports;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tunnel::{Class, Connector, Destination, OpenError, Stream};

/// Nothing here takes long; a test that waits this long has failed.
pub const CEILING: Duration = Duration::from_secs(20);

/// A short response.
pub const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// The test's answer when the gateway asks for a stream.
pub type Answer = Result<Stream, OpenError>;

pub struct Asked {
    pub class: Class,
    /// Whether it would wake a machine.
    pub wakes: bool,
    /// On whose behalf.
    pub request: Option<RequestId>,
    pub answer: futures::channel::oneshot::Sender<Answer>,
}

impl Asked {
    pub fn engine(self) -> Peer {
        self.given(Stream::new)
    }

    /// On a route that is only used until a better one is ready.
    pub fn temporary(self) -> Peer {
        self.given(|there| Stream::new(there).temporary())
    }

    fn given(self, stream: impl FnOnce(UnixStream) -> Stream) -> Peer {
        let (here, there) = UnixStream::pair().unwrap();
        assert!(self.answer.send(Ok(stream(there))).is_ok(), "the gateway gave up waiting");
        Peer::new(here)
    }

    /// A stream whose first read fails because it could not be opened.
    pub fn refused_by_reading(self, error: OpenError) {
        self.refused(error, true);
    }

    /// Likewise, but only after a write.
    pub fn refused_once_written_to(self, error: OpenError) {
        self.refused(error, false);
    }

    fn refused(self, error: OpenError, due: bool) {
        let stream = Stream::new(Refused { error, due, reader: None });
        assert!(self.answer.send(Ok(stream)).is_ok(), "the gateway gave up waiting");
    }
}

struct Refused {
    error: OpenError,
    due: bool,
    reader: Option<Waker>,
}

impl AsyncRead for Refused {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.due {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionRefused, self.error.clone())))
    }
}

impl AsyncWrite for Refused {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.due = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct Script {
    asked: mpsc::UnboundedSender<Asked>,
    wakes: bool,
}

impl Connector for Script {
    fn open(&self, to: Destination, class: Class) -> BoxFuture<'_, Answer> {
        assert_eq!(to, Destination::Docker);
        let (answer, answered) = futures::channel::oneshot::channel();
        let request = tunnel::current_request();
        self.asked.send(Asked { class, wakes: self.wakes, request, answer }).unwrap();
        async move {
            answered
                .await
                .unwrap_or_else(|_| Err(OpenError::Dead { reason: "the test is over".into() }))
        }
        .boxed()
    }
}

/// A machine that comes and goes as the test says.
struct Machine {
    script: Script,
    standing: watch::Receiver<EngineState>,
    disk: Option<Disk>,
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine").field("standing", &self.standing).finish_non_exhaustive()
    }
}

impl Connector for Machine {
    fn open(&self, to: Destination, class: Class) -> BoxFuture<'_, Answer> {
        self.script.open(to, class)
    }
}

impl EngineStatus for Machine {
    fn state(&self) -> EngineState {
        *self.standing.borrow()
    }

    fn disk(&self) -> BoxFuture<'_, Option<Disk>> {
        std::future::ready(self.disk.clone()).boxed()
    }

    fn wait(&self) -> Option<Wait> {
        (self.state() != EngineState::Up).then(|| Wait {
            stage: "booting".to_owned(),
            lasted: Duration::from_secs(7),
            usual: Some(Duration::from_secs(18)),
        })
    }

    fn until_up(&self) -> BoxFuture<'_, ()> {
        let mut standing = self.standing.clone();
        async move {
            if standing.wait_for(|standing| *standing == EngineState::Up).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        .boxed()
    }
}

pub struct Rig {
    pub gateway: Gateway,
    pub activity: Activity,
    pub clock: Arc<FakeClock>,
    pub shutdown: CancellationToken,
    pub serving: JoinHandle<()>,
    asked: mpsc::UnboundedReceiver<Asked>,
    directory: TempDir,
}

pub fn rig() -> Rig {
    rig_with(EngineIdentity::empty())
}

pub fn rig_with(identity: EngineIdentity) -> Rig {
    rig_of(identity, LocalPaths::default())
}

pub fn rig_of(identity: EngineIdentity, paths: LocalPaths) -> Rig {
    build(identity, paths, None, None, false)
}

/// With published ports.
pub fn rig_with_ports() -> Rig {
    build(EngineIdentity::empty(), LocalPaths::default(), None, None, true)
}

/// With a machine whose state the test sets.
pub fn rig_with_status(identity: EngineIdentity, standing: watch::Receiver<EngineState>) -> Rig {
    build(identity, LocalPaths::default(), Some(standing), None, false)
}

/// With a machine that is up and has this disk.
pub fn rig_on(disk: Disk) -> Rig {
    build(
        EngineIdentity::empty(),
        LocalPaths::default(),
        Some(watch::channel(EngineState::Up).1),
        Some(disk),
        false,
    )
}

fn build(
    identity: EngineIdentity,
    paths: LocalPaths,
    standing: Option<watch::Receiver<EngineState>>,
    disk: Option<Disk>,
    follows_ports: bool,
) -> Rig {
    let directory = tempfile::tempdir().unwrap();
    let (sender, asked) = mpsc::unbounded_channel();
    let script = |wakes| Script { asked: sender.clone(), wakes };
    let clock = Arc::new(FakeClock::default());
    let activity = Activity::new(clock.clone());
    let ports = follows_ports
        .then(|| Ports::new(Arc::new(script(true)), activity.clone(), ports::Options::default()));
    let mut gateway =
        Gateway::with_paths(Arc::new(script(true)), activity.clone(), ports, identity, paths);
    if let Some(standing) = standing {
        gateway = gateway.with_status(Arc::new(Machine { script: script(false), standing, disk }));
    }
    let shutdown = CancellationToken::new();
    let listener = UnixListener::bind(directory.path().join("docker.sock")).unwrap();
    let serving = tokio::spawn({
        let (gateway, shutdown) = (gateway.clone(), shutdown.clone());
        async move { gateway.serve(listener, shutdown).await }
    });
    Rig { gateway, activity, clock, shutdown, serving, asked, directory }
}

impl Rig {
    pub async fn client(&self) -> Peer {
        Peer::new(UnixStream::connect(self.directory.path().join("docker.sock")).await.unwrap())
    }

    /// Waits until the gateway asks for a stream.
    pub async fn asked(&mut self) -> Asked {
        within("the gateway asks for a stream", self.asked.recv()).await.unwrap()
    }

    /// Waits until the gateway asks for a stream, and connects it to an engine.
    pub async fn engine(&mut self) -> Peer {
        self.asked().await.engine()
    }

    pub fn asks_no_more(&mut self) -> bool {
        self.asked.try_recv().is_err()
    }

    /// Polls the record of activity until it is as described.
    pub async fn activity_is(&self, what: &str, is: impl Fn(&Snapshot) -> bool) {
        eventually(
            what,
            || is(&self.activity.snapshot()),
            || format!("{:?}", self.activity.snapshot()),
        )
        .await;
    }
}

/// One end of a connection, read and written as text.
pub struct Peer {
    pub io: UnixStream,
    read: Vec<u8>,
}

impl Peer {
    pub fn new(io: UnixStream) -> Self {
        Self { io, read: Vec::new() }
    }

    pub async fn send(&mut self, text: &str) {
        within("a write", self.io.write_all(text.as_bytes())).await.unwrap();
    }

    /// Reads up to and including `mark`.
    pub async fn until(&mut self, mark: &str) -> String {
        loop {
            if let Some(at) =
                self.read.windows(mark.len()).position(|window| window == mark.as_bytes())
            {
                return String::from_utf8(self.read.drain(..at + mark.len()).collect()).unwrap();
            }
            let read = within(mark, self.io.read_buf(&mut self.read)).await;
            assert!(
                matches!(read, Ok(1..)),
                "the peer ended before {mark:?}: {:?}",
                String::from_utf8_lossy(&self.read)
            );
        }
    }

    pub async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }

    /// True after a while without a byte. A slow host can only hide a failure, never cause one.
    pub async fn hears_nothing(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(200), self.io.read_buf(&mut self.read))
            .await
            .is_err()
    }

    /// Everything up to the peer's end. A reset is an end too.
    pub async fn rest(&mut self) -> String {
        while let Ok(1..) = within("the end", self.io.read_buf(&mut self.read)).await {}
        String::from_utf8(std::mem::take(&mut self.read)).unwrap()
    }

    /// Half-closes, and waits until the other side has closed, too.
    pub async fn leaves(mut self) {
        self.half_close().await;
        assert_eq!(self.rest().await, "");
    }

    pub async fn half_close(&mut self) {
        self.io.shutdown().await.unwrap();
    }
}

pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(CEILING, future)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for: {what}"))
}

pub async fn eventually(what: &str, mut is: impl FnMut() -> bool, state: impl Fn() -> String) {
    let since = tokio::time::Instant::now();
    while !is() {
        assert!(since.elapsed() < CEILING, "waited in vain for: {what}; it is {}", state());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
