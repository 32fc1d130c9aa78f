//! The way for big transfers over a long path: a bundle of lanes over connections of its own, made ahead and kept while it is used.

use std::sync::Arc;
use std::time::Duration;

use agent_proto::{Call, Reply};
use futures::future::try_join_all;
use lanes::Bundle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::channel::ChannelIo;
use crate::connection::{ChannelError, Connection};
use crate::link::Link;
use crate::pool::keep_awake;
use crate::watchdog::RoundTrip;
use crate::{Options, tunnel};

/// Connections of a bundle. One fills three quarters of a gigabit at 30 ms with Debian's buffers, two fill it (87 and 113 of 119 MB/s).
const CONNECTIONS: usize = 2;
/// Lanes on each connection: sshd's window is 2 MiB for a channel, and 30 ms at a gigabit hold 4 MiB.
const LANES: usize = 2;
/// How long a bundle without streams is kept: `docker build` and `docker cp` come in rows, and a new one takes ten round trips.
const KEPT: Duration = Duration::from_secs(600);
/// How long after a failure nobody tries again; meanwhile bulk streams share the interactive connection.
const PAUSE: Duration = Duration::from_secs(30);
/// A round trip while none was measured: a path of some length.
const UNKNOWN: Duration = Duration::from_millis(100);
/// Waiting asks. Each waits for the same bundle; more than this wait at the queue's door.
const ASKS: usize = 16;

type Ask = oneshot::Sender<Option<Arc<Link>>>;

pub(crate) struct Bulk(mpsc::Sender<Ask>);

impl Bulk {
    pub(crate) fn start(options: Options, session: Arc<Link>, round_trip: Arc<RoundTrip>, tasks: &TaskTracker) -> Self {
        let (sender, asks) = mpsc::channel(ASKS);
        let owner = Owner { options, session, round_trip, tasks: tasks.clone(), link: None, used: Instant::now(), failed: None };
        tasks.spawn(owner.run(asks));
        Self(sender)
    }

    /// The bundle, or `None` where there is none to be had.
    pub(crate) async fn link(&self) -> Option<Arc<Link>> {
        let (reply, link) = oneshot::channel();
        self.0.send(reply).await.ok()?;
        link.await.ok().flatten()
    }
}

struct Owner {
    options: Options,
    /// The agent's session that the lanes lead to.
    session: Arc<Link>,
    round_trip: Arc<RoundTrip>,
    tasks: TaskTracker,
    link: Option<Arc<Link>>,
    used: Instant,
    failed: Option<Instant>,
}

impl Owner {
    async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        let death = self.session.death().clone();
        let serving = async {
            // How long the path is becomes known by the watchdog's first ping, which is on its way.
            let known = self.session.call(&Call::Ping).await.is_ok();
            if known && !self.round_trip.is_near() {
                self.link().await;
            }
            loop {
                tokio::select! {
                    ask = asks.recv() => match ask {
                        Some(reply) => drop(reply.send(self.link().await)),
                        None => return,
                    },
                    () = tokio::time::sleep(KEPT / 4), if self.link.is_some() => self.tidy().await,
                }
            }
        };
        tokio::select! {
            () = serving => {}
            _ = death.wait() => {}
        }
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
            Ok(link) => self.link = Some(Arc::new(link)),
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
            let connection = Connection::open(&self.options, death.clone(), self.tasks.clone(), tunnel::QUEUE).await;
            let connection = Arc::new(connection.map_err(|error| error.to_string())?);
            let keeper = keep_awake(&connection).await;
            Ok::<_, String>((connection, keeper))
        };
        let connections = try_join_all((0..CONNECTIONS).map(|_| login())).await?;
        let round_trip = self.round_trip.least().unwrap_or(UNKNOWN);
        let path = self.socket(round_trip).await?;
        let lanes = connections.iter().flat_map(|(connection, _)| (0..LANES).map(|_| connection.streamlocal(&path)));
        let lanes: Vec<ChannelIo> = try_join_all(lanes).await.map_err(|error| match error {
            ChannelError::Refused(reason) => format!("the host opens no channel to a socket: {reason}"),
            ChannelError::Dead(reason) => reason,
        })?;
        Ok(Link::of_lanes(Bundle::new(lanes, round_trip), connections, death, &self.tasks))
    }

    async fn socket(&self, round_trip: Duration) -> Result<String, String> {
        let round_trip = u32::try_from(round_trip.as_micros()).unwrap_or(u32::MAX);
        match self.session.call(&Call::Lanes { count: (CONNECTIONS * LANES) as u8, round_trip }).await {
            Ok(Reply::Lanes { path }) => Ok(path),
            Ok(Reply::Failed { message }) => Err(message),
            Ok(_) => Err("the agent does not know lanes".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn tidy(&mut self) {
        let Some(link) = &self.link else { return };
        if Arc::strong_count(link) > 1 {
            self.used = Instant::now();
        } else if self.used.elapsed() >= KEPT {
            link.close("not used for a while").await;
            self.link = None;
        }
    }
}
