//! The route of big transfers over a long path: a bundle of lanes on connections of its own, made
//! ahead and kept while it is used. While it carries no big transfer, a crowd of questions may use
//! it.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use agent_proto::{Call, Direction, Reply, with_causes};
use futures::future::try_join_all;
use striping::Bundle;
use thiserror::Error;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::agent_session::{AgentSession, Awake};
use crate::channel::ChannelIo;
use crate::connection::{ChannelError, Connection, QUEUE};
use crate::error::{CallError, ConnectError};
use crate::options::Options;
use crate::watchdog::RoundTrip;

/// Connections of a bundle per direction. One fills three quarters of a gigabit at 30 ms with
/// Debian's buffers, two fill it (87 and 113 of 119 MB/s). Each direction has its own: a connection
/// that has carried a big transfer up is slow down, and vice versa, because TCP takes the queue for
/// a full path (`ssthresh`) and needs two seconds to recover.
const CONNECTIONS: usize = 2;
/// Lanes on each connection that carries uploads: sshd's window is 2 MiB per channel, and a 30 ms
/// path at a gigabit holds 4 MiB. For downloads the client's window is as long as TCP's.
const LANES_UP: usize = 2;
const LANES_DOWN: usize = 1;
/// How long an idle bundle is kept: `docker build` and `docker cp` often come in series, and a new
/// bundle takes ten round trips.
const KEPT: Duration = Duration::from_secs(600);
/// How often an idle bundle is checked. A path may have seemed long because a processor was busy.
const CHECK: Duration = Duration::from_secs(10);
/// How long no bundle is tried after a failure. Bulk streams share the session meanwhile.
const PAUSE: Duration = Duration::from_secs(30);
/// Round trips to measure before a path counts as long.
const PINGS: usize = 3;
/// The assumed round trip while none was measured: a path of some length.
const UNKNOWN: Duration = Duration::from_millis(100);
/// Requests that wait for the task; all of them wait for the same bundle.
const REQUESTS: usize = 16;

type Request = oneshot::Sender<Option<Arc<AgentSession>>>;

pub(crate) struct Bulk {
    requests: mpsc::Sender<Request>,
    /// The present bundle.
    current: watch::Receiver<Weak<AgentSession>>,
    /// The number of big transfers.
    transfers: Arc<AtomicUsize>,
}

/// Counts one big transfer on the bundle while it lives.
pub(crate) struct Transfer(Arc<AtomicUsize>);

impl Drop for Transfer {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Bulk {
    pub(crate) fn start(
        options: Options,
        session: Arc<AgentSession>,
        round_trip: Arc<RoundTrip>,
        tasks: &TaskTracker,
    ) -> Self {
        let (requests, queue) = mpsc::channel(REQUESTS);
        let (publish, current) = watch::channel(Weak::new());
        let owner = Owner {
            options,
            session,
            round_trip,
            tasks: tasks.clone(),
            bundle: None,
            publish,
            used: Instant::now(),
            failed: None,
        };
        tasks.spawn(owner.run(queue));
        Self { requests, current, transfers: Arc::default() }
    }

    /// The bundle for a big transfer, or `None` if there is none.
    pub(crate) async fn bundle(&self) -> Option<(Arc<AgentSession>, Transfer)> {
        let (reply, bundle) = oneshot::channel();
        self.requests.send(reply).await.ok()?;
        let bundle = bundle.await.ok().flatten()?;
        self.transfers.fetch_add(1, Ordering::Relaxed);
        Some((bundle, Transfer(self.transfers.clone())))
    }

    /// The bundle, if there is one without a big transfer.
    pub(crate) fn idle(&self) -> Option<Arc<AgentSession>> {
        if self.transfers.load(Ordering::Relaxed) > 0 {
            return None;
        }
        self.current.borrow().upgrade().filter(|bundle| !bundle.closed().is_set())
    }
}

/// Why there is no bundle.
#[derive(Debug, Error)]
enum BundleError {
    #[error(transparent)]
    Login(#[from] ConnectError),
    #[error(transparent)]
    Call(#[from] CallError),
    /// The agent's message.
    #[error("{0}")]
    Refused(String),
    #[error("the agent does not support lanes")]
    Unsupported,
    #[error("the host opens no channel to a socket")]
    NoChannel(#[source] ChannelError),
    #[error(transparent)]
    Ended(ChannelError),
    /// A lane broke before it carried anything.
    #[error(transparent)]
    Lane(#[from] io::Error),
}

struct Owner {
    options: Options,
    /// The agent's session that opens the bundle.
    session: Arc<AgentSession>,
    round_trip: Arc<RoundTrip>,
    tasks: TaskTracker,
    bundle: Option<Arc<AgentSession>>,
    publish: watch::Sender<Weak<AgentSession>>,
    used: Instant,
    failed: Option<Instant>,
}

impl Owner {
    async fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let closed = self.session.closed().clone();
        let serving = async {
            if self.is_far().await {
                self.bundle().await;
            }
            loop {
                tokio::select! {
                    request = queue.recv() => match request {
                        Some(reply) => drop(reply.send(self.bundle().await)),
                        None => return,
                    },
                    () = tokio::time::sleep(CHECK), if self.bundle.is_some() => {
                        self.close_idle().await;
                    }
                }
            }
        };
        tokio::select! {
            () = serving => {}
            _ = closed.wait() => {}
        }
    }

    /// One answer may be late because a processor is busy; an unneeded bundle would be four
    /// connections.
    async fn is_far(&self) -> bool {
        for _ in 0..PINGS {
            let asked = Instant::now();
            if self.session.call(&Call::Ping).await.is_err() {
                return false;
            }
            self.round_trip.record(asked.elapsed());
            if self.round_trip.is_near() {
                return false;
            }
        }
        true
    }

    async fn bundle(&mut self) -> Option<Arc<AgentSession>> {
        self.used = Instant::now();
        if let Some(bundle) = self.bundle.as_ref().filter(|bundle| !bundle.closed().is_set()) {
            return Some(bundle.clone());
        }
        if self.failed.is_some_and(|failed| failed.elapsed() < PAUSE) {
            return None;
        }
        match self.connect().await {
            Ok(bundle) => {
                let bundle = Arc::new(bundle);
                self.publish.send_replace(Arc::downgrade(&bundle));
                self.bundle = Some(bundle);
            }
            Err(error) => {
                tracing::debug!(reason = with_causes(&error), "no bundle for big transfers");
                (self.bundle, self.failed) = (None, Some(Instant::now()));
            }
        }
        self.bundle.clone()
    }

    /// The bundle's connections end together, and with the session.
    async fn connect(&self) -> Result<AgentSession, BundleError> {
        let closed = self.session.closed().child();
        let login = || async {
            let connection =
                Connection::open(&self.options, closed.clone(), self.tasks.clone(), QUEUE).await?;
            let connection = Arc::new(connection);
            let keeper = connection.keep_awake().await;
            Ok::<_, BundleError>((connection, keeper))
        };
        let connections = try_join_all((0..2 * CONNECTIONS).map(|_| login())).await?;
        let round_trip = self.round_trip.least().unwrap_or(UNKNOWN);
        let path = self.socket(round_trip).await?;
        let (for_up, for_down) = connections.split_at(CONNECTIONS);
        let (up, down) = tokio::try_join!(
            lanes(for_up, LANES_UP, &path, Direction::Up),
            lanes(for_down, LANES_DOWN, &path, Direction::Down)
        )?;
        Ok(AgentSession::over_lanes(
            Bundle::new(up, down, round_trip),
            connections,
            closed,
            &self.tasks,
        ))
    }

    async fn socket(&self, round_trip: Duration) -> Result<String, BundleError> {
        let round_trip = u32::try_from(round_trip.as_micros()).unwrap_or(u32::MAX);
        let count = (CONNECTIONS * (LANES_UP + LANES_DOWN)) as u8;
        match self.session.call(&Call::Lanes { count, round_trip }).await? {
            Reply::Channel { path } => Ok(path),
            Reply::Failed { message } => Err(BundleError::Refused(message)),
            _ => Err(BundleError::Unsupported),
        }
    }

    async fn close_idle(&mut self) {
        let Some(bundle) = &self.bundle else { return };
        if Arc::strong_count(bundle) > 1 {
            self.used = Instant::now();
        } else if self.round_trip.is_near() || self.used.elapsed() >= KEPT {
            bundle.close("not used for a while, or not needed").await;
            self.bundle = None;
        }
    }
}

/// Opens `each` lanes on every connection, in turn.
async fn lanes(
    connections: &[Awake],
    each: usize,
    path: &str,
    direction: Direction,
) -> Result<Vec<ChannelIo>, BundleError> {
    let lane = |connection: Arc<Connection>| async move {
        let mut lane = connection.streamlocal(path).await.map_err(|error| match error {
            refused @ ChannelError::Refused(_) => BundleError::NoChannel(refused),
            dead @ ChannelError::Dead(_) => BundleError::Ended(dead),
        })?;
        lane.write_u8(direction.byte()).await?;
        Ok::<_, BundleError>(lane)
    };
    try_join_all(
        (0..each).flat_map(|_| connections).map(|(connection, _)| lane(connection.clone())),
    )
    .await
}
