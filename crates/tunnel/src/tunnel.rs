//! The tunnel: one login that decides by which way streams go, and everything that ends with it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use agent_proto::{Call, Reply};
use futures::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::bulk::Bulk;
use crate::connection::{ATTEMPT, Connection};
use crate::death::Death;
use crate::exec::{ExecOutput, exec};
use crate::link::Link;
use crate::pool::{FOR_QUESTIONS, Pool, keep_awake};
use crate::process;
use crate::start::{self, Started};
use crate::watchdog::{self, RoundTrip};
use crate::ways::{Way, Ways, no_datagrams};
use crate::{
    CallError, Class, ConnectError, Connector, Destination, Fingerprint, HostKeys, OpenError,
    Options, Process, Stream,
};

/// Packets of 32 KiB that a channel queues before the session waits. Channels of these connections
/// are always read.
pub(crate) const QUEUE: usize = 64;
/// Commands at once beside the agent: OpenSSH allows 10 sessions (`MaxSessions`).
const COMMANDS: usize = 8;

/// Whether an agent runs on the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentState {
    /// Streams go through it, and it answers calls.
    Running {
        /// It was asked to start the resident agent, which holds the lease.
        resident: bool,
    },
    /// Streams are plain SSH channels.
    Absent {
        /// Why, in words for a person.
        reason: String,
    },
}

/// What a tunnel did so far.
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

/// Pinned SSH connections to one machine. Clones are the same tunnel; it ends with the last of
/// them, by [`Tunnel::close`], or when the path is lost, and is not mended: who wants another
/// connects again.
#[derive(Clone)]
pub struct Tunnel(Arc<Inner>);

struct Inner {
    control: Arc<Connection>,
    ways: Ways,
    death: Death,
    tasks: TaskTracker,
    commands: Semaphore,
    host_keys: HostKeys,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.death.declare("the tunnel was dropped");
    }
}

impl std::fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tunnel").field("endpoint", &self.0.control.endpoint).finish_non_exhaustive()
    }
}

impl Tunnel {
    /// One attempt: a login within 15 s, then the agent if one is planned. Where the agent does not
    /// come up, streams go by plain SSH channels and [`Tunnel::agent`] says why.
    pub async fn connect(options: Options) -> Result<Tunnel, ConnectError> {
        Self::connect_within(options, ATTEMPT).await
    }

    /// The same, with a login within `limit`.
    pub async fn connect_within(options: Options, limit: Duration) -> Result<Tunnel, ConnectError> {
        let (death, tasks) = (Death::new(), TaskTracker::new());
        let unfinished = DeclareOnDrop(Some(death.clone()));
        let control = Arc::new(
            Connection::open_within(&options, death.clone(), tasks.clone(), QUEUE, limit).await?,
        );
        let round_trip = Arc::new(RoundTrip::default());
        let way = match agent(&control, &options, &death, &tasks, &round_trip).await {
            Ok(way) => way,
            Err(reason) if death.is_declared() => {
                let source = Box::new(io::Error::other(format!("{}; {reason}", death.epitaph())));
                return Err(ConnectError::Protocol {
                    endpoint: options.endpoint,
                    doing: "starting the agent",
                    source,
                });
            }
            Err(reason) => direct(&control, &options, &death, &tasks, &round_trip, reason).await,
        };
        unfinished.keep();
        let Options { docker_socket, host_keys, .. } = options;
        let ways = Ways {
            way,
            death: death.clone(),
            counts: Arc::default(),
            round_trip,
            docker_socket,
            few: Arc::new(Semaphore::new(FOR_QUESTIONS)),
        };
        Ok(Tunnel(Arc::new(Inner {
            control,
            ways,
            death,
            tasks,
            commands: Semaphore::new(COMMANDS),
            host_keys,
        })))
    }

    /// A stream. With an agent it costs no round trip: whether it leads there is told by the first
    /// read, or by [`Stream::opened`].
    pub async fn open(&self, to: Destination, class: Class) -> Result<Stream, OpenError> {
        let inner = &*self.0;
        tokio::select! {
            opened = inner.ways.open(to, class) => opened,
            reason = inner.death.wait() => Err(OpenError::Dead { reason }),
        }
    }

    /// Asks the agent. Takes as long as the call itself; ends when the path is lost.
    pub async fn call(&self, call: Call) -> Result<Reply, CallError> {
        match &self.0.ways.way {
            Way::Agent { link, .. } => link.call(&call).await,
            Way::Direct { reason, .. } => Err(CallError::NoAgent { reason: reason.clone() }),
        }
    }

    /// Runs a command by the login shell and collects its output, up to 16 MiB.
    pub async fn exec(&self, command: &str, stdin: &[u8]) -> Result<ExecOutput, ConnectError> {
        // The semaphore is never closed.
        let _permit = self.0.commands.acquire().await.ok();
        exec(&self.0.control, command, stdin).await
    }

    /// Starts a command by the login shell, with its input and output as streams.
    pub async fn start(&self, command: &str) -> Result<Process, ConnectError> {
        process::start(&self.0.control, command).await
    }

    /// The host is going to present this key: connections that are made from now on accept it, too.
    /// Without effect where the keys stand in a file.
    pub fn trust_also(&self, key: Fingerprint) {
        if let HostKeys::Pinned(pins) = &self.0.host_keys {
            pins.add(key);
        }
    }

    /// The host presents this key from now on, and no other is accepted any more. Without effect
    /// where the keys stand in a file.
    pub fn trust_only(&self, key: Fingerprint) {
        if let HostKeys::Pinned(pins) = &self.0.host_keys {
            pins.be_only(key);
        }
    }

    /// Whether an agent runs on the machine.
    pub fn agent(&self) -> AgentState {
        match &self.0.ways.way {
            Way::Agent { resident, .. } => AgentState::Running { resident: *resident },
            Way::Direct { reason, .. } => AgentState::Absent { reason: reason.clone() },
        }
    }

    /// Why the path is lost, if it is.
    pub fn is_dead(&self) -> Option<String> {
        self.0.death.reason()
    }

    /// Resolves with the reason when the path is lost or the tunnel closed.
    pub async fn dead(&self) -> String {
        let death = self.0.death.clone();
        death.wait().await
    }

    /// What went through it so far.
    pub fn statistics(&self) -> Statistics {
        let counts = &self.0.ways.counts;
        Statistics {
            up: counts.up.load(Ordering::Relaxed),
            down: counts.down.load(Ordering::Relaxed),
            open: counts.open.load(Ordering::Relaxed),
            round_trip: self.0.ways.round_trip.last(),
        }
    }

    /// Ends everything: streams fail, connections are closed, no task is left when it returns.
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
        match &self.0.ways.way {
            Way::Agent { .. } => None,
            Way::Direct { reason, .. } => Some(no_datagrams(reason)),
        }
    }
}

async fn agent(
    control: &Arc<Connection>,
    options: &Options,
    death: &Death,
    tasks: &TaskTracker,
    round_trip: &Arc<RoundTrip>,
) -> Result<Way, String> {
    let plan = options.agent.as_ref().ok_or("none is planned")?;
    let binaries = start::binaries(&plan.binaries).await?;
    match start::start(control, plan, &options.docker_socket, &binaries).await? {
        Started::Running(channel) => {
            let link =
                Arc::new(Link::of_session(control.clone(), channel, tasks, round_trip.clone()));
            let bulk = Bulk::start(options.clone(), link.clone(), round_trip.clone(), tasks);
            let plain = Pool::for_bulk(options.clone(), death.clone(), tasks);
            let questions = Pool::for_questions(options.clone(), death.clone(), tasks);
            Ok(Way::Agent { link, plain, questions, bulk, resident: plan.resident })
        }
        Started::Unsuitable(reason) => Err(reason),
    }
}

async fn direct(
    control: &Arc<Connection>,
    options: &Options,
    death: &Death,
    tasks: &TaskTracker,
    round_trip: &Arc<RoundTrip>,
    reason: String,
) -> Way {
    let pinged = Arc::downgrade(control);
    // Before anything is asked of the host: one that vanishes right behind its login would be
    // waited for without end.
    tasks.spawn(watchdog::watch(
        death.clone(),
        vec![control.wire.clone()],
        round_trip.clone(),
        move || {
            let pinged = pinged.clone();
            async move {
                match pinged.upgrade() {
                    Some(connection) => connection.ping().await,
                    None => Err("the tunnel was dropped".into()),
                }
            }
        },
    ));
    let keeper = keep_awake(control).await;
    Way::Direct {
        pool: Pool::for_all(options.clone(), death.clone(), tasks),
        reason,
        _keeper: keeper,
    }
}

/// An attempt that was given up leaves nothing behind.
struct DeclareOnDrop(Option<Death>);

impl DeclareOnDrop {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for DeclareOnDrop {
    fn drop(&mut self) {
        if let Some(death) = self.0.take() {
            death.declare("the attempt was given up");
        }
    }
}
