//! Connections for plain SSH channels: where there is no agent, and for big transfers and questions
//! over a short path.
//!
//! An SSH channel has no credit of its own here: russh grants window on receipt, and once the queue
//! of an unread channel is full the whole connection waits for its reader. So a stream gets a
//! connection to itself while there are fewer than [`MOST_CONNECTIONS`]; only beyond that do
//! interactive streams share, at most [`MOST_SHARED`] to a connection. That is the bound: below it
//! a resting reader disturbs nobody, above it his neighbours wait.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::channel::ChannelIo;
use crate::connection::Connection;
use crate::death::Death;
use crate::{Class, Options};

/// Connections of a pool. One costs the host a process of about 10 MB.
const MOST_CONNECTIONS: usize = 16;
/// Streams that share one connection when the pool is full; below OpenSSH's `MaxSessions` of 10.
const MOST_SHARED: usize = 8;
/// Logins at once: from the tenth on, OpenSSH refuses some at random (`MaxStartups 10:30:100`).
const MOST_LOGINS: usize = 4;
/// How long a connection without streams is kept. One is kept always, so that the next stream does
/// not wait for a login.
const KEPT: Duration = Duration::from_secs(60);
/// How long after a failed login none is made ahead of need. Who waits for one has it tried at
/// once.
const PAUSE: Duration = Duration::from_secs(30);
/// Packets of 32 KiB at most that an unread channel holds before its connection waits, where
/// streams may have to share one: 8 MiB.
const DEEP: usize = 256;
/// The same where a connection carries one big transfer, and what is encrypted and sent at once:
/// half a megabyte stays in the processor's cache on its way through all hands, eight did not.
const SHALLOW: usize = 16;
/// Connections for questions: as many as are likely to be asked at the same time by one person.
/// Whatever exceeds them goes by the agent.
pub(crate) const FOR_QUESTIONS: usize = 4;
/// Asks that wait at the owner's door.
const ASKS: usize = 64;

enum Ask {
    /// By who has no other way.
    Waits(Waiting),
    /// By who has one.
    AtOnce(oneshot::Sender<Result<Lease, Soon>>),
    /// By nobody yet.
    Ahead,
}

struct Waiting {
    class: Class,
    reply: oneshot::Sender<Result<Lease, String>>,
}

/// Whether a connection is being made.
pub(crate) struct Soon(pub(crate) bool);

/// How many connections there may be, and how much each holds.
#[derive(Clone, Copy)]
struct Size {
    connections: usize,
    /// Packets that a channel holds.
    queue: usize,
}

pub(crate) struct Pool {
    asks: mpsc::Sender<Ask>,
    /// Somebody has asked, or is going to.
    expects: AtomicBool,
}

impl Pool {
    /// For all streams, where there is no agent.
    pub(crate) fn for_all(options: Options, death: Death, tasks: &TaskTracker) -> Self {
        Self::start(options, Size { connections: MOST_CONNECTIONS, queue: DEEP }, death, tasks)
    }

    /// For big transfers only, each of which has a connection to itself.
    pub(crate) fn for_bulk(options: Options, death: Death, tasks: &TaskTracker) -> Self {
        Self::start(options, Size { connections: MOST_CONNECTIONS, queue: SHALLOW }, death, tasks)
    }

    /// For questions, each of which has a connection to itself or goes another way.
    pub(crate) fn for_questions(options: Options, death: Death, tasks: &TaskTracker) -> Self {
        Self::start(options, Size { connections: FOR_QUESTIONS, queue: SHALLOW }, death, tasks)
    }

    /// Makes no connection before the first stream is asked for: many a tunnel runs a command and
    /// is closed, and a login that is cut off counts as an attack with OpenSSH from 9.8 on.
    fn start(options: Options, size: Size, death: Death, tasks: &TaskTracker) -> Self {
        let (sender, asks) = mpsc::channel(ASKS);
        let owner = Owner {
            needed: false,
            failed: None,
            options,
            size,
            death,
            tasks: tasks.clone(),
            entries: Vec::new(),
            waiting: VecDeque::new(),
            logins: JoinSet::new(),
            released: Arc::new(Notify::new()),
        };
        tasks.spawn(owner.run(asks));
        Self { asks: sender, expects: AtomicBool::new(false) }
    }

    /// A place for one stream; waits while all are taken.
    pub(crate) async fn lease(&self, class: Class) -> Result<Lease, String> {
        let gone = || "the tunnel is closed".to_owned();
        let (reply, lease) = oneshot::channel();
        self.asks.send(Ask::Waits(Waiting { class, reply })).await.map_err(|_| gone())?;
        lease.await.map_err(|_| gone())?
    }

    /// The first stream is going to be asked for: it shall not have to wait for a login.
    pub(crate) fn prepare(&self) {
        if !self.expects.swap(true, Ordering::Relaxed) {
            // Full only of those who ask, which says it as well.
            let _ = self.asks.try_send(Ask::Ahead);
        }
    }

    /// A connection that is idle now, for one stream alone. The error says whether there will be
    /// another one soon.
    pub(crate) async fn lease_at_once(&self) -> Result<Lease, Soon> {
        let (reply, lease) = oneshot::channel();
        let asked = self.asks.send(Ask::AtOnce(reply)).await;
        match (asked, lease.await) {
            (Ok(()), Ok(answer)) => answer,
            _ => Err(Soon(false)),
        }
    }
}

/// A stream's place on a connection.
pub(crate) struct Lease {
    pub(crate) connection: Arc<Connection>,
    streams: Arc<AtomicUsize>,
    weight: usize,
    released: Arc<Notify>,
}

impl Lease {
    fn on(entry: &Entry, class: Class, released: &Arc<Notify>) -> Self {
        let weight = match class {
            Class::Interactive | Class::Question => 1,
            // It fills the connection: nobody shares with it.
            Class::Bulk => MOST_SHARED,
        };
        entry.streams.fetch_add(weight, Ordering::Relaxed);
        Self {
            connection: entry.connection.clone(),
            streams: entry.streams.clone(),
            weight,
            released: released.clone(),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.streams.fetch_sub(self.weight, Ordering::Relaxed);
        self.released.notify_one();
    }
}

struct Entry {
    connection: Arc<Connection>,
    /// A command that does nothing: sshd sends small packets without delay only while a command
    /// runs.
    _keeper: Option<ChannelIo>,
    streams: Arc<AtomicUsize>,
    used: Instant,
}

impl Entry {
    fn load(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }
}

struct Owner {
    /// Somebody has asked for a stream; others will follow.
    needed: bool,
    /// When a login failed last.
    failed: Option<Instant>,
    options: Options,
    size: Size,
    death: Death,
    tasks: TaskTracker,
    entries: Vec<Entry>,
    /// Bounded by who opens streams: each waits for its own.
    waiting: VecDeque<Waiting>,
    logins: JoinSet<Result<Entry, String>>,
    released: Arc<Notify>,
}

impl Owner {
    async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        let (death, released) = (self.death.clone(), self.released.clone());
        loop {
            self.entries.retain(|entry| !entry.connection.death.is_declared());
            self.serve();
            self.log_in();
            tokio::select! {
                _ = death.wait() => break,
                ask = asks.recv() => match ask {
                    Some(ask) => {
                        self.needed = true;
                        match ask {
                            Ask::Waits(waiting) => self.waiting.push_back(waiting),
                            Ask::AtOnce(reply) => self.serve_at_once(reply),
                            Ask::Ahead => {}
                        }
                    }
                    None => break,
                },
                Some(login) = self.logins.join_next() => match login {
                    Ok(Ok(entry)) => {
                        self.failed = None;
                        self.entries.push(entry);
                    }
                    Ok(Err(reason)) => self.fail(&reason),
                    Err(error) => self.fail(&error.to_string()),
                },
                () = released.notified() => {}
                () = tokio::time::sleep(KEPT / 4) => self.tidy(),
            }
        }
        self.logins.shutdown().await;
    }

    /// Hands out places, first come first served.
    fn serve(&mut self) {
        while let Some(ask) = self.waiting.pop_front() {
            if ask.reply.is_closed() {
                continue;
            }
            let full = self.entries.len() >= self.size.connections;
            let least = self.entries.iter_mut().min_by_key(|entry| entry.load());
            let fits = |entry: &Entry| {
                entry.load() == 0
                    || (full && ask.class != Class::Bulk && entry.load() < MOST_SHARED)
            };
            match least.filter(|entry| fits(entry)) {
                Some(entry) => {
                    entry.used = Instant::now();
                    // Refused only when nobody waits any more; the lease is then given back.
                    let _ = ask.reply.send(Ok(Lease::on(entry, ask.class, &self.released)));
                }
                None => return self.waiting.push_front(ask),
            }
        }
    }

    fn serve_at_once(&mut self, reply: oneshot::Sender<Result<Lease, Soon>>) {
        let idle = self
            .entries
            .iter_mut()
            .find(|entry| entry.load() == 0 && !entry.connection.death.is_declared());
        let answer = match idle {
            Some(entry) => {
                entry.used = Instant::now();
                Ok(Lease::on(entry, Class::Bulk, &self.released))
            }
            None => {
                self.log_in();
                Err(Soon(!self.logins.is_empty()))
            }
        };
        // Refused only when nobody waits any more; the lease is then given back.
        let _ = reply.send(answer);
    }

    /// One login for each who waits, and one ahead.
    fn log_in(&mut self) {
        let idle = self.entries.iter().filter(|entry| entry.load() == 0).count();
        let ahead = self.needed && self.failed.is_none_or(|failed| failed.elapsed() >= PAUSE);
        let wanted = (self.waiting.len() + usize::from(ahead)).saturating_sub(idle);
        let room = self.size.connections.saturating_sub(self.entries.len());
        while self.logins.len() < wanted.min(room).min(MOST_LOGINS) {
            self.logins.spawn(login(
                self.options.clone(),
                self.size.queue,
                self.death.child(),
                self.tasks.clone(),
            ));
        }
    }

    /// A login failed: who waited longest shares a connection if there is one, or hears why.
    fn fail(&mut self, reason: &str) {
        tracing::debug!(%reason, "a connection for plain channels was not made");
        self.failed = Some(Instant::now());
        let Some(ask) = self.waiting.pop_front() else { return };
        let least = self
            .entries
            .iter()
            .filter(|entry| entry.load() < MOST_SHARED)
            .min_by_key(|entry| entry.load());
        let answer = match least {
            Some(entry) => Ok(Lease::on(entry, ask.class, &self.released)),
            None => Err(reason.to_owned()),
        };
        let _ = ask.reply.send(answer);
    }

    fn tidy(&mut self) {
        let mut spare = false;
        self.entries.retain_mut(|entry| {
            if entry.load() > 0 {
                entry.used = Instant::now();
                return true;
            }
            // The first idle one stays.
            !std::mem::replace(&mut spare, true) || entry.used.elapsed() < KEPT
        });
    }
}

async fn login(
    options: Options,
    queue: usize,
    death: Death,
    tasks: TaskTracker,
) -> Result<Entry, String> {
    let connection =
        Connection::open(&options, death, tasks, queue).await.map_err(|error| error.to_string())?;
    let connection = Arc::new(connection);
    let keeper = keep_awake(&connection).await;
    Ok(Entry { connection, _keeper: keeper, streams: Arc::default(), used: Instant::now() })
}

/// Starts a command that does nothing until its channel is closed. A host that runs no commands
/// works without, only slower.
pub(crate) async fn keep_awake(connection: &Arc<Connection>) -> Option<ChannelIo> {
    let channel = connection.session().await.ok()?;
    channel.exec("exec cat > /dev/null").await.ok()?;
    Some(channel)
}

/// A plain channel with its place.
pub(crate) struct Direct {
    pub(crate) channel: ChannelIo,
    pub(crate) _lease: Lease,
}

impl AsyncRead for Direct {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.channel).poll_read(cx, buf)
    }
}

impl AsyncWrite for Direct {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.channel).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.channel).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.channel).poll_shutdown(cx)
    }
}
