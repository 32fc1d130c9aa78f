//! Listening for clients.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lifecycle::{Activity, Polling};
use ports::Ports;
use tokio::task::JoinSet;
use tokio_util::net::Listener;
use tokio_util::sync::CancellationToken;
use tunnel::Connector;

use crate::local::engine_status::EngineStatus;
use crate::local::ping::EngineIdentity;
use crate::local::stale::LastKnown;
use crate::rules::bind_mounts::LocalPaths;
use crate::rules::portless::Created;
use crate::session;
use crate::trim::Rest;
use crate::upstream::pool::Spares;
use crate::wire::socket::Socket;

/// Clients at once. Far more than tools open, and a bound on what a runaway one can take: about 100
/// KiB each when busy.
pub const MAX_CLIENTS: usize = 4096;

/// Clients that are told so at once, when there are too many. More are closed without a word.
const MAX_TURNED_AWAY: usize = 256;

/// Longer than a short answer takes on a slow link, shorter than a person waits for the daemon to
/// stop.
const LAST_ANSWERS: Duration = Duration::from_secs(3);

/// The Docker endpoint of one profile. Cheap to clone.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) activity: Activity,
    pub(crate) ports: Option<Ports>,
    pub(crate) knowledge: EngineIdentity,
    pub(crate) folders: LocalPaths,
    /// Without it, every request may wake a machine.
    pub(crate) presence: Option<Arc<dyn EngineStatus>>,
    pub(crate) polling: Mutex<Polling>,
    pub(crate) last_known: LastKnown,
    pub(crate) spares: Arc<Spares>,
    pub(crate) rest: Arc<Rest>,
    /// Containers that publish nothing.
    pub(crate) created: Created,
}

impl Gateway {
    /// Requests go where `connector` leads and are recorded in `activity`. Without `ports`,
    /// published ports are the machine's own affair.
    pub fn new(
        connector: Arc<dyn Connector>,
        activity: Activity,
        ports: Option<Ports>,
        knowledge: EngineIdentity,
    ) -> Self {
        Self::with_paths(connector, activity, ports, knowledge, LocalPaths::default())
    }

    /// The same, and what is known of the folders of this computer.
    pub fn with_paths(
        connector: Arc<dyn Connector>,
        activity: Activity,
        ports: Option<Ports>,
        knowledge: EngineIdentity,
        folders: LocalPaths,
    ) -> Self {
        Self(Arc::new(Inner {
            connector,
            activity,
            ports,
            knowledge,
            folders,
            presence: None,
            polling: Mutex::default(),
            last_known: LastKnown::default(),
            spares: Arc::default(),
            rest: Arc::default(),
            created: Created::default(),
        }))
    }

    /// With a look at the machine that asks for none: who repeats a question, or follows events,
    /// neither wakes a machine nor keeps one. To be said before the gateway is cloned.
    pub fn with_status(mut self, presence: Arc<dyn EngineStatus>) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.presence = Some(presence);
        }
        self
    }

    /// Serves clients until `shutdown`; then requests under way have a few seconds to be answered
    /// and everything is closed. Several listeners can be served at once. The listener's
    /// permissions, and the removal of its socket file, are the caller's.
    pub async fn serve<L>(&self, mut listener: L, shutdown: CancellationToken)
    where
        L: Listener,
        L::Io: Socket,
    {
        let (mut clients, mut turned_away) = (JoinSet::new(), JoinSet::new());
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(_) = clients.join_next() => self.0.rest.frees(),
                Some(_) = turned_away.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((socket, _)) if clients.len() < MAX_CLIENTS => {
                        clients.spawn(session::serve(self.0.clone(), socket, shutdown.clone()));
                    }
                    Ok((socket, _)) => {
                        tracing::warn!(clients = clients.len(), "too many clients at once");
                        if turned_away.len() < MAX_TURNED_AWAY {
                            turned_away.spawn(session::turn_away(socket));
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a client could not be accepted");
                        // Out of descriptors: time is what helps.
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
            }
        }
        drop(listener);
        let answered = tokio::time::timeout(LAST_ANSWERS, async {
            while clients.join_next().await.is_some() {}
        });
        if answered.await.is_err() {
            clients.shutdown().await;
        }
        self.0.spares.close();
    }
}
