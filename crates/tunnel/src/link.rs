//! A session of the agent, by one channel or by a bundle of lanes, and what is asked through it.

use std::io;
use std::sync::Arc;

use agent_proto::{Call, Opened, Opening, Reply};
use serde::de::DeserializeOwned;
use striping::Bundle;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::channel::ChannelIo;
use crate::connection::Connection;
use crate::death::Death;
use crate::mux::{Mux, MuxStream};
use crate::promised::Promised;
use crate::watchdog::{self, RoundTrip};
use crate::{CallError, OpenError};

/// A connection, and a command on it that does nothing where no other command keeps sshd from
/// delaying small packets.
pub(crate) type Awake = (Arc<Connection>, Option<ChannelIo>);

pub(crate) struct Link {
    connections: Vec<Awake>,
    death: Death,
    mux: Arc<Mux>,
    held_back: Arc<Semaphore>,
}

/// Streams whose request to open may wait for the first bytes. Until it leaves, yamux counts them
/// as not acknowledged, and opens nothing more, not even for a ping, when those are 256.
const HELD_BACK: usize = 64;

impl Link {
    /// Takes over a session that has said that it is ready, and watches it.
    pub(crate) fn of_session(
        connection: Arc<Connection>,
        channel: ChannelIo,
        tasks: &TaskTracker,
        last: Arc<RoundTrip>,
    ) -> Self {
        let death = connection.death.clone();
        Self::start(channel, agent_proto::SPLIT, vec![(connection, None)], death, tasks, last)
    }

    /// Takes over a bundle whose lanes go by these connections, which end with `death`.
    pub(crate) fn of_lanes(
        bundle: Bundle<ChannelIo>,
        connections: Vec<Awake>,
        death: Death,
        tasks: &TaskTracker,
    ) -> Self {
        Self::start(bundle, agent_proto::LANES_SPLIT, connections, death, tasks, Arc::default())
    }

    fn start(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        split: usize,
        connections: Vec<Awake>,
        death: Death,
        tasks: &TaskTracker,
        last: Arc<RoundTrip>,
    ) -> Self {
        let mux = Arc::new(Mux::start(stream, split, death.clone(), tasks));
        let wires = connections.iter().map(|(connection, _)| connection.wire.clone()).collect();
        let pinged = mux.clone();
        tasks.spawn(watchdog::watch(death.clone(), wires, last, move || {
            let mux = pinged.clone();
            async move {
                match ask(&mux, &Call::Ping).await {
                    // Whatever it answers, it lives.
                    Ok(_) | Err(CallError::Malformed { .. }) => Ok(()),
                    Err(CallError::Dead { reason } | CallError::NoAgent { reason }) => Err(reason),
                }
            }
        }));
        Self { connections, death, mux, held_back: Arc::new(Semaphore::new(HELD_BACK)) }
    }

    pub(crate) fn death(&self) -> &Death {
        &self.death
    }

    /// Says goodbye on every connection.
    pub(crate) async fn close(&self, reason: &str) {
        for (connection, _) in &self.connections {
            connection.close(reason).await;
        }
    }

    /// A stream to `to`. What the agent thinks of it is told by the first read.
    pub(crate) async fn open(&self, to: &Opening) -> Result<Promised, OpenError> {
        let opening = agent_proto::encode(to)
            .map_err(|error| OpenError::Refused { message: error.to_string() })?;
        let stream = self.mux.stream().await.map_err(|reason| OpenError::Dead { reason })?;
        let held_back = self.held_back.clone().try_acquire_owned().ok();
        Promised::new(stream, opening, held_back).await.map_err(|error| {
            match self.death().reason() {
                Some(reason) => OpenError::Dead { reason },
                None => OpenError::Refused { message: error.to_string() },
            }
        })
    }

    pub(crate) async fn call(&self, call: &Call) -> Result<Reply, CallError> {
        tokio::select! {
            reply = ask(&self.mux, call) => match reply {
                Err(_) if self.death().is_declared() => Err(CallError::Dead { reason: self.death().epitaph() }),
                reply => reply,
            },
            reason = self.death().wait() => Err(CallError::Dead { reason }),
        }
    }
}

async fn ask(mux: &Mux, call: &Call) -> Result<Reply, CallError> {
    let mut stream = mux.call().await.map_err(|reason| CallError::Dead { reason })?;
    let malformed = |error: io::Error| CallError::Malformed { message: error.to_string() };
    send(&mut stream, &Opening::Call(call.clone())).await.map_err(malformed)?;
    match receive::<Opened>(&mut stream).await.map_err(malformed)? {
        Opened::Ready => receive::<Reply>(&mut stream).await.map_err(malformed),
        Opened::Refused(refusal) => Ok(Reply::Failed { message: refusal.message }),
    }
}

async fn send(stream: &mut MuxStream, opening: &Opening) -> io::Result<()> {
    let frame = agent_proto::encode(opening).map_err(io::Error::other)?;
    stream.write_all(&frame).await?;
    stream.flush().await
}

/// One frame and not a byte more: what follows belongs to whoever gets the stream.
async fn receive<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<T> {
    let mut frame = Vec::new();
    loop {
        let (heard, missing) =
            (frame.len(), agent_proto::missing(&frame).map_err(io::Error::other)?);
        if missing == 0 {
            break;
        }
        frame.resize(heard + missing, 0);
        stream.read_exact(&mut frame[heard..]).await?;
    }
    match agent_proto::decode(&frame).map_err(io::Error::other)? {
        Some((value, _)) => Ok(value),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
