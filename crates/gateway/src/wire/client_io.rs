//! The client's socket as the HTTP server reads and writes it, and a watch on it. hyper does not
//! read while a response is in progress, so the watch has to notice when the client leaves.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::refusal::Refusal;
use super::request_reader::RequestReader;
use super::socket::Socket;
use super::write_state::WriteState;

/// Written instead of as many bytes of a response whose version is raised.
const VERSION: &[u8] = b"HTTP/1.1";

struct Shared<S> {
    reader: RequestReader<S>,
    /// The server asked to read since the watch last looked: it is going to notice the end by
    /// itself.
    server_reads: bool,
    state: Arc<WriteState>,
    /// Rest of the version that is written instead of the server's.
    version: &'static [u8],
}

type Handle<S> = Arc<Mutex<Shared<S>>>;

// All handles live in one task, so the lock is never waited for, and a panic ends them all.
fn lock<S>(shared: &Handle<S>) -> MutexGuard<'_, Shared<S>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the server reads and writes.
pub(crate) struct ClientIo<S>(Handle<S>);

/// Notices that the client leaves.
pub(crate) struct Watch<S>(Handle<S>);

pub(crate) fn watched<S: Socket>(socket: S, state: Arc<WriteState>) -> (ClientIo<S>, Watch<S>) {
    let shared = Arc::new(Mutex::new(Shared {
        reader: RequestReader::new(socket),
        server_reads: false,
        state,
        version: &[],
    }));
    (ClientIo(shared.clone()), Watch(shared))
}

impl<S: Socket> Watch<S> {
    /// To be called before the server is polled.
    pub(crate) fn arm(&self) {
        lock(&self.0).server_reads = false;
    }

    /// To be called after the server was polled: ready when the client has closed its writing side.
    pub(crate) fn poll_end(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut shared = lock(&self.0);
        if shared.server_reads {
            return if shared.reader.is_at_end() { Poll::Ready(()) } else { Poll::Pending };
        }
        shared.reader.poll_end(cx)
    }

    /// The client has closed its writing side, and everything that it sent was read.
    pub(crate) fn has_ended(&self) -> bool {
        lock(&self.0).reader.has_ended()
    }

    /// See [`Socket::hung_up`].
    pub(crate) fn hung_up(&self) -> Option<bool> {
        lock(&self.0).reader.socket.hung_up()
    }

    /// The request that the server was just given has a `TE` that the client did not send.
    pub(crate) fn added_te(&self) -> bool {
        lock(&self.0).reader.added_te()
    }

    /// The client waits for `100 Continue` before it sends the body of the request that the server
    /// was just given.
    pub(crate) fn expects(&self) -> bool {
        lock(&self.0).reader.expects()
    }

    /// The client was to wait for `100 Continue`, and sends its body all the same, or never will.
    pub(crate) fn stopped_waiting(&self) -> bool {
        lock(&self.0).reader.stopped_waiting()
    }

    /// Why no more requests are taken from this client.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        lock(&self.0).reader.refusal()
    }

    /// The connection is taken over: what comes from now on is no request.
    pub(crate) fn become_raw(&self) {
        lock(&self.0).reader.become_raw();
    }
}

impl<S: Socket> Shared<S> {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.state.take_raised_version() {
            self.version = VERSION;
        }
        let socket = Pin::new(&mut self.reader.socket);
        let written = if !self.version.is_empty() {
            let written = socket.poll_write(cx, self.version);
            if let Poll::Ready(Ok(length)) = written {
                self.version = &self.version[length..];
            }
            written
        } else if let [buf] = bufs {
            socket.poll_write(cx, buf)
        } else {
            socket.poll_write_vectored(cx, bufs)
        };
        self.state.set_blocked(written.is_pending());
        written
    }
}

impl<S: Socket> AsyncRead for ClientIo<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut shared = lock(&self.0);
        shared.server_reads = true;
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        shared.reader.poll_read(cx, buf)
    }
}

impl<S: Socket> AsyncWrite for ClientIo<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        lock(&self.0).poll_write(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        lock(&self.0).poll_write(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        lock(&self.0).reader.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.0).reader.socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.0).reader.socket).poll_shutdown(cx)
    }
}
