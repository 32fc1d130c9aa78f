//! Carries the datagrams of an open port: each client has a stream of its own to the container's
//! port while datagrams flow.
//!
//! As usual with UDP, a datagram that cannot be carried is dropped without an error.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::Instant;
use tunnel::{Class, Destination, OpenError, Stream, datagram};

use crate::closable::Closable;
use crate::counters::Use;
use crate::target::{Ending, Target};

/// A client that is silent for this long in both directions is forgotten, as by Docker's own proxy.
const IDLE: Duration = Duration::from_secs(90);
/// Concurrent clients of one port. A further one replaces the one that has been silent for the
/// longest: a program that uses a new port for each query leaves one client behind each time.
const MAX_CLIENTS: usize = 256;
/// The queue of each client, in datagrams and in bytes.
const WAITING: usize = 256;
const WAITING_BYTES: usize = 512 * 1024;
/// Datagrams up to this many bytes are sent batch: one piece of the tunnel.
const BATCH: usize = 32 * 1024;

struct Client {
    queue: mpsc::Sender<Bytes>,
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    /// Milliseconds from the opening of the port to the last datagram.
    last: AtomicU64,
    opened: Instant,
    waiting: AtomicUsize,
}

impl Shared {
    fn touch(&self) {
        self.last.store(
            u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }

    fn last(&self) -> Instant {
        self.opened + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }
}

pub(crate) async fn receive(socket: Arc<Closable<UdpSocket>>, target: Arc<Target>, ending: Ending) {
    let opened = Instant::now();
    let mut clients: HashMap<SocketAddr, Client> = HashMap::new();
    let mut names: HashMap<Id, SocketAddr> = HashMap::new();
    let mut tasks = JoinSet::new();
    let mut buffer = vec![0; datagram::MAX];
    loop {
        let received = poll_fn(|cx| {
            socket.poll(|socket| {
                let mut buf = ReadBuf::new(&mut buffer);
                socket.poll_recv_from(cx, &mut buf).map_ok(|peer| (buf.filled().len(), peer))
            })
        });
        let (length, name) = tokio::select! {
            () = ending.closed.cancelled() => break,
            Some(ended) = tasks.join_next_with_id() => {
                let id = match ended { Ok((id, ())) => id, Err(error) => error.id() };
                if let Some(name) = names.remove(&id)
                    && clients.get(&name).is_some_and(|client| client.task.id() == id)
                {
                    clients.remove(&name);
                }
                continue;
            }
            received = received => match received {
                Ok(received) => received,
                Err(error) => {
                    // The error of an earlier answer that was not delivered.
                    tracing::trace!(port = %target.source, %error, "receiving a datagram failed");
                    continue;
                }
            },
        };
        if clients.get(&name).is_none_or(|client| client.queue.is_closed()) {
            if clients.len() >= MAX_CLIENTS
                && let Some(silent) = clients
                    .iter()
                    .min_by_key(|(_, client)| client.shared.last())
                    .map(|(name, _)| *name)
                && let Some(client) = clients.remove(&silent)
            {
                client.task.abort();
            }
            let (queue, waiting) = mpsc::channel(WAITING);
            let shared =
                Arc::new(Shared { last: AtomicU64::new(0), opened, waiting: AtomicUsize::new(0) });
            shared.touch();
            let client = Peer { socket: socket.clone(), address: name };
            let carrying = serve(client, target.clone(), waiting, shared.clone());
            let task = tasks.spawn(target.traced(carrying));
            names.insert(task.id(), name);
            clients.insert(name, Client { queue, shared, task });
        }
        if let Some(client) = clients.get(&name) {
            client.shared.touch();
            let fits = client.shared.waiting.fetch_add(length, Ordering::Relaxed) + length
                <= WAITING_BYTES;
            if !fits || client.queue.try_send(Bytes::copy_from_slice(&buffer[..length])).is_err() {
                client.shared.waiting.fetch_sub(length, Ordering::Relaxed);
                target.counters.dropped();
            }
        }
    }
    // Answers can no longer be delivered.
    tasks.shutdown().await;
}

/// A client, for answers.
struct Peer {
    socket: Arc<Closable<UdpSocket>>,
    address: SocketAddr,
}

async fn serve(
    peer: Peer,
    target: Arc<Target>,
    waiting: mpsc::Receiver<Bytes>,
    shared: Arc<Shared>,
) {
    let mut used = target.counters.begin(peer.address, target.activity());
    if let Err(error) = carry(&peer, &target, waiting, &shared, &used).await {
        let why = OpenError::of(&error).map_or_else(|| error.to_string(), ToString::to_string);
        let (port, peer) = (&target.source, peer.address);
        tracing::debug!(%port, %peer, %why, "datagrams are no longer carried");
        used.failed(why);
    }
}

async fn carry(
    peer: &Peer,
    target: &Target,
    waiting: mpsc::Receiver<Bytes>,
    shared: &Shared,
    used: &Use,
) -> io::Result<()> {
    // The semaphore is never closed.
    let _place = target.places.acquire().await.ok();
    let to = Destination::Udp { host: target.remote.host.clone(), port: target.remote.port };
    let stream = target.connector.open(to, Class::Interactive).await.map_err(io::Error::other)?;
    let (reader, writer) = tokio::io::split(stream);
    tokio::select! {
        ended = up(waiting, writer, shared, used) => ended,
        ended = down(reader, peer, target, shared, used) => ended,
        () = silence(shared) => Ok(()),
    }
}

async fn up(
    mut waiting: mpsc::Receiver<Bytes>,
    mut writer: tokio::io::WriteHalf<Stream>,
    shared: &Shared,
    used: &Use,
) -> io::Result<()> {
    let mut batch = BytesMut::new();
    while let Some(first) = waiting.recv().await {
        batch.clear();
        let mut next = Some(first);
        while let Some(one) = next {
            shared.waiting.fetch_sub(one.len(), Ordering::Relaxed);
            used.passed_in(one.len());
            batch.extend_from_slice(&datagram::header(one.len()));
            batch.extend_from_slice(&one);
            next = if batch.len() < BATCH { waiting.try_recv().ok() } else { None };
        }
        writer.write_all(&batch).await?;
        writer.flush().await?;
    }
    Ok(())
}

async fn down(
    mut reader: tokio::io::ReadHalf<Stream>,
    peer: &Peer,
    target: &Target,
    shared: &Shared,
    used: &Use,
) -> io::Result<()> {
    let mut received = BytesMut::with_capacity(BATCH);
    loop {
        while let Some((one, length)) = datagram::split(&received) {
            shared.touch();
            used.passed_out(one.len());
            let sent = peer.socket.with(|socket| socket.try_send_to(one, peer.address));
            if sent.is_none_or(|sent| sent.is_err()) {
                target.counters.dropped();
            }
            let _ = received.split_to(length);
        }
        if reader.read_buf(&mut received).await? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the machine ended the stream",
            ));
        }
    }
}

/// Returns when no datagram has passed for a while.
async fn silence(shared: &Shared) {
    while shared.last().elapsed() < IDLE {
        tokio::time::sleep_until(shared.last() + IDLE).await;
    }
}
