//! A pool of SSH connections for plain channels.
//!
//! A channel has no credit of its own: russh grants window on receipt, and once the queue of an
//! unread channel is full, the whole connection waits for its reader. So each stream gets a
//! connection of its own while there are fewer than [`MOST_CONNECTIONS`]; beyond that interactive
//! streams share, at most [`MOST_SHARED`] to a connection. Below the limit a slow reader delays no
//! other stream; above it the streams on its connection wait.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::channel::ChannelIo;
use crate::closed::Closed;
use crate::connection::Connection;
use crate::error::ConnectError;
use crate::options::Options;
use crate::stream::Class;

/// Connections of a pool. Each costs the host a process of about 10 MB.
pub(crate) const MOST_CONNECTIONS: usize = 16;
/// Streams that share a connection when the pool is full; below OpenSSH's `MaxSessions` of 10.
const MOST_SHARED: usize = 8;
/// Concurrent logins: from the tenth on, OpenSSH refuses some at random (`MaxStartups 10:30:100`).
const MOST_LOGINS: usize = 4;
/// How long an idle connection is kept. One is always kept, so that the next stream does not wait
/// for a login.
const KEPT: Duration = Duration::from_secs(60);
/// How long no login is made ahead of need after one failed. A waiting stream causes one at once.
const PAUSE: Duration = Duration::from_secs(30);
/// Packets of 32 KiB that an unread channel holds before its connection waits, where streams may
/// have to share one: 8 MiB.
const QUEUE: usize = 256;
/// Requests that wait for the pool's task.
const REQUESTS: usize = 64;

enum Request {
    /// A stream that waits for its checkout.
    Waits(Waiting),
    /// A stream that uses another route if no connection is idle.
    Try(oneshot::Sender<Result<Checkout, NoneIdle>>),
    /// No stream yet; one is expected.
    Ahead,
}

struct Waiting {
    class: Class,
    reply: oneshot::Sender<Result<Checkout, PoolError>>,
}

/// Why a stream got no connection.
#[derive(Debug, Error)]
pub(crate) enum PoolError {
    #[error("the tunnel is closed")]
    Closed,
    #[error(transparent)]
    Login(#[from] ConnectError),
    /// The task of a login ended early.
    #[error(transparent)]
    Task(#[from] JoinError),
}

/// No connection is idle.
pub(crate) struct NoneIdle {
    /// Whether one is being made.
    pub(crate) connecting: bool,
}

/// The limits of a pool.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) connections: usize,
    /// Packets that a channel holds.
    pub(crate) queue: usize,
}

pub(crate) struct Pool {
    requests: mpsc::Sender<Request>,
    /// A stream was requested, or is expected.
    expects: AtomicBool,
}

impl Pool {
    /// A pool for all streams of a machine without an agent.
    pub(crate) fn for_all(options: Options, closed: Closed, tasks: &TaskTracker) -> Self {
        Self::start(options, Size { connections: MOST_CONNECTIONS, queue: QUEUE }, closed, tasks)
    }

    /// A pool makes no connection before its first request: many tunnels only run a command and
    /// close, and OpenSSH from 9.8 on counts a login that is cut off as an attack.
    pub(crate) fn start(options: Options, size: Size, closed: Closed, tasks: &TaskTracker) -> Self {
        let (requests, queue) = mpsc::channel(REQUESTS);
        let owner = Owner {
            needed: false,
            failed: None,
            options,
            size,
            closed,
            tasks: tasks.clone(),
            entries: Vec::new(),
            waiting: VecDeque::new(),
            logins: JoinSet::new(),
            released: Arc::new(Notify::new()),
        };
        tasks.spawn(owner.run(queue));
        Self { requests, expects: AtomicBool::new(false) }
    }

    /// Checks out a place for one stream. Waits while all are taken.
    pub(crate) async fn checkout(&self, class: Class) -> Result<Checkout, PoolError> {
        let (reply, checkout) = oneshot::channel();
        let request = Request::Waits(Waiting { class, reply });
        self.requests.send(request).await.map_err(|_| PoolError::Closed)?;
        checkout.await.map_err(|_| PoolError::Closed)?
    }

    /// Expects the first stream, so that it does not wait for a login.
    pub(crate) fn prepare(&self) {
        if !self.expects.swap(true, Ordering::Relaxed) {
            // Full only of requests, which have the same effect.
            let _ = self.requests.try_send(Request::Ahead);
        }
    }

    /// Checks out an idle connection for one stream alone.
    pub(crate) async fn try_checkout(&self) -> Result<Checkout, NoneIdle> {
        let (reply, checkout) = oneshot::channel();
        let sent = self.requests.send(Request::Try(reply)).await;
        match (sent, checkout.await) {
            (Ok(()), Ok(answer)) => answer,
            _ => Err(NoneIdle { connecting: false }),
        }
    }
}

/// A stream's place on a connection, returned to the pool when dropped.
pub(crate) struct Checkout {
    pub(crate) connection: Arc<Connection>,
    streams: Arc<AtomicUsize>,
    weight: usize,
    released: Arc<Notify>,
}

impl Checkout {
    fn on(entry: &Entry, class: Class, released: &Arc<Notify>) -> Self {
        let weight = match class {
            Class::Interactive | Class::Question => 1,
            // It fills the connection, which no other stream shares.
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

impl Drop for Checkout {
    fn drop(&mut self) {
        self.streams.fetch_sub(self.weight, Ordering::Relaxed);
        self.released.notify_one();
    }
}

struct Entry {
    connection: Arc<Connection>,
    /// See [`Connection::keep_awake`].
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
    /// A stream was requested; others will follow.
    needed: bool,
    /// When a login last failed.
    failed: Option<Instant>,
    options: Options,
    size: Size,
    closed: Closed,
    tasks: TaskTracker,
    entries: Vec<Entry>,
    /// Bounded by the openers of streams: each waits for its own.
    waiting: VecDeque<Waiting>,
    logins: JoinSet<Result<Entry, ConnectError>>,
    released: Arc<Notify>,
}

impl Owner {
    async fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let (closed, released) = (self.closed.clone(), self.released.clone());
        loop {
            self.entries.retain(|entry| !entry.connection.closed.is_set());
            self.serve();
            self.log_in();
            tokio::select! {
                _ = closed.wait() => break,
                request = queue.recv() => match request {
                    Some(request) => {
                        self.needed = true;
                        match request {
                            Request::Waits(waiting) => self.waiting.push_back(waiting),
                            Request::Try(reply) => self.serve_idle(reply),
                            Request::Ahead => {}
                        }
                    }
                    None => break,
                },
                Some(login) = self.logins.join_next() => match login {
                    Ok(Ok(entry)) => {
                        self.failed = None;
                        self.entries.push(entry);
                    }
                    Ok(Err(error)) => self.fail(error.into()),
                    Err(error) => self.fail(error.into()),
                },
                () = released.notified() => {}
                () = tokio::time::sleep(KEPT / 4) => self.close_idle(),
            }
        }
        self.logins.shutdown().await;
    }

    /// Checks out places, first come, first served.
    fn serve(&mut self) {
        while let Some(waiting) = self.waiting.pop_front() {
            if waiting.reply.is_closed() {
                continue;
            }
            let full = self.entries.len() >= self.size.connections;
            let least = self.entries.iter_mut().min_by_key(|entry| entry.load());
            let fits = |entry: &Entry| {
                entry.load() == 0
                    || (full && waiting.class != Class::Bulk && entry.load() < MOST_SHARED)
            };
            match least.filter(|entry| fits(entry)) {
                Some(entry) => {
                    entry.used = Instant::now();
                    let checkout = Checkout::on(entry, waiting.class, &self.released);
                    // Fails if the stream was given up; the checkout then returns to the pool.
                    let _ = waiting.reply.send(Ok(checkout));
                }
                None => return self.waiting.push_front(waiting),
            }
        }
    }

    fn serve_idle(&mut self, reply: oneshot::Sender<Result<Checkout, NoneIdle>>) {
        let idle = self
            .entries
            .iter_mut()
            .find(|entry| entry.load() == 0 && !entry.connection.closed.is_set());
        let answer = match idle {
            Some(entry) => {
                entry.used = Instant::now();
                Ok(Checkout::on(entry, Class::Bulk, &self.released))
            }
            None => {
                self.log_in();
                Err(NoneIdle { connecting: !self.logins.is_empty() })
            }
        };
        // Fails if the stream was given up; the checkout then returns to the pool.
        let _ = reply.send(answer);
    }

    /// Starts a login for each waiting stream, and one ahead.
    fn log_in(&mut self) {
        let idle = self.entries.iter().filter(|entry| entry.load() == 0).count();
        let ahead = self.needed && self.failed.is_none_or(|failed| failed.elapsed() >= PAUSE);
        let wanted = (self.waiting.len() + usize::from(ahead)).saturating_sub(idle);
        let room = self.size.connections.saturating_sub(self.entries.len());
        while self.logins.len() < wanted.min(room).min(MOST_LOGINS) {
            self.logins.spawn(login(
                self.options.clone(),
                self.size.queue,
                self.closed.child(),
                self.tasks.clone(),
            ));
        }
    }

    /// A login failed: the longest waiting stream shares a connection if there is one, or gets the
    /// reason.
    fn fail(&mut self, error: PoolError) {
        tracing::debug!(reason = %error, "no connection for plain channels");
        self.failed = Some(Instant::now());
        let Some(waiting) = self.waiting.pop_front() else { return };
        let least = self
            .entries
            .iter()
            .filter(|entry| entry.load() < MOST_SHARED)
            .min_by_key(|entry| entry.load());
        let answer = match least {
            Some(entry) => Ok(Checkout::on(entry, waiting.class, &self.released)),
            None => Err(error),
        };
        let _ = waiting.reply.send(answer);
    }

    fn close_idle(&mut self) {
        let mut kept_one = false;
        self.entries.retain_mut(|entry| {
            if entry.load() > 0 {
                entry.used = Instant::now();
                return true;
            }
            // The first idle connection stays.
            !std::mem::replace(&mut kept_one, true) || entry.used.elapsed() < KEPT
        });
    }
}

async fn login(
    options: Options,
    queue: usize,
    closed: Closed,
    tasks: TaskTracker,
) -> Result<Entry, ConnectError> {
    let connection = Arc::new(Connection::open(&options, closed, tasks, queue).await?);
    let keeper = connection.keep_awake().await;
    Ok(Entry { connection, _keeper: keeper, streams: Arc::default(), used: Instant::now() })
}
