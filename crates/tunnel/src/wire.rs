//! The connection under one SSH session: measured, watched and cuttable.
//!
//! Only the SSH session's task reads and writes it. Cutting the wire therefore ends that task even
//! while it waits in a write to a peer that stopped reading, for which the SSH library has no
//! function.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// The state of a wire, as seen from outside its session.
#[derive(Debug)]
pub(crate) struct WireState {
    created: Instant,
    /// Milliseconds from `created` to the last received byte.
    received: AtomicU64,
    cut: CancellationToken,
}

impl WireState {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            created: Instant::now(),
            received: AtomicU64::new(0),
            cut: CancellationToken::new(),
        })
    }

    /// When the last byte arrived, or the wire was created.
    pub(crate) fn last_received(&self) -> Instant {
        self.created + Duration::from_millis(self.received.load(Ordering::Relaxed))
    }

    /// Makes all reads and writes fail, including waiting ones.
    pub(crate) fn cut(&self) {
        self.cut.cancel();
    }

    fn note_received(&self) {
        let now = u64::try_from(self.created.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.received.store(now, Ordering::Relaxed);
    }
}

/// The stream of a wire: a TCP connection or a command.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

pub(crate) struct Wire {
    transport: Box<dyn Duplex>,
    state: Arc<WireState>,
    cut_for_reads: Pin<Box<WaitForCancellationFutureOwned>>,
    cut_for_writes: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Wire {
    pub(crate) fn new(transport: Box<dyn Duplex>, state: Arc<WireState>) -> Self {
        let waiter = || Box::pin(state.cut.clone().cancelled_owned());
        Self { transport, cut_for_reads: waiter(), cut_for_writes: waiter(), state }
    }

    fn poll_cut(&mut self, cx: &mut Context<'_>, reading: bool) -> Poll<io::Error> {
        let waiter = if reading { &mut self.cut_for_reads } else { &mut self.cut_for_writes };
        if self.state.cut.is_cancelled() || waiter.as_mut().poll(cx).is_ready() {
            let message = "the connection was given up";
            return Poll::Ready(io::Error::new(io::ErrorKind::ConnectionAborted, message));
        }
        Poll::Pending
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(error) = self.poll_cut(cx, true) {
            return Poll::Ready(Err(error));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut *self.transport).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.state.note_received();
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(error) = self.poll_cut(cx, false) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut *self.transport).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.transport).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.transport).poll_shutdown(cx)
    }
}
