//! A session of the agent, over one channel or a bundle of lanes, and the calls through it.

use std::io;
use std::sync::Arc;

use agent_proto::io::{receive, send};
use agent_proto::{Call, Opened, Opening, Reply};
use striping::Bundle;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::channel::ChannelIo;
use crate::closed::{Closed, PathEnded};
use crate::connection::Connection;
use crate::error::CallError;
use crate::lazy_open::LazyOpen;
use crate::mux::Mux;
use crate::stream::OpenError;
use crate::watchdog::{self, PingError, RoundTrip};

/// A connection and, if it has no other command, the one that keeps it awake
/// ([`Connection::keep_awake`]).
pub(crate) type Awake = (Arc<Connection>, Option<ChannelIo>);

pub(crate) struct AgentSession {
    connections: Vec<Awake>,
    closed: Closed,
    mux: Arc<Mux>,
    held_back: Arc<Semaphore>,
}

/// How many requests to open may wait for the stream's first bytes. Until a request is sent, yamux
/// counts its stream as not acknowledged, and while 256 are, opens nothing more, not even for a
/// ping.
const HELD_BACK: usize = 64;

impl AgentSession {
    /// Takes over the channel of an agent that is ready, and starts its watchdog.
    pub(crate) fn over_channel(
        connection: Arc<Connection>,
        channel: ChannelIo,
        tasks: &TaskTracker,
        last: Arc<RoundTrip>,
    ) -> Self {
        let closed = connection.closed.clone();
        Self::start(channel, agent_proto::SPLIT, vec![(connection, None)], closed, tasks, last)
    }

    /// Takes over a bundle whose lanes use these connections, which end with `closed`.
    pub(crate) fn over_lanes(
        bundle: Bundle<ChannelIo>,
        connections: Vec<Awake>,
        closed: Closed,
        tasks: &TaskTracker,
    ) -> Self {
        Self::start(bundle, agent_proto::LANES_SPLIT, connections, closed, tasks, Arc::default())
    }

    fn start(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        split: usize,
        connections: Vec<Awake>,
        closed: Closed,
        tasks: &TaskTracker,
        last: Arc<RoundTrip>,
    ) -> Self {
        let mux = Arc::new(Mux::start(stream, split, closed.clone(), tasks));
        let wires = connections.iter().map(|(connection, _)| connection.wire.clone()).collect();
        let pinged = mux.clone();
        tasks.spawn(watchdog::watch(closed.clone(), wires, last, move || {
            let mux = pinged.clone();
            async move {
                match ask(&mux, &Call::Ping).await {
                    // Any answer shows that it is alive.
                    Ok(_) | Err(CallError::Malformed { .. }) => Ok(()),
                    Err(CallError::Dead { reason } | CallError::NoAgent { reason }) => {
                        Err(PingError::Ended(PathEnded(reason)))
                    }
                }
            }
        }));
        Self { connections, closed, mux, held_back: Arc::new(Semaphore::new(HELD_BACK)) }
    }

    pub(crate) fn closed(&self) -> &Closed {
        &self.closed
    }

    /// Closes every connection.
    pub(crate) async fn close(&self, reason: &str) {
        for (connection, _) in &self.connections {
            connection.close(reason).await;
        }
    }

    /// A stream to `to`. The agent's refusal is the error of the stream's first read.
    pub(crate) async fn open(&self, to: &Opening) -> Result<LazyOpen, OpenError> {
        let opening = agent_proto::encode(to)
            .map_err(|error| OpenError::Refused { message: error.to_string() })?;
        let stream = self.mux.stream().await?;
        let held_back = self.held_back.clone().try_acquire_owned().ok();
        LazyOpen::new(stream, opening, held_back).await.map_err(|error| {
            match self.closed().reason() {
                Some(reason) => OpenError::Dead { reason },
                None => OpenError::Refused { message: error.to_string() },
            }
        })
    }

    pub(crate) async fn call(&self, call: &Call) -> Result<Reply, CallError> {
        tokio::select! {
            reply = ask(&self.mux, call) => match reply {
                Err(_) if self.closed().is_set() => {
                    Err(CallError::Dead { reason: self.closed().message() })
                }
                reply => reply,
            },
            reason = self.closed().wait() => Err(CallError::Dead { reason }),
        }
    }
}

async fn ask(mux: &Mux, call: &Call) -> Result<Reply, CallError> {
    let mut stream = mux.call().await?;
    let malformed = |error: io::Error| CallError::Malformed { message: error.to_string() };
    send(&mut stream, &Opening::Call(call.clone())).await.map_err(malformed)?;
    match receive::<Opened>(&mut stream).await.map_err(malformed)? {
        Opened::Ready => receive::<Reply>(&mut stream).await.map_err(malformed),
        Opened::Refused(refusal) => Ok(Reply::Failed { message: refusal.message }),
    }
}
