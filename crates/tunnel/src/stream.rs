//! A stream to a machine, and the trait of what opens one.
//!
//! Everything above the tunnel uses a [`Connector`] and reads and writes a [`Stream`]; neither
//! shows which route the bytes take.

use std::any::Any;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use crate::closed::PathEnded;

/// The destination of a stream, as seen from the machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Destination {
    /// The Docker socket.
    Docker,
    /// Another Unix socket, by its path.
    Socket(String),
    /// A TCP port.
    Tcp {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A UDP port. The stream carries datagrams ([`crate::datagram`]) and needs the agent, because
    /// SSH does not forward datagrams.
    Udp {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
    },
}

/// What a stream is for, so that big transfers do not delay interactive streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// A user waits for each byte.
    Interactive,
    /// Interactive and short: a question whose answer is read at once. Over a short path it may
    /// have a connection of its own.
    Question,
    /// Many bytes; throughput counts.
    Bulk,
}

/// Why a stream could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OpenError {
    /// The machine refused.
    #[error("{message}")]
    Refused {
        /// The machine's message.
        message: String,
    },
    /// The destination does not exist.
    #[error("{message}")]
    NotFound {
        /// The machine's message.
        message: String,
    },
    /// There is no machine, and none could be created.
    #[error("{0}")]
    NoMachine(Box<api::Error>),
    /// The path to the machine is lost.
    #[error("the connection to the machine is lost: {reason}")]
    Dead {
        /// What was observed.
        reason: String,
    },
}

impl OpenError {
    /// Finds the refusal in the error of a stream's first read, anywhere in the chain of causes.
    pub fn of<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(refusal) = error.downcast_ref::<Self>() {
                return Some(refusal);
            }
            // An io::Error does not list its inner error in the chain.
            let carried = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            next = match carried {
                Some(carried) => Some(carried),
                None => error.source(),
            };
        }
        None
    }
}

impl From<PathEnded> for OpenError {
    fn from(PathEnded(reason): PathEnded) -> Self {
        OpenError::Dead { reason }
    }
}

/// Opens streams to a machine.
pub trait Connector: Send + Sync + 'static {
    /// Opens a stream, ready for the first write. Whether the destination is connected may be known
    /// only with the first read ([`OpenError::of`]). It may take as long as creating a machine;
    /// dropping the future cancels it.
    fn open(&self, to: Destination, class: Class) -> BoxFuture<'_, Result<Stream, OpenError>>;

    /// Why [`Destination::Udp`] cannot be opened on the present path, human-readable; `None` if it
    /// can.
    fn without_datagrams(&self) -> Option<String> {
        None
    }
}

/// Short buffers up to this length, in bytes, are sent together, in one packet.
const JOINED: usize = 16 * 1024;

trait ReadWrite: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> ReadWrite for T {}

/// Bytes to and from the machine. Shutting it down closes the writing half only; reads fail when
/// the path is lost.
pub struct Stream {
    io: Pin<Box<dyn ReadWrite>>,
    temporary: bool,
    /// Held while the stream is open.
    _held: Option<Box<dyn Any + Send + Sync>>,
}

impl Stream {
    /// A stream over anything that reads, writes and half-closes.
    pub fn new(io: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        Self { io: Box::pin(io), temporary: false, _held: None }
    }

    /// Marks a stream whose route is temporary: a better one is being made for later streams.
    pub fn temporary(self) -> Self {
        Self { temporary: true, ..self }
    }

    /// Releases `held` at the stream's end.
    pub(crate) fn holding(self, held: impl Send + Sync + 'static) -> Self {
        Self { _held: Some(Box::new(held)), ..self }
    }

    /// Whether a better route is being made, so that this stream is not worth keeping in a pool.
    pub fn is_temporary(&self) -> bool {
        self.temporary
    }

    /// Waits until the machine has confirmed the destination.
    pub async fn opened(&mut self) -> Result<(), OpenError> {
        // Reading no byte waits for the answer only.
        match self.read(&mut []).await {
            Ok(_) => Ok(()),
            Err(error) => Err(OpenError::of(&error)
                .cloned()
                .unwrap_or_else(|| OpenError::Dead { reason: error.to_string() })),
        }
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.io.as_mut().poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.io.as_mut().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Some(first) = bufs.iter().find(|buf| !buf.is_empty()) else {
            return self.io.as_mut().poll_write(cx, &[]);
        };
        if first.len() >= JOINED {
            return self.io.as_mut().poll_write(cx, first);
        }
        let mut joined = Vec::with_capacity(JOINED);
        for buf in bufs {
            joined.extend_from_slice(&buf[..buf.len().min(JOINED - joined.len())]);
        }
        self.io.as_mut().poll_write(cx, &joined)
    }

    /// Callers with a long body then pass it as it is instead of copying it behind its head.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.as_mut().poll_shutdown(cx)
    }
}
