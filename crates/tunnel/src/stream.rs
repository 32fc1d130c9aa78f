//! A stream to a machine, and what opens one.
//!
//! Everything above the tunnel speaks to a [`Connector`] and reads and writes a [`Stream`]; neither
//! says by which path the bytes travel.

use std::any::Any;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// Where a stream leads, as seen from the machine.
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
    /// A UDP port. The stream carries datagrams ([`crate::datagram`]), and needs the agent: SSH
    /// itself forwards none.
    Udp {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
    },
}

/// What a stream is for, so that a big transfer does not stand in the way of what a person waits
/// for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Somebody waits for each byte.
    Interactive,
    /// As interactive, and short: a question whose answer is read at once. Over a short path it may
    /// have a connection to itself.
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
        /// Its own words.
        message: String,
    },
    /// There is nothing at the destination.
    #[error("{message}")]
    NotFound {
        /// The machine's own words.
        message: String,
    },
    /// There is no machine, and none could be had.
    #[error("{message}")]
    NoMachine {
        /// Why, and what the person can do.
        message: String,
    },
    /// The path to the machine is lost.
    #[error("the connection to the machine is lost: {reason}")]
    Dead {
        /// What was seen.
        reason: String,
    },
}

impl OpenError {
    /// The refusal that is told as the error of a stream's first read, wherever in the chain of
    /// causes it stands.
    pub fn of<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(refusal) = error.downcast_ref::<Self>() {
                return Some(refusal);
            }
            // An io::Error keeps what it carries out of the chain.
            let carried = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            next = match carried {
                Some(carried) => Some(carried),
                None => error.source(),
            };
        }
        None
    }
}

/// Opens streams to a machine.
pub trait Connector: Send + Sync + 'static {
    /// One stream, as soon as bytes can be written to it; whether it leads where it should may be
    /// told by its first read only ([`OpenError::of`]). It may take as long as the machine takes to
    /// be made; dropping the future gives up.
    fn open(&self, to: Destination, class: Class) -> BoxFuture<'_, Result<Stream, OpenError>>;

    /// Why [`Destination::Udp`] cannot be opened on the present path, if it cannot, in words for a
    /// person.
    fn without_datagrams(&self) -> Option<String> {
        None
    }
}

/// Short pieces up to this length leave together, in bytes: one packet.
const TOGETHER: usize = 16 * 1024;

trait ReadWrite: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> ReadWrite for T {}

/// Bytes to and from the machine. Shutting it down closes the writing side only; reads fail when
/// the path is lost.
pub struct Stream {
    io: Pin<Box<dyn ReadWrite>>,
    makeshift: bool,
    /// Held while the stream is open.
    _held: Option<Box<dyn Any + Send + Sync>>,
}

impl Stream {
    /// A stream over anything that reads, writes and half-closes.
    pub fn new(io: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        Self { io: Box::pin(io), makeshift: false, _held: None }
    }

    /// The same, on a way that the next stream of its class is likely to have a better one than.
    pub fn makeshift(self) -> Self {
        Self { makeshift: true, ..self }
    }

    /// The same, which gives `held` back at its end.
    pub(crate) fn holding(self, held: impl Send + Sync + 'static) -> Self {
        Self { _held: Some(Box::new(held)), ..self }
    }

    /// A better way for such streams is being made: this one is not worth keeping for others.
    pub fn is_makeshift(&self) -> bool {
        self.makeshift
    }

    /// Waits until the machine has said that the stream leads where it should.
    pub async fn opened(&mut self) -> Result<(), OpenError> {
        // Reading nothing waits for the answer and for no byte after it.
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
        if first.len() >= TOGETHER {
            return self.io.as_mut().poll_write(cx, first);
        }
        let mut together = Vec::with_capacity(TOGETHER);
        for buf in bufs {
            together.extend_from_slice(&buf[..buf.len().min(TOGETHER - together.len())]);
        }
        self.io.as_mut().poll_write(cx, &together)
    }

    /// So that whoever has a long body at hand gives it as it is, rather than copying it behind its
    /// head.
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
