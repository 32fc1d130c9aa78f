//! The connection under one SSH session: counted, watched and severable.
//!
//! The SSH session task reads and writes here and nowhere else. Cutting the wire therefore ends
//! that task even while it waits in a write to a peer that stopped reading, which the SSH library
//! has no way to do.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// What is known of a wire from outside its session.
#[derive(Debug)]
pub(crate) struct WireState {
    born: Instant,
    /// Milliseconds from `born` to the last byte that arrived.
    heard: AtomicU64,
    cut: CancellationToken,
}

impl WireState {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            born: Instant::now(),
            heard: AtomicU64::new(0),
            cut: CancellationToken::new(),
        })
    }

    /// When the last byte arrived, or when the wire was made.
    pub(crate) fn last_heard(&self) -> Instant {
        self.born + Duration::from_millis(self.heard.load(Ordering::Relaxed))
    }

    /// Every read and write fails from now on, those that wait included.
    pub(crate) fn cut(&self) {
        self.cut.cancel();
    }

    fn hear(&self) {
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.heard.store(now, Ordering::Relaxed);
    }
}

/// What a wire is made of: a TCP connection, or a command.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

pub(crate) struct Wire {
    transport: Box<dyn Transport>,
    state: Arc<WireState>,
    cut_for_reads: Pin<Box<WaitForCancellationFutureOwned>>,
    cut_for_writes: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Wire {
    pub(crate) fn new(transport: Box<dyn Transport>, state: Arc<WireState>) -> Self {
        let waiter = || Box::pin(state.cut.clone().cancelled_owned());
        Self { transport, cut_for_reads: waiter(), cut_for_writes: waiter(), state }
    }

    fn poll_cut(&mut self, cx: &mut Context<'_>, reading: bool) -> Poll<io::Error> {
        let waiter = if reading { &mut self.cut_for_reads } else { &mut self.cut_for_writes };
        if self.state.cut.is_cancelled() || waiter.as_mut().poll(cx).is_ready() {
            return Poll::Ready(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the connection \
                was given up",
            ));
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
            self.state.hear();
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
