//! One SSH connection with a session of the agent in it, and what is asked through that session.

use std::io;
use std::sync::Arc;

use agent_proto::{Call, MAX_FRAME, Opened, Opening, RefusalKind, Reply};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::task::TaskTracker;

use crate::channel::ChannelIo;
use crate::connection::Connection;
use crate::death::Death;
use crate::mux::{Mux, MuxStream};
use crate::watchdog::{self, RoundTrip};
use crate::{CallError, OpenError};

pub(crate) struct Link {
    pub(crate) connection: Arc<Connection>,
    mux: Arc<Mux>,
}

impl Link {
    /// Takes over a session that has said that it is ready, and watches it.
    pub(crate) fn new(connection: Arc<Connection>, channel: ChannelIo, tasks: &TaskTracker, last: Arc<RoundTrip>) -> Self {
        let death = connection.death.clone();
        let mux = Arc::new(Mux::start(channel, death.clone(), tasks));
        let wire = connection.wire.clone();
        let pinged = mux.clone();
        tasks.spawn(watchdog::watch(death, wire, last, move || {
            let mux = pinged.clone();
            async move {
                match ask(&mux, &Call::Ping).await {
                    // Whatever it answers, it lives.
                    Ok(_) | Err(CallError::Malformed { .. }) => Ok(()),
                    Err(CallError::Dead { reason } | CallError::NoAgent { reason }) => Err(reason),
                }
            }
        }));
        Self { connection, mux }
    }

    pub(crate) fn death(&self) -> &Death {
        &self.connection.death
    }

    /// A stream to `to`, once the agent says that it leads there.
    pub(crate) async fn open(&self, to: &Opening) -> Result<MuxStream, OpenError> {
        let opening = async {
            let mut stream = self.mux.stream().await.map_err(io::Error::other)?;
            send(&mut stream, to).await?;
            let opened = receive::<Opened>(&mut stream).await?;
            Ok::<_, io::Error>((stream, opened))
        };
        let opened = tokio::select! {
            opened = opening => opened,
            reason = self.death().wait() => return Err(OpenError::Dead { reason }),
        };
        match opened {
            Ok((stream, Opened::Ready)) => Ok(stream),
            Ok((_, Opened::Refused(refusal))) => Err(match refusal.kind {
                RefusalKind::NotFound => OpenError::NotFound { message: refusal.message },
                RefusalKind::ConnectionRefused | RefusalKind::Other => OpenError::Refused { message: refusal.message },
            }),
            Err(_) if self.death().is_declared() => Err(OpenError::Dead { reason: self.death().epitaph() }),
            Err(error) => Err(OpenError::Refused { message: format!("the agent gave up the stream: {error}") }),
        }
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
    let length = stream.read_u32().await?;
    if length as usize > MAX_FRAME {
        return Err(io::Error::other(agent_proto::FrameError::TooLong(length as usize)));
    }
    let mut frame = length.to_be_bytes().to_vec();
    frame.resize(4 + length as usize, 0);
    stream.read_exact(&mut frame[4..]).await?;
    match agent_proto::decode(&frame).map_err(io::Error::other)? {
        Some((value, _)) => Ok(value),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
