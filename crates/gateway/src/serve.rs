//! Listens for clients.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lifecycle::Activity;
use ports::Ports;
use tokio::task::JoinSet;
use tokio_util::net::Listener;
use tokio_util::sync::CancellationToken;
use tunnel::Connector;

use crate::context::GatewayContext;
use crate::engine_status::EngineStatus;
use crate::local::ping::EngineIdentity;
use crate::local::stale::StaleResponses;
use crate::metrics::RequestMetrics;
use crate::rules::local_path::{BindMounts, LocalPaths};
use crate::rules::portless::Portless;
use crate::session;
use crate::wire::socket::Socket;

/// Clients at once. Far more than tools open, and a bound on what a runaway tool can take: about
/// 100 KiB for each when busy.
pub const MAX_CLIENTS: usize = 4096;

/// Clients beyond [`MAX_CLIENTS`] that get an error at once. More are closed without one.
const MAX_TURNED_AWAY: usize = 256;

/// Longer than a short response takes on a slow link, shorter than a user waits for the daemon to
/// stop.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);

/// The Docker endpoint of one profile. Cheap to clone.
#[derive(Clone)]
pub struct Gateway(Arc<GatewayContext>);

impl Gateway {
    /// Requests go to the engine that `connector` connects to, and are recorded in `activity`.
    /// Without `ports`, published ports are not forwarded.
    pub fn new(
        connector: Arc<dyn Connector>,
        activity: Activity,
        ports: Option<Ports>,
        identity: EngineIdentity,
    ) -> Self {
        Self::with_paths(connector, activity, ports, identity, LocalPaths::default())
    }

    /// Like [`Gateway::new`], with what is known of the paths of this computer.
    pub fn with_paths(
        connector: Arc<dyn Connector>,
        activity: Activity,
        ports: Option<Ports>,
        identity: EngineIdentity,
        paths: LocalPaths,
    ) -> Self {
        Self(Arc::new(GatewayContext {
            connector,
            activity,
            ports,
            identity,
            paths: Mutex::new(paths),
            status: None,
            polling: Mutex::default(),
            stale: StaleResponses::default(),
            pool: Arc::default(),
            trim: Arc::default(),
            portless: Portless::default(),
            metrics: RequestMetrics::default(),
        }))
    }

    /// With the engine's status, so that clients that poll or follow events neither wake a machine
    /// nor keep one. To be called before the gateway is cloned.
    pub fn with_status(mut self, status: Arc<dyn EngineStatus>) -> Self {
        if let Some(context) = Arc::get_mut(&mut self.0) {
            context.status = Some(status);
        }
        self
    }

    /// What a path in a bind mount means from now on.
    pub fn set_bind_mounts(&self, bind_mounts: BindMounts) {
        self.0.paths.lock().unwrap_or_else(PoisonError::into_inner).bind_mounts = bind_mounts;
    }

    /// The counters of its requests.
    pub fn metrics(&self) -> RequestMetrics {
        self.0.metrics.clone()
    }

    /// Serves clients until `shutdown`. Then requests in flight have a few seconds to be answered,
    /// and everything is closed. Several listeners can be served at once. The caller sets the
    /// listener's permissions and removes its socket file.
    pub async fn serve<L>(&self, mut listener: L, shutdown: CancellationToken)
    where
        L: Listener,
        L::Io: Socket,
    {
        let (mut clients, mut turned_away) = (JoinSet::new(), JoinSet::new());
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(_) = clients.join_next() => self.0.trim.note_freed(),
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
                        // Out of file descriptors: time helps.
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
            }
        }
        drop(listener);
        let answered = tokio::time::timeout(SHUTDOWN_GRACE, async {
            while clients.join_next().await.is_some() {}
        });
        if answered.await.is_err() {
            clients.shutdown().await;
        }
        self.0.pool.close();
    }
}
