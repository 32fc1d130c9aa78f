//! The second connection, for big transfers: opened when first asked for, kept while used.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::connection::Connection;
use crate::death::Death;
use crate::link::Link;
use crate::start::{self, Binary, Started};
use crate::{Options, tunnel};

/// How long a connection without streams is kept: `docker build` and `docker pull` come in rows.
const KEPT: Duration = Duration::from_secs(60);
/// How long after a failure nobody tries again; meanwhile bulk streams share the interactive connection.
const PAUSE: Duration = Duration::from_secs(30);
/// Waiting asks. Each waits for the same connection; more than this wait at the queue's door.
const ASKS: usize = 16;

type Ask = oneshot::Sender<Option<Arc<Link>>>;

pub(crate) struct Bulk(mpsc::Sender<Ask>);

impl Bulk {
    pub(crate) fn start(options: Options, binaries: Arc<[Binary]>, death: Death, tasks: &TaskTracker) -> Self {
        let (sender, asks) = mpsc::channel(ASKS);
        let owner = Owner { options, binaries, death, tasks: tasks.clone(), link: None, used: Instant::now(), failed: None };
        tasks.spawn(owner.run(asks));
        Self(sender)
    }

    /// The link for big transfers, or `None` where there is no second one to be had.
    pub(crate) async fn link(&self) -> Option<Arc<Link>> {
        let (reply, link) = oneshot::channel();
        self.0.send(reply).await.ok()?;
        link.await.ok().flatten()
    }
}

struct Owner {
    options: Options,
    binaries: Arc<[Binary]>,
    death: Death,
    tasks: TaskTracker,
    link: Option<Arc<Link>>,
    used: Instant,
    failed: Option<Instant>,
}

impl Owner {
    async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        let death = self.death.clone();
        let serving = async {
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
                tracing::debug!(%reason, "no second connection for big transfers");
                (self.link, self.failed) = (None, Some(Instant::now()));
            }
        }
        self.link.clone()
    }

    async fn connect(&self) -> Result<Link, String> {
        let plan = self.options.agent.as_ref().ok_or("no agent is planned")?;
        let opening = Connection::open(&self.options, self.death.child(), self.tasks.clone(), tunnel::QUEUE);
        let connection = Arc::new(opening.await.map_err(|error| error.to_string())?);
        match start::start(&connection, plan, &self.options.docker_socket, &self.binaries).await? {
            Started::Running(channel) => Ok(Link::new(connection, channel, &self.tasks, Arc::default())),
            Started::Unsuitable(reason) => Err(reason),
        }
    }

    async fn tidy(&mut self) {
        let Some(link) = &self.link else { return };
        if Arc::strong_count(link) > 1 {
            self.used = Instant::now();
        } else if self.used.elapsed() >= KEPT {
            link.connection.close("not used for a while").await;
            self.link = None;
        }
    }
}
