//! The client's socket as the HTTP server reads it, and a watch on it: hyper does not read while an answer is under way, so somebody else
//! has to notice when the client leaves.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::socket::Socket;

/// What a client may send ahead of its turn while the watch looks for its end. Enough for any pipelined request; a client that fills it
/// is certainly there.
const READ_AHEAD: usize = 64 * 1024;

struct Shared<S> {
    socket: S,
    /// Read by the watch, not yet by the server.
    ahead: BytesMut,
    ended: bool,
    /// The server asked to read since the watch last looked: it is going to notice the end by itself.
    asked: bool,
}

type Handle<S> = Arc<Mutex<Shared<S>>>;

// Both halves live in one task, so the lock is never waited for, and a panic ends both.
fn lock<S>(shared: &Handle<S>) -> MutexGuard<'_, Shared<S>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the server reads and writes.
pub(crate) struct ClientIo<S>(Handle<S>);

/// What notices that the client leaves.
pub(crate) struct Watch<S>(Handle<S>);

pub(crate) fn watched<S: Socket>(socket: S) -> (ClientIo<S>, Watch<S>) {
    let shared = Arc::new(Mutex::new(Shared { socket, ahead: BytesMut::new(), ended: false, asked: false }));
    (ClientIo(shared.clone()), Watch(shared))
}

impl<S: Socket> Watch<S> {
    /// To be called before the server is polled.
    pub(crate) fn arm(&self) {
        lock(&self.0).asked = false;
    }

    /// To be called after the server was polled: ready when the client has closed its writing side. Pending for ever while more was sent
    /// ahead than is taken.
    pub(crate) fn poll_end(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut shared = lock(&self.0);
        loop {
            if shared.ended {
                return Poll::Ready(());
            }
            if shared.asked || shared.ahead.len() >= READ_AHEAD {
                return Poll::Pending;
            }
            let mut chunk = [0; 4096];
            let mut buf = ReadBuf::new(&mut chunk);
            match ready!(Pin::new(&mut shared.socket).poll_read(cx, &mut buf)) {
                Ok(()) if buf.filled().is_empty() => shared.ended = true,
                Ok(()) => shared.ahead.extend_from_slice(buf.filled()),
                // A reset client has ended too; the server gets the error when it writes.
                Err(_) => shared.ended = true,
            }
        }
    }

    /// See [`Socket::hung_up`].
    pub(crate) fn hung_up(&self) -> Option<bool> {
        lock(&self.0).socket.hung_up()
    }
}

impl<S: Socket> AsyncRead for ClientIo<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut shared = lock(&self.0);
        shared.asked = true;
        if !shared.ahead.is_empty() {
            let taken = shared.ahead.len().min(buf.remaining());
            buf.put_slice(&shared.ahead[..taken]);
            shared.ahead.advance(taken);
            return Poll::Ready(Ok(()));
        }
        if shared.ended {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut shared.socket).poll_read(cx, buf))?;
        if buf.filled().len() == before && buf.remaining() > 0 {
            shared.ended = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Socket> AsyncWrite for ClientIo<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut lock(&self.0).socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut lock(&self.0).socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        lock(&self.0).socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.0).socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.0).socket).poll_shutdown(cx)
    }
}
