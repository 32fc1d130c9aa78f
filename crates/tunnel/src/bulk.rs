//! The way for big transfers over a long path: a bundle of lanes over connections of its own, made
//! ahead and kept while it is used. While it carries none, a crowd of questions may use it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use agent_proto::{Call, Direction, Reply};
use futures::future::try_join_all;
use striping::Bundle;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::channel::ChannelIo;
use crate::connection::{ChannelError, Connection};
use crate::link::{Awake, Link};
use crate::pool::keep_awake;
use crate::watchdog::RoundTrip;
use crate::{Options, tunnel};

/// Connections of a bundle for each direction. One fills three quarters of a gigabit at 30 ms with
/// Debian's buffers, two fill it (87 and 113 of 119 MB/s). A connection that has carried a big
/// transfer one way is slow the other way: what queues makes TCP take the path for full
/// (`ssthresh`), and it needs two seconds to find out that it is not.
const CONNECTIONS: usize = 2;
/// Lanes on each connection that carries uploads: sshd's window is 2 MiB for a channel, and 30 ms
/// at a gigabit hold 4 MiB. Ours is as long as TCP's.
const LANES_UP: usize = 2;
const LANES_DOWN: usize = 1;
/// How long a bundle without streams is kept: `docker build` and `docker cp` come in rows, and a
/// new one takes ten round trips.
const KEPT: Duration = Duration::from_secs(600);
/// How often it is asked whether the bundle is still needed: a path may have seemed long because a
/// processor was busy.
const TIDY: Duration = Duration::from_secs(10);
/// How long after a failure nobody tries again; meanwhile bulk streams share the interactive
/// connection.
const PAUSE: Duration = Duration::from_secs(30);
/// Round trips that are measured before a path counts as long.
const PINGS: usize = 3;
/// A round trip while none was measured: a path of some length.
const UNKNOWN: Duration = Duration::from_millis(100);
/// Waiting asks. Each waits for the same bundle; more than this wait at the queue's door.
const ASKS: usize = 16;

type Ask = oneshot::Sender<Option<Arc<Link>>>;

pub(crate) struct Bulk {
    asks: mpsc::Sender<Ask>,
    /// The bundle that there is.
    made: watch::Receiver<Weak<Link>>,
    /// Big transfers now.
    transfers: Arc<AtomicUsize>,
}

/// A big transfer on the bundle.
pub(crate) struct Transfer(Arc<AtomicUsize>);

impl Drop for Transfer {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Bulk {
    pub(crate) fn start(
        options: Options,
        session: Arc<Link>,
        round_trip: Arc<RoundTrip>,
        tasks: &TaskTracker,
    ) -> Self {
        let (sender, asks) = mpsc::channel(ASKS);
        let (publish, made) = watch::channel(Weak::new());
        let owner = Owner {
            options,
            session,
            round_trip,
            tasks: tasks.clone(),
            link: None,
            publish,
            used: Instant::now(),
            failed: None,
        };
        tasks.spawn(owner.run(asks));
        Self { asks: sender, made, transfers: Arc::default() }
    }

    /// The bundle for a big transfer, or `None` where there is none to be had.
    pub(crate) async fn link(&self) -> Option<(Arc<Link>, Transfer)> {
        let (reply, link) = oneshot::channel();
        self.asks.send(reply).await.ok()?;
        let link = link.await.ok().flatten()?;
        self.transfers.fetch_add(1, Ordering::Relaxed);
        Some((link, Transfer(self.transfers.clone())))
    }

    /// The bundle, if there is one that carries no big transfer.
    pub(crate) fn idle(&self) -> Option<Arc<Link>> {
        if self.transfers.load(Ordering::Relaxed) > 0 {
            return None;
        }
        self.made.borrow().upgrade().filter(|link| !link.death().is_declared())
    }
}

struct Owner {
    options: Options,
    /// The agent's session that the lanes lead to.
    session: Arc<Link>,
    round_trip: Arc<RoundTrip>,
    tasks: TaskTracker,
    link: Option<Arc<Link>>,
    publish: watch::Sender<Weak<Link>>,
    used: Instant,
    failed: Option<Instant>,
}

impl Owner {
    async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        let death = self.session.death().clone();
        let serving = async {
            if self.is_far().await {
                self.link().await;
            }
            loop {
                tokio::select! {
                    ask = asks.recv() => match ask {
                        Some(reply) => drop(reply.send(self.link().await)),
                        None => return,
                    },
                    () = tokio::time::sleep(TIDY), if self.link.is_some() => self.tidy().await,
                }
            }
        };
        tokio::select! {
            () = serving => {}
            _ = death.wait() => {}
        }
    }

    /// One answer may be late because a processor is busy: a bundle that nobody needs would be four
    /// connections.
    async fn is_far(&self) -> bool {
        for _ in 0..PINGS {
            let asked = Instant::now();
            if self.session.call(&Call::Ping).await.is_err() {
                return false;
            }
            self.round_trip.heard(asked.elapsed());
            if self.round_trip.is_near() {
                return false;
            }
        }
        true
    }

    async fn link(&mut self) -> Option<Arc<Link>> {
        self.used = Instant::now();
        if let Some(link) = self.link.as_ref().filter(|link| !link.death().is_declared()) {
            return Some(link.clone());
        }
        if self.failed.is_some_and(|failed| failed.elapsed() < PAUSE) {
            return None;
        }
        match self.connect().await {
            Ok(link) => {
                let link = Arc::new(link);
                self.publish.send_replace(Arc::downgrade(&link));
                self.link = Some(link);
            }
            Err(reason) => {
                tracing::debug!(%reason, "no lanes for big transfers");
                (self.link, self.failed) = (None, Some(Instant::now()));
            }
        }
        self.link.clone()
    }

    /// All connections end together, and with the session.
    async fn connect(&self) -> Result<Link, String> {
        let death = self.session.death().child();
        let login = || async {
            let connection =
                Connection::open(&self.options, death.clone(), self.tasks.clone(), tunnel::QUEUE)
                    .await;
            let connection = Arc::new(connection.map_err(|error| error.to_string())?);
            let keeper = keep_awake(&connection).await;
            Ok::<_, String>((connection, keeper))
        };
        let connections = try_join_all((0..2 * CONNECTIONS).map(|_| login())).await?;
        let round_trip = self.round_trip.least().unwrap_or(UNKNOWN);
        let path = self.socket(round_trip).await?;
        let (for_up, for_down) = connections.split_at(CONNECTIONS);
        let (up, down) = tokio::try_join!(
            lanes(for_up, LANES_UP, &path, Direction::Up),
            lanes(for_down, LANES_DOWN, &path, Direction::Down)
        )?;
        Ok(Link::of_lanes(Bundle::new(up, down, round_trip), connections, death, &self.tasks))
    }

    async fn socket(&self, round_trip: Duration) -> Result<String, String> {
        let round_trip = u32::try_from(round_trip.as_micros()).unwrap_or(u32::MAX);
        match self
            .session
            .call(&Call::Lanes { count: (CONNECTIONS * (LANES_UP + LANES_DOWN)) as u8, round_trip })
            .await
        {
            Ok(Reply::Channel { path }) => Ok(path),
            Ok(Reply::Failed { message }) => Err(message),
            Ok(_) => Err("the agent does not know lanes".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn tidy(&mut self) {
        let Some(link) = &self.link else { return };
        if Arc::strong_count(link) > 1 {
            self.used = Instant::now();
        } else if self.round_trip.is_near() || self.used.elapsed() >= KEPT {
            link.close("not used for a while, or not needed").await;
            self.link = None;
        }
    }
}

/// So many on each of the connections, which take turns.
async fn lanes(
    connections: &[Awake],
    each: usize,
    path: &str,
    direction: Direction,
) -> Result<Vec<ChannelIo>, String> {
    let lane = |connection: Arc<Connection>| async move {
        let mut lane = connection.streamlocal(path).await.map_err(|error| match error {
            ChannelError::Refused(reason) => format!(
                "the host opens no channel to a socket: \
                {reason}"
            ),
            ChannelError::Dead(reason) => reason,
        })?;
        lane.write_u8(direction.byte()).await.map_err(|error| error.to_string())?;
        Ok(lane)
    };
    try_join_all(
        (0..each).flat_map(|_| connections).map(|(connection, _)| lane(connection.clone())),
    )
    .await
}
