//! The tunnel: one login, the routes of its streams, and everything that ends with it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use agent_proto::{Call, Reply, with_causes};
use futures::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::agent_session::AgentSession;
use crate::bulk::Bulk;
use crate::closed::{Closed, PathEnded};
use crate::connection::{Connection, LOGIN_TIMEOUT, QUEUE};
use crate::direct::Direct;
use crate::error::{CallError, ConnectError};
use crate::exec::{ExecOutput, exec};
use crate::fingerprint::Fingerprint;
use crate::options::{HostKeys, Options};
use crate::plain::PlainChannels;
use crate::pool::Pool;
use crate::process::{self, Process};
use crate::route::{Route, Routes, no_datagrams};
use crate::start::{self, StartError};
use crate::stream::{Class, Connector, Destination, OpenError, Stream};
use crate::tracked::StreamCounts;
use crate::watchdog::{self, PingError, RoundTrip};

/// Concurrent commands beside the agent: OpenSSH allows 10 sessions (`MaxSessions`).
const COMMANDS: usize = 8;

/// Whether an agent runs on the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentState {
    /// Streams use it, and it answers calls.
    Running {
        /// It has been asked to start the resident agent, which holds the lease.
        resident: bool,
    },
    /// Streams are plain SSH channels.
    Absent {
        /// The reason, human-readable.
        reason: String,
    },
}

/// Statistics of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statistics {
    /// Bytes written to streams.
    pub up: u64,
    /// Bytes read from streams.
    pub down: u64,
    /// Streams that are open now.
    pub open: u64,
    /// The last round trip of the watchdog, through SSH and the agent.
    pub round_trip: Option<Duration>,
}

/// Pinned SSH connections to one machine. Clones share the tunnel. It ends with the last of them,
/// by [`Tunnel::close`], or when the path is lost; it is not repaired: callers connect again.
#[derive(Clone)]
pub struct Tunnel(Arc<Inner>);

struct Inner {
    control: Arc<Connection>,
    routes: Routes,
    closed: Closed,
    tasks: TaskTracker,
    commands: Semaphore,
    host_keys: HostKeys,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.closed.set("the tunnel was dropped");
    }
}

impl std::fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tunnel").field("endpoint", &self.0.control.endpoint).finish_non_exhaustive()
    }
}

impl Tunnel {
    /// Makes one attempt: a login within 15 s, then the agent if one is planned. If the agent does
    /// not start, streams use plain SSH channels and [`Tunnel::agent`] has the reason.
    pub async fn connect(options: Options) -> Result<Tunnel, ConnectError> {
        Self::connect_within(options, LOGIN_TIMEOUT).await
    }

    /// Makes one attempt with a login within `limit`.
    pub async fn connect_within(options: Options, limit: Duration) -> Result<Tunnel, ConnectError> {
        let (closed, tasks) = (Closed::new(), TaskTracker::new());
        let unfinished = CloseOnDrop(Some(closed.clone()));
        let control = Arc::new(
            Connection::open_within(&options, closed.clone(), tasks.clone(), QUEUE, limit).await?,
        );
        let round_trip = Arc::new(RoundTrip::default());
        let route = match agent_route(&control, &options, &closed, &tasks, &round_trip).await {
            Ok(route) => route,
            Err(error) if closed.is_set() => {
                let reasons = format!("{}; {}", closed.message(), with_causes(&error));
                let source = Box::new(io::Error::other(reasons));
                return Err(ConnectError::Protocol {
                    endpoint: options.endpoint,
                    doing: "starting the agent",
                    source,
                });
            }
            Err(error) => {
                let reason = with_causes(&error);
                plain_route(&control, &options, &closed, &tasks, &round_trip, reason).await
            }
        };
        unfinished.keep();
        let Options { docker_socket, host_keys, .. } = options;
        let channels =
            PlainChannels { docker_socket, closed: closed.clone(), counts: Arc::default() };
        Ok(Tunnel(Arc::new(Inner {
            control,
            routes: Routes::new(route, channels, round_trip),
            closed,
            tasks,
            commands: Semaphore::new(COMMANDS),
            host_keys,
        })))
    }

    /// Opens a stream. With an agent it costs no round trip: the first read, or [`Stream::opened`],
    /// reports whether the destination is connected.
    pub async fn open(&self, to: Destination, class: Class) -> Result<Stream, OpenError> {
        let inner = &*self.0;
        tracing::debug!(?to, ?class, "a stream is opened");
        tokio::select! {
            opened = inner.routes.open(to, class) => opened,
            reason = inner.closed.wait() => Err(OpenError::Dead { reason }),
        }
    }

    /// Calls the agent. Takes as long as the call itself; ends when the path is lost.
    pub async fn call(&self, call: Call) -> Result<Reply, CallError> {
        match &self.0.routes.route {
            Route::Agent { session, .. } => session.call(&call).await,
            Route::Plain { reason, .. } => Err(CallError::NoAgent { reason: reason.clone() }),
        }
    }

    /// Runs a command in the login shell and collects its output, up to 16 MiB.
    pub async fn exec(&self, command: &str, stdin: &[u8]) -> Result<ExecOutput, ConnectError> {
        // The semaphore is never closed.
        let _permit = self.0.commands.acquire().await.ok();
        exec(&self.0.control, command, stdin).await
    }

    /// Starts a command in the login shell, with its input and output as streams.
    pub async fn start(&self, command: &str) -> Result<Process, ConnectError> {
        process::start(&self.0.control, command).await
    }

    /// Also accepts this host key on later connections, because the host is about to present it. No
    /// effect if the keys are in a file.
    pub fn trust_also(&self, key: Fingerprint) {
        if let HostKeys::Pinned(pins) = &self.0.host_keys {
            pins.add(key);
        }
    }

    /// Accepts only this host key on later connections. No effect if the keys are in a file.
    pub fn trust_only(&self, key: Fingerprint) {
        if let HostKeys::Pinned(pins) = &self.0.host_keys {
            pins.replace_with(key);
        }
    }

    /// Whether an agent runs on the machine.
    pub fn agent(&self) -> AgentState {
        match &self.0.routes.route {
            Route::Agent { resident, .. } => AgentState::Running { resident: *resident },
            Route::Plain { reason, .. } => AgentState::Absent { reason: reason.clone() },
        }
    }

    /// Why the path is lost, or `None`.
    pub fn is_dead(&self) -> Option<String> {
        self.0.closed.reason()
    }

    /// Resolves with the reason when the path is lost or the tunnel closed.
    pub async fn dead(&self) -> String {
        let closed = self.0.closed.clone();
        closed.wait().await
    }

    /// Bytes, open streams and round trip so far.
    pub fn statistics(&self) -> Statistics {
        let counts = &self.0.routes.channels.counts;
        Statistics {
            up: counts.up.load(Ordering::Relaxed),
            down: counts.down.load(Ordering::Relaxed),
            open: counts.open.load(Ordering::Relaxed),
            round_trip: self.0.routes.round_trip.last(),
        }
    }

    /// The counts of its streams, for as long as the caller wants.
    pub fn counts(&self) -> StreamCounts {
        StreamCounts(self.0.routes.channels.counts.clone())
    }

    /// Ends everything: streams fail, connections are closed, and no task is left when it returns.
    pub async fn close(&self) {
        self.0.control.close("the tunnel was closed").await;
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

impl Connector for Tunnel {
    fn open(&self, to: Destination, class: Class) -> BoxFuture<'_, Result<Stream, OpenError>> {
        Box::pin(Tunnel::open(self, to, class))
    }

    fn without_datagrams(&self) -> Option<String> {
        match &self.0.routes.route {
            Route::Agent { .. } => None,
            Route::Plain { reason, .. } => Some(no_datagrams(reason)),
        }
    }
}

async fn agent_route(
    control: &Arc<Connection>,
    options: &Options,
    closed: &Closed,
    tasks: &TaskTracker,
    round_trip: &Arc<RoundTrip>,
) -> Result<Route, StartError> {
    let plan = options.agent.as_ref().ok_or(StartError::NotPlanned)?;
    let binaries = start::binaries(&plan.binaries).await?;
    let channel = start::start(control, plan, &options.docker_socket, &binaries).await?;
    let session = AgentSession::over_channel(control.clone(), channel, tasks, round_trip.clone());
    let session = Arc::new(session);
    let bulk = Bulk::start(options.clone(), session.clone(), round_trip.clone(), tasks);
    let direct = Direct::start(options, closed, tasks);
    Ok(Route::Agent { session, direct, bulk, resident: plan.resident })
}

async fn plain_route(
    control: &Arc<Connection>,
    options: &Options,
    closed: &Closed,
    tasks: &TaskTracker,
    round_trip: &Arc<RoundTrip>,
    reason: String,
) -> Route {
    let pinged = Arc::downgrade(control);
    // Before the first request to the host: a host that vanishes right after its login would be
    // waited for without end.
    tasks.spawn(watchdog::watch(
        closed.clone(),
        vec![control.wire.clone()],
        round_trip.clone(),
        move || {
            let pinged = pinged.clone();
            async move {
                match pinged.upgrade() {
                    Some(connection) => connection.ping().await.map_err(PingError::Session),
                    None => Err(PingError::Ended(PathEnded("the tunnel was dropped".to_owned()))),
                }
            }
        },
    ));
    let keeper = control.keep_awake().await;
    Route::Plain {
        pool: Pool::for_all(options.clone(), closed.clone(), tasks),
        reason,
        _keeper: keeper,
    }
}

/// An attempt that was given up leaves nothing behind.
struct CloseOnDrop(Option<Closed>);

impl CloseOnDrop {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        if let Some(closed) = self.0.take() {
            closed.set("the attempt was given up");
        }
    }
}
