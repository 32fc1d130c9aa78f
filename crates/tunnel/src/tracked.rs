//! A stream of a tunnel: counted, and failing in both directions when its path is lost.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::closed::Closed;

/// Bytes and open streams of a tunnel.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) up: AtomicU64,
    pub(crate) down: AtomicU64,
    pub(crate) open: AtomicU64,
}

/// The counts of a tunnel, which stay after its end. Does not keep the tunnel.
#[derive(Debug, Clone)]
pub struct StreamCounts(pub(crate) Arc<Counts>);

impl StreamCounts {
    /// Bytes written to streams.
    pub fn up(&self) -> u64 {
        self.0.up.load(Ordering::Relaxed)
    }

    /// Bytes read from streams.
    pub fn down(&self) -> u64 {
        self.0.down.load(Ordering::Relaxed)
    }

    /// Streams that are open now.
    pub fn open(&self) -> u64 {
        self.0.open.load(Ordering::Relaxed)
    }

    /// Whether both are of the same tunnel.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

pub(crate) struct Tracked<T> {
    inner: T,
    closed: Closed,
    closed_for_reads: Pin<Box<WaitForCancellationFutureOwned>>,
    closed_for_writes: Pin<Box<WaitForCancellationFutureOwned>>,
    counts: Arc<Counts>,
}

impl<T> Tracked<T> {
    pub(crate) fn new(inner: T, closed: Closed, counts: Arc<Counts>) -> Self {
        counts.open.fetch_add(1, Ordering::Relaxed);
        let waiter = || Box::pin(closed.waiter());
        Self { inner, closed_for_reads: waiter(), closed_for_writes: waiter(), closed, counts }
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>, reading: bool) -> Poll<io::Error> {
        let waiter = if reading { &mut self.closed_for_reads } else { &mut self.closed_for_writes };
        if self.closed.is_set() || waiter.as_mut().poll(cx).is_ready() {
            let message =
                format!("the connection to the machine is lost: {}", self.closed.message());
            return Poll::Ready(io::Error::new(io::ErrorKind::ConnectionAborted, message));
        }
        Poll::Pending
    }
}

impl<T> Drop for Tracked<T> {
    fn drop(&mut self) {
        self.counts.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Tracked<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(error) = self.poll_closed(cx, true) {
            return Poll::Ready(Err(error));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        let read = buf.filled().len() - before;
        if read > 0 {
            self.counts.down.fetch_add(read as u64, Ordering::Relaxed);
        } else if polled.is_ready()
            && let Poll::Ready(error) = self.poll_closed(cx, true)
        {
            // An end that coincides with the end of the path is no orderly end.
            return Poll::Ready(Err(error));
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Tracked<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(error) = self.poll_closed(cx, false) {
            return Poll::Ready(Err(error));
        }
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = polled {
            self.counts.up.fetch_add(written as u64, Ordering::Relaxed);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(error) = self.poll_closed(cx, false) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(error) = self.poll_closed(cx, false) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
