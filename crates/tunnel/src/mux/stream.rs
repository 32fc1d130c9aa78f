//! One stream of the multiplexer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use futures::{AsyncWrite as _, Stream as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::notices::{Notice, Notices};

/// Requests to the driver. Each holds the permit of a stream or call, which bounds the queue.
pub(super) enum Request {
    Open(oneshot::Sender<yamux::Stream>),
    Abandon(u32, OwnedSemaphorePermit),
}

/// One stream. A reset is an error here, where yamux shows an end.
pub(crate) struct MuxStream {
    inner: yamux::Stream,
    /// A received packet, and how much of it was read.
    unread: Option<(yamux::Packet, usize)>,
    id: u32,
    notice: Arc<Notice>,
    /// Bytes read so far.
    read: u64,
    /// This side is closed.
    finished: bool,
    /// The other side is closed.
    ended: bool,
    permit: Option<OwnedSemaphorePermit>,
    requests: mpsc::UnboundedSender<Request>,
    notices: Arc<Notices>,
}

impl MuxStream {
    pub(super) fn new(
        inner: yamux::Stream,
        id: u32,
        permit: OwnedSemaphorePermit,
        requests: mpsc::UnboundedSender<Request>,
        notices: Arc<Notices>,
    ) -> Self {
        Self {
            inner,
            unread: None,
            id,
            notice: notices.register(id),
            read: 0,
            finished: false,
            ended: false,
            permit: Some(permit),
            requests,
            notices,
        }
    }
}

impl Drop for MuxStream {
    fn drop(&mut self) {
        self.notices.forget(self.id);
        if self.finished
            && !self.ended
            && let Some(permit) = self.permit.take()
        {
            // Fails only when the driver has ended, and with it the agent's side.
            let _ = self.requests.send(Request::Abandon(self.id, permit));
        }
    }
}

impl AsyncRead for MuxStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.notice.reader.register(cx.waker());
        let room = buf.remaining();
        // By packets, not into a slice: a slice would have to be zeroed first, and the buffer of a
        // silent stream would be memory in use.
        while buf.remaining() > 0 {
            if let Some((packet, taken)) = &mut this.unread {
                let rest = &packet.as_ref()[*taken..];
                let length = rest.len().min(buf.remaining());
                buf.put_slice(&rest[..length]);
                *taken += length;
                this.read += length as u64;
                if *taken == packet.as_ref().len() {
                    this.unread = None;
                }
                continue;
            }
            match Pin::new(&mut this.inner).poll_next(cx) {
                Poll::Ready(Some(Ok(packet))) => this.unread = Some((packet, 0)),
                // The next read reports what follows these bytes.
                _ if buf.remaining() < room => break,
                Poll::Pending => {
                    return match this.notice.broken.get() {
                        Some(after) if *after <= this.read => {
                            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
                        }
                        _ => Poll::Pending,
                    };
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) if !this.finished && this.inner.is_closed() => {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                Poll::Ready(None) => {
                    this.ended = true;
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MuxStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.notice.writer.register(cx.waker());
        if self.notice.abandoned.load(Ordering::Acquire) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        // yamux reports WriteZero for a closed stream; callers expect a broken pipe.
        let broken = |error: io::Error| match error.kind() {
            io::ErrorKind::WriteZero => io::ErrorKind::BrokenPipe.into(),
            _ => error,
        };
        Pin::new(&mut self.inner).poll_write(cx, buf).map_err(broken)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.finished && self.inner.is_closed() {
            return Poll::Ready(Ok(()));
        }
        let closed = ready!(Pin::new(&mut self.inner).poll_close(cx));
        self.finished = true;
        Poll::Ready(closed)
    }
}
