//! One connection to the engine: an HTTP client on a stream of the tunnel.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::future::{AbortHandle, Abortable, BoxFuture};
use futures::task::AtomicWaker;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tunnel::{Class, Stream};

use crate::body::RequestBody;
use crate::framing::{MAX_HEAD, MAX_HEADERS};

/// A connection to the engine that serves one request after the other. Dropping it closes it.
pub(crate) struct Upstream {
    pub(crate) class: Class,
    sender: SendRequest<RequestBody>,
    way: Arc<Way>,
    abort: AbortHandle,
    /// Not to be left to other clients.
    makeshift: bool,
}

/// What has to be polled for an [`Upstream`] to move.
pub(crate) type Driver = BoxFuture<'static, ()>;

impl Upstream {
    pub(crate) async fn over(stream: Stream, class: Class) -> Result<(Self, Driver), hyper::Error> {
        let (way, makeshift) = (Arc::<Way>::default(), stream.is_makeshift());
        let io = TokioIo::new(UpstreamIo { stream, way: way.clone(), lost: None, unflushed: false, shut: false });
        let (sender, connection) = Builder::new()
            .preserve_header_case(true)
            .title_case_headers(true)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD)
            .handshake(io)
            .await?;
        let (abort, registration) = AbortHandle::new_pair();
        let connection = Abortable::new(connection.with_upgrades(), registration);
        let driver = Box::pin(async move {
            if let Ok(Err(error)) = connection.await {
                // Told to the request or the body that it happened to; here it is only of interest for idle ones.
                tracing::trace!(%error, "a connection to the engine ended");
            }
        });
        Ok((Self { class, sender, way, abort, makeshift }, driver))
    }

    /// Whether it can take another request. Waits until the last one is out of the way.
    pub(crate) async fn is_ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// It can be kept for another request: the last one was sent to its end, and the client's end was not passed on.
    pub(crate) fn is_reusable(&self) -> bool {
        !self.sender.is_closed() && self.way.sent.load(Ordering::Acquire) && !self.way.wanted.load(Ordering::Acquire)
    }

    /// The same, for another client's request.
    pub(crate) fn is_worth_leaving(&self) -> bool {
        !self.makeshift && self.is_reusable()
    }

    pub(crate) fn way(&self) -> Arc<Way> {
        self.way.clone()
    }

    /// # Errors
    /// With the request itself, where not a byte of it was sent.
    pub(crate) fn send(
        &mut self,
        mut request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> + use<> {
        request.body_mut().travels_on(self.way());
        self.sender.try_send_request(request)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

/// The stream that a connection was taken over on, without HTTP around it, and what came with the engine's head.
pub(crate) fn taken_over(upgraded: Upgraded) -> Option<(Stream, Bytes)> {
    let parts = upgraded.downcast::<TokioIo<UpstreamIo>>().ok()?;
    Some((parts.io.into_inner().stream, parts.read_buf))
}

/// How far a request is on its way to the engine.
///
/// The client's end is passed on once the request is through: a server such as dockerd gives up what nobody waits for.
#[derive(Debug, Default)]
pub(crate) struct Way {
    wanted: AtomicBool,
    /// Something of the request was written. Before that, its end is not known to be behind it.
    begun: AtomicBool,
    sent: AtomicBool,
    blocked: AtomicBool,
    reader: AtomicWaker,
}

impl Way {
    pub(crate) fn request_begins(&self) {
        self.begun.store(false, Ordering::Release);
        self.sent.store(false, Ordering::Release);
    }

    pub(crate) fn request_ends(&self) {
        self.sent.store(true, Ordering::Release);
        self.reader.wake();
    }

    pub(crate) fn want(&self) {
        self.wanted.store(true, Ordering::Release);
        self.reader.wake();
    }

    /// There is more for the engine than its stream takes now.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Acquire)
    }

    fn is_due(&self) -> bool {
        self.wanted.load(Ordering::Acquire) && self.begun.load(Ordering::Acquire) && self.sent.load(Ordering::Acquire)
    }
}

/// The stream as the HTTP client sees it. hyper waits for the answer by reading, so that is where the end is passed on.
///
/// A write that fails is told when reading ends: an engine may answer before it has read everything and close, and a refusal of the
/// stream itself comes by reading, too.
struct UpstreamIo {
    stream: Stream,
    way: Arc<Way>,
    lost: Option<io::Error>,
    unflushed: bool,
    shut: bool,
}

impl UpstreamIo {
    fn pass_end_on(&mut self, cx: &mut Context<'_>) {
        if !self.shut && !self.unflushed && self.way.is_due() && Pin::new(&mut self.stream).poll_shutdown(cx).is_ready() {
            self.shut = true;
        }
    }

    fn written(&mut self, written: Poll<io::Result<usize>>, all: usize) -> Poll<io::Result<usize>> {
        self.way.blocked.store(written.is_pending(), Ordering::Release);
        match written {
            Poll::Ready(Err(error)) => {
                self.lost = Some(error);
                self.unflushed = false;
                self.way.reader.wake();
                Poll::Ready(Ok(all))
            }
            written => written,
        }
    }
}

impl AsyncRead for UpstreamIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.way.reader.register(cx.waker());
        self.pass_end_on(cx);
        let before = buf.remaining();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        match self.lost.take_if(|_| buf.remaining() == before) {
            Some(error) => Poll::Ready(Err(error)),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for UpstreamIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.lost.is_some() {
            return Poll::Ready(Ok(buf.len()));
        }
        self.unflushed = true;
        self.way.begun.store(true, Ordering::Release);
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(written, buf.len())
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let all = bufs.iter().map(|buf| buf.len()).sum();
        if self.lost.is_some() {
            return Poll::Ready(Ok(all));
        }
        self.unflushed = true;
        self.way.begun.store(true, Ordering::Release);
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(written, all)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lost.is_some() {
            return Poll::Ready(Ok(()));
        }
        if let Err(error) = ready!(Pin::new(&mut self.stream).poll_flush(cx)) {
            let _ = self.written(Poll::Ready(Err(error)), 0);
        }
        self.unflushed = false;
        self.pass_end_on(cx);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shut = true;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
