//! A gateway between a client and an engine whose every byte is written by the test.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

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

/// An answer that says little.
pub const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What the test answers when the gateway asks for a stream.
pub type Answer = Result<Stream, OpenError>;

pub struct Asked {
    pub class: Class,
    /// Whether a machine would be made for it.
    pub wakes: bool,
    pub answer: futures::channel::oneshot::Sender<Answer>,
}

impl Asked {
    pub fn engine(self) -> Peer {
        self.given(Stream::new)
    }

    /// By a way that the next stream has a better one than.
    pub fn makeshift(self) -> Peer {
        self.given(|there| Stream::new(there).makeshift())
    }

    fn given(self, stream: impl FnOnce(UnixStream) -> Stream) -> Peer {
        let (here, there) = UnixStream::pair().unwrap();
        assert!(self.answer.send(Ok(stream(there))).is_ok(), "the gateway gave up waiting");
        Peer::new(here)
    }

    /// A stream that opens and says by its first read that it leads nowhere.
    pub fn refused_by_reading(self, error: OpenError) {
        self.refused(error, true);
    }

    /// The same, but not before something was written.
    pub fn refused_once_written_to(self, error: OpenError) {
        self.refused(error, false);
    }

    fn refused(self, error: OpenError, told: bool) {
        let stream = Stream::new(Refused { error, told, reader: None });
        assert!(self.answer.send(Ok(stream)).is_ok(), "the gateway gave up waiting");
    }
}

struct Refused {
    error: OpenError,
    told: bool,
    reader: Option<Waker>,
}

impl AsyncRead for Refused {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.told {
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
        self.told = true;
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
        self.asked.send(Asked { class, wakes: self.wakes, answer }).unwrap();
        async move {
            answered
                .await
                .unwrap_or_else(|_| Err(OpenError::Dead { reason: "the test is over".into() }))
        }
        .boxed()
    }
}

/// A machine that comes and goes as the test says.
struct Onlooker {
    script: Script,
    standing: watch::Receiver<EngineState>,
    disk: Option<Disk>,
}

impl fmt::Debug for Onlooker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Onlooker").field("standing", &self.standing).finish_non_exhaustive()
    }
}

impl Connector for Onlooker {
    fn open(&self, to: Destination, class: Class) -> BoxFuture<'_, Answer> {
        self.script.open(to, class)
    }
}

impl EngineStatus for Onlooker {
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
    folder: TempDir,
}

pub fn rig() -> Rig {
    rig_with(EngineIdentity::empty())
}

pub fn rig_with(knowledge: EngineIdentity) -> Rig {
    rig_of(knowledge, LocalPaths::default())
}

pub fn rig_of(knowledge: EngineIdentity, folders: LocalPaths) -> Rig {
    build(knowledge, folders, None, None, false)
}

/// One that follows published ports.
pub fn rig_with_ports() -> Rig {
    build(EngineIdentity::empty(), LocalPaths::default(), None, None, true)
}

/// One that looks at a machine, which stands as the test says.
pub fn rig_looking_at(knowledge: EngineIdentity, standing: watch::Receiver<EngineState>) -> Rig {
    build(knowledge, LocalPaths::default(), Some(standing), None, false)
}

/// One whose machine is there, with a disk that stands like this.
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
    knowledge: EngineIdentity,
    folders: LocalPaths,
    standing: Option<watch::Receiver<EngineState>>,
    disk: Option<Disk>,
    follows_ports: bool,
) -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let (sender, asked) = mpsc::unbounded_channel();
    let script = |wakes| Script { asked: sender.clone(), wakes };
    let clock = Arc::new(FakeClock::default());
    let activity = Activity::new(clock.clone());
    let ports = follows_ports
        .then(|| Ports::new(Arc::new(script(true)), activity.clone(), ports::Options::default()));
    let mut gateway =
        Gateway::with_paths(Arc::new(script(true)), activity.clone(), ports, knowledge, folders);
    if let Some(standing) = standing {
        gateway = gateway.with_status(Arc::new(Onlooker { script: script(false), standing, disk }));
    }
    let shutdown = CancellationToken::new();
    let listener = UnixListener::bind(folder.path().join("docker.sock")).unwrap();
    let serving = tokio::spawn({
        let (gateway, shutdown) = (gateway.clone(), shutdown.clone());
        async move { gateway.serve(listener, shutdown).await }
    });
    Rig { gateway, activity, clock, shutdown, serving, asked, folder }
}

impl Rig {
    pub async fn client(&self) -> Peer {
        Peer::new(UnixStream::connect(self.folder.path().join("docker.sock")).await.unwrap())
    }

    /// Waits until the gateway asks for a stream.
    pub async fn asked(&mut self) -> Asked {
        within("the gateway asks for a stream", self.asked.recv()).await.unwrap()
    }

    /// Waits until the gateway asks for a stream, and gives it one.
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

    /// True after a while without a byte. Only a test that fails by it may be wrong by pace.
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

    /// Closes, and waits until the other side has taken its leave, too.
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
