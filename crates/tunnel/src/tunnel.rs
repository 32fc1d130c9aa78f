//! The tunnel: one login that decides by which way streams go, and everything that ends with it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use agent_proto::{Call, Opening, Reply};
use futures::future::BoxFuture;
use lanes::Sealed;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::bulk::Bulk;
use crate::channel::ChannelIo;
use crate::connection::{ATTEMPT, ChannelError, Connection};
use crate::death::Death;
use crate::exec::{ExecOutput, exec};
use crate::link::Link;
use crate::pool::{Direct, Lease, Pool, Soon, keep_awake};
use crate::process;
use crate::promised::Promised;
use crate::start::{self, Started};
use crate::tracked::{Counts, Tracked};
use crate::watchdog::{self, RoundTrip};
use crate::{CallError, Class, ConnectError, Connector, Destination, Fingerprint, HostKeys, OpenError, Options, Process, Stream};

/// Packets of 32 KiB that a channel queues before the session waits. Channels of these connections are always read.
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

/// Pinned SSH connections to one machine. Clones are the same tunnel; it ends with the last of them, by [`Tunnel::close`], or when the path
/// is lost, and is not mended: who wants another connects again.
#[derive(Clone)]
pub struct Tunnel(Arc<Inner>);

struct Inner {
    control: Arc<Connection>,
    way: Way,
    death: Death,
    tasks: TaskTracker,
    counts: Arc<Counts>,
    round_trip: Arc<RoundTrip>,
    commands: Semaphore,
    docker_socket: String,
    host_keys: HostKeys,
}

enum Way {
    Agent { link: Arc<Link>, plain: Pool, questions: Pool, bulk: Bulk, resident: bool },
    Direct { pool: Pool, reason: String, _keeper: Option<ChannelIo> },
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
    /// One attempt: a login within 15 s, then the agent if one is planned. Where the agent does not come up, streams go by plain SSH channels
    /// and [`Tunnel::agent`] says why.
    pub async fn connect(options: Options) -> Result<Tunnel, ConnectError> {
        Self::connect_within(options, ATTEMPT).await
    }

    /// The same, with a login within `limit`.
    pub async fn connect_within(options: Options, limit: Duration) -> Result<Tunnel, ConnectError> {
        let (death, tasks) = (Death::new(), TaskTracker::new());
        let unfinished = DeclareOnDrop(Some(death.clone()));
        let control = Arc::new(Connection::open_within(&options, death.clone(), tasks.clone(), QUEUE, limit).await?);
        let round_trip = Arc::new(RoundTrip::default());
        let way = match agent(&control, &options, &death, &tasks, &round_trip).await {
            Ok(way) => way,
            Err(reason) if death.is_declared() => {
                let source = Box::new(io::Error::other(format!("{}; {reason}", death.epitaph())));
                return Err(ConnectError::Protocol { endpoint: options.endpoint, doing: "starting the agent", source });
            }
            Err(reason) => direct(&control, &options, &death, &tasks, &round_trip, reason).await,
        };
        unfinished.keep();
        let (counts, commands) = (Arc::default(), Semaphore::new(COMMANDS));
        let Options { docker_socket, host_keys, .. } = options;
        Ok(Tunnel(Arc::new(Inner { control, way, death, tasks, counts, round_trip, commands, docker_socket, host_keys })))
    }

    /// A stream. With an agent it costs no round trip: whether it leads there is told by the first read, or by [`Stream::opened`].
    pub async fn open(&self, to: Destination, class: Class) -> Result<Stream, OpenError> {
        let inner = &*self.0;
        tokio::select! {
            opened = inner.open(to, class) => opened,
            reason = inner.death.wait() => Err(OpenError::Dead { reason }),
        }
    }

    /// Asks the agent. Takes as long as the call itself; ends when the path is lost.
    pub async fn call(&self, call: Call) -> Result<Reply, CallError> {
        match &self.0.way {
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

    /// The host is going to present this key: connections that are made from now on accept it, too. Without effect where the keys stand in a file.
    pub fn trust_also(&self, key: Fingerprint) {
        if let HostKeys::Pinned(pins) = &self.0.host_keys {
            pins.add(key);
        }
    }

    /// The host presents this key from now on, and no other is accepted any more. Without effect where the keys stand in a file.
    pub fn trust_only(&self, key: Fingerprint) {
        if let HostKeys::Pinned(pins) = &self.0.host_keys {
            pins.be_only(key);
        }
    }

    /// Whether an agent runs on the machine.
    pub fn agent(&self) -> AgentState {
        match &self.0.way {
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
        let counts = &self.0.counts;
        Statistics {
            up: counts.up.load(Ordering::Relaxed),
            down: counts.down.load(Ordering::Relaxed),
            open: counts.open.load(Ordering::Relaxed),
            round_trip: self.0.round_trip.last(),
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
        match &self.0.way {
            Way::Agent { .. } => None,
            Way::Direct { reason, .. } => Some(no_datagrams(reason)),
        }
    }
}

impl Inner {
    async fn open(&self, to: Destination, class: Class) -> Result<Stream, OpenError> {
        match &self.way {
            Way::Direct { reason, .. } if matches!(to, Destination::Udp { .. }) => {
                Err(OpenError::Refused { message: no_datagrams(reason) })
            }
            Way::Agent { link, plain, .. } if class == Class::Bulk && self.is_near() => {
                let near = match &to {
                    // A reset of a TCP port reaches us through the agent only: sshd makes an orderly end of it.
                    Destination::Tcp { host, port } => self.aside(link, plain, host, *port).await,
                    _ => self.plain(plain.lease(class).await, &to).await,
                };
                match near {
                    Ok(stream) => Ok(stream),
                    // The host may allow no channels of this kind; the agent knows better why something cannot be reached.
                    Err(_) => self.linked(link.clone(), to).await,
                }
            }
            Way::Agent { link, questions, .. } if class == Class::Question && self.is_near() => {
                let soon = match questions.lease_at_once().await {
                    Ok(lease) => match self.plain(Ok(lease), &to).await {
                        Ok(stream) => return Ok(stream),
                        Err(_) => false,
                    },
                    Err(Soon(soon)) => soon,
                };
                let stream = self.linked(link.clone(), to).await?;
                Ok(if soon { stream.makeshift() } else { stream })
            }
            Way::Agent { link, bulk, .. } => {
                let second = if class == Class::Bulk { bulk.link().await } else { None };
                self.linked(second.unwrap_or_else(|| link.clone()), to).await
            }
            Way::Direct { pool, .. } => self.plain(pool.lease(class).await, &to).await,
        }
    }

    /// One window of sshd holds more than is on its way, so that a channel alone fills the path; without the agent in between it costs the least.
    fn is_near(&self) -> bool {
        self.round_trip.is_near()
    }

    async fn linked(&self, link: Arc<Link>, to: Destination) -> Result<Stream, OpenError> {
        let opening = match to {
            Destination::Docker => Opening::Docker,
            Destination::Socket(path) => Opening::Socket { path },
            Destination::Tcp { host, port } => Opening::Tcp { host, port },
            Destination::Udp { host, port } => Opening::Udp { host, port },
        };
        let stream = link.open(&opening).await?;
        let death = link.death().clone();
        Ok(Stream::new(Tracked::new(Linked { stream, _link: link }, death, self.counts.clone())))
    }

    async fn plain(&self, lease: Result<Lease, String>, to: &Destination) -> Result<Stream, OpenError> {
        let lease = lease.map_err(|message| self.not_made(message))?;
        let channel = self.channel(&lease.connection, to).await?;
        let death = lease.connection.death.clone();
        Ok(Stream::new(Tracked::new(Direct { channel, _lease: lease }, death, self.counts.clone())))
    }

    /// A TCP port through the agent, by a channel of its own rather than as one of many streams.
    async fn aside(&self, link: &Link, pool: &Pool, host: &str, port: u16) -> Result<Stream, OpenError> {
        let call = Call::Aside { host: host.to_owned(), port };
        let path = match link.call(&call).await {
            Ok(Reply::Lanes { path }) => path,
            Ok(Reply::Refused(refusal)) => return Err(refusal.into()),
            Ok(Reply::Failed { message }) => return Err(OpenError::Refused { message }),
            Ok(_) => return Err(OpenError::Refused { message: "the agent does not know channels aside".into() }),
            Err(error) => return Err(OpenError::Refused { message: error.to_string() }),
        };
        let lease = pool.lease(Class::Bulk).await.map_err(|message| self.not_made(message))?;
        let channel = self.channel(&lease.connection, &Destination::Socket(path)).await?;
        let death = lease.connection.death.clone();
        Ok(Stream::new(Tracked::new(Sealed::new(Direct { channel, _lease: lease }), death, self.counts.clone())))
    }

    fn not_made(&self, message: String) -> OpenError {
        match self.death.reason() {
            Some(reason) => OpenError::Dead { reason },
            None => OpenError::Refused { message },
        }
    }

    async fn channel(&self, connection: &Arc<Connection>, to: &Destination) -> Result<ChannelIo, OpenError> {
        let opened = match to {
            Destination::Docker => connection.streamlocal(&self.docker_socket).await,
            Destination::Socket(path) => connection.streamlocal(path).await,
            Destination::Tcp { host, port } => connection.tcpip(host, *port).await,
            Destination::Udp { .. } => Err(ChannelError::Refused("SSH carries no datagrams".to_owned())),
        };
        opened.map_err(|error| match (error, to) {
            (ChannelError::Dead(reason), _) => OpenError::Dead { reason },
            // sshd does not say whether the socket is missing or nobody listens; dockerd that has not started is the usual case.
            (ChannelError::Refused(reason), Destination::Docker) => {
                OpenError::NotFound { message: format!("{} cannot be reached: {reason}", self.docker_socket) }
            }
            (ChannelError::Refused(reason), Destination::Socket(path)) => {
                OpenError::NotFound { message: format!("{path} cannot be reached: {reason}") }
            }
            (ChannelError::Refused(reason), Destination::Tcp { host, port } | Destination::Udp { host, port }) => {
                OpenError::Refused { message: format!("{host}:{port} cannot be reached: {reason}") }
            }
        })
    }
}

fn no_datagrams(reason: &str) -> String {
    format!("UDP needs the agent, and none runs on the machine: {reason}")
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
            let link = Arc::new(Link::of_session(control.clone(), channel, tasks, round_trip.clone()));
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
    // Before anything is asked of the host: one that vanishes right behind its login would be waited for without end.
    tasks.spawn(watchdog::watch(death.clone(), vec![control.wire.clone()], round_trip.clone(), move || {
        let pinged = pinged.clone();
        async move {
            match pinged.upgrade() {
                Some(connection) => connection.ping().await,
                None => Err("the tunnel was dropped".into()),
            }
        }
    }));
    let keeper = keep_awake(control).await;
    Way::Direct { pool: Pool::for_all(options.clone(), death.clone(), tasks), reason, _keeper: keeper }
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

/// A stream that keeps its link in use.
struct Linked {
    stream: Promised,
    _link: Arc<Link>,
}

impl AsyncRead for Linked {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Linked {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
