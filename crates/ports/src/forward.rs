//! One open port: accepts local connections and joins each to a stream of its own to the container's port.
//!
//! Knows nothing of Docker and not why the port is open.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use lifecycle::{Activity, Kind};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::io::{InspectReader, InspectWriter};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tunnel::{Class, Connector, Destination};

use crate::publication::Remote;

/// Connections at once through one port. Each holds two buffers of 32 KiB here and a stream of the tunnel with its credit, so this many
/// are about 64 MiB; more wait in the kernel's backlog, as with a busy server.
const MAX_CONNECTIONS: usize = 1024;

/// A container may write its answer and exit at once: what it wrote is still on its way when the port is closed.
const LAST_BYTES: Duration = Duration::from_secs(10);

/// Per direction. Two of these are what an idle connection costs.
const BUFFER: usize = 32 * 1024;

/// What passed through a port.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) now: AtomicUsize,
    pub(crate) total: AtomicU64,
    /// From this computer to the container.
    pub(crate) bytes_in: AtomicU64,
    /// From the container to this computer.
    pub(crate) bytes_out: AtomicU64,
}

/// What a port leads to, and with whose help.
pub(crate) struct Target {
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) activity: Activity,
    /// For the person: `web:8080`.
    pub(crate) source: String,
    pub(crate) remote: Remote,
}

/// An open port. Dropping it closes the port; its connections have [`LAST_BYTES`] to end by themselves.
pub(crate) struct Forward {
    pub(crate) counters: Arc<Counters>,
    door: Arc<Door>,
    closed: CancellationToken,
    cut: CancellationToken,
}

impl Forward {
    /// `tasks` owns what runs from here on.
    pub(crate) fn open(listener: std::net::TcpListener, target: Target, tasks: &TaskTracker) -> io::Result<Self> {
        let door = Arc::new(Door(Mutex::new(Some(TcpListener::from_std(listener)?))));
        let forward = Self { counters: Arc::default(), door, closed: CancellationToken::new(), cut: CancellationToken::new() };
        tasks.spawn(accept(forward.door.clone(), Arc::new(target), forward.counters.clone(), forward.closed.clone(), forward.cut.clone()));
        Ok(forward)
    }

    /// Closes the port and resets its connections: the machine is gone, nothing is going to come.
    pub(crate) fn cut(self) {
        self.cut.cancel();
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.door.close();
        self.closed.cancel();
    }
}

/// The listening socket. It is closed by whoever decides so and at once: the next moment somebody else may want the port.
struct Door(Mutex<Option<TcpListener>>);

impl Door {
    /// Waits for ever once it is closed.
    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|cx| match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(listener) => listener.poll_accept(cx),
            None => Poll::Pending,
        })
        .await
    }

    fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

async fn accept(door: Arc<Door>, target: Arc<Target>, counters: Arc<Counters>, closed: CancellationToken, cut: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = closed.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = door.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((local, peer)) => {
                    counters.total.fetch_add(1, Ordering::Relaxed);
                    connections.spawn(connection(local, peer, target.clone(), counters.clone(), cut.clone()));
                }
                // Out of descriptors, or a connection that ended in the backlog. The first needs time.
                Err(error) => {
                    tracing::warn!(port = %target.source, %error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    let ended = tokio::time::timeout(LAST_BYTES, async { while connections.join_next().await.is_some() {} });
    if ended.await.is_err() {
        cut.cancel();
        while connections.join_next().await.is_some() {}
    }
}

async fn connection(mut local: TcpStream, peer: SocketAddr, target: Arc<Target>, counters: Arc<Counters>, cut: CancellationToken) {
    let now = Counted::new(&counters);
    let outcome = tokio::select! {
        () = cut.cancelled() => Err(io::ErrorKind::ConnectionReset.into()),
        outcome = join(&mut local, &target, &counters) => outcome,
    };
    if let Err(error) = outcome {
        tracing::debug!(port = %target.source, %peer, %error, "a connection was reset");
        // What comes is a reset, as from a port that refuses, rather than an orderly end that looks like an empty answer.
        let _ = local.set_zero_linger();
    }
    drop(now);
}

async fn join(local: &mut TcpStream, target: &Target, counters: &Counters) -> io::Result<()> {
    let guard = target.activity.begin(Kind::Forward, target.source.clone());
    let to = Destination::Tcp { host: target.remote.host.clone(), port: target.remote.port };
    let remote = tokio::select! {
        opened = target.connector.open(to, Class::Interactive) => opened.map_err(io::Error::other)?,
        () = gone(local) => return Ok(()),
    };
    local.set_nodelay(true)?;
    let mut remote = InspectWriter::new(
        InspectReader::new(remote, |bytes: &[u8]| {
            counters.bytes_out.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            guard.traffic();
        }),
        |bytes: &[u8]| {
            counters.bytes_in.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            guard.traffic();
        },
    );
    tokio::io::copy_bidirectional_with_sizes(local, &mut remote, BUFFER, BUFFER).await?;
    Ok(())
}

/// Returns when the client ends without having sent anything. Bytes that wait are left where they are.
async fn gone(local: &TcpStream) {
    match local.peek(&mut [0]).await {
        Ok(0) | Err(_) => {}
        Ok(_) => std::future::pending().await,
    }
}

/// Keeps the number of connections right whichever way one ends.
struct Counted<'a>(&'a Counters);

impl<'a> Counted<'a> {
    fn new(counters: &'a Counters) -> Self {
        counters.now.fetch_add(1, Ordering::Relaxed);
        Self(counters)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}
