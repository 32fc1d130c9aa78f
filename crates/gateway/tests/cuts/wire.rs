//! A connection between two tasks that can be reset, and that knows whether both of its ends are
//! dropped.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, ReadHalf, WriteHalf, duplex};
use tokio::sync::mpsc;
use tunnel::{Class, Connector, Destination, OpenError, Stream};

/// Bytes that fit between two sides that do not read.
const ROOM: usize = 256;

/// The test's end.
pub struct End {
    halves: Option<(ReadHalf<DuplexStream>, WriteHalf<DuplexStream>)>,
    state: Arc<State>,
}

/// The gateway's end.
pub struct Theirs {
    io: DuplexStream,
    state: Arc<State>,
    _held: Arc<()>,
}

#[derive(Default)]
struct State {
    reset: AtomicBool,
    gone: AtomicBool,
}

/// Whether the gateway still holds its end.
pub struct Left(Weak<()>);

impl Left {
    pub fn is_there(&self) -> bool {
        self.0.strong_count() > 0
    }
}

pub fn wire() -> (End, Theirs, Left) {
    let (here, there) = duplex(ROOM);
    let state = Arc::<State>::default();
    let held = Arc::new(());
    let left = Left(Arc::downgrade(&held));
    (
        End { halves: Some(tokio::io::split(here)), state: state.clone() },
        Theirs { io: there, state, _held: held },
        left,
    )
}

/// Makes the end of a connection a reset.
pub struct Cutter(Arc<State>);

impl Cutter {
    pub fn reset(&self) {
        self.0.reset.store(true, Ordering::Release);
    }
}

impl End {
    pub fn split(&mut self) -> (ReadHalf<DuplexStream>, WriteHalf<DuplexStream>, Cutter) {
        let (reader, writer) = self.halves.take().unwrap();
        (reader, writer, Cutter(self.state.clone()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.state.gone.store(true, Ordering::Release);
    }
}

impl AsyncRead for Theirs {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.remaining();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if matches!(read, Poll::Ready(Ok(())))
            && buf.remaining() == before
            && self.state.reset.load(Ordering::Acquire)
        {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        read
    }
}

impl AsyncWrite for Theirs {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl dockbridge_gateway::Socket for Theirs {
    fn hung_up(&self) -> Option<bool> {
        Some(self.state.gone.load(Ordering::Acquire))
    }
}

/// The listener that the clients connect to.
pub struct Clients(pub mpsc::UnboundedReceiver<Theirs>);

impl tokio_util::net::Listener for Clients {
    type Io = Theirs;
    type Addr = ();

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Theirs, ())>> {
        match self.0.poll_recv(cx) {
            Poll::Ready(Some(client)) => Poll::Ready(Ok((client, ()))),
            _ => Poll::Pending,
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The connector to the engines.
pub struct Engines(pub mpsc::UnboundedSender<(End, Left)>);

impl Connector for Engines {
    fn open(&self, _: Destination, _: Class) -> BoxFuture<'_, Result<Stream, OpenError>> {
        let (here, there, left) = wire();
        self.0.send((here, left)).unwrap();
        async move { Ok(Stream::new(there)) }.boxed()
    }
}
