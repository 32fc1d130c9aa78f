//! One connection to the engine: an HTTP client on a stream of the tunnel.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures::future::{AbortHandle, Abortable, BoxFuture};
use futures::task::AtomicWaker;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tunnel::{Class, Stream};

use crate::body::RequestBody;

/// Heads of requests and answers, together with labels and credentials in them. Go's server, which dockerd is, takes 1 MiB.
pub(crate) const MAX_HEAD: usize = 1 << 20;

/// Header lines; Go has no limit of its own. 32 KiB while a head is read.
pub(crate) const MAX_HEADERS: usize = 1024;

/// A connection to the engine that serves one request after the other. Dropping it closes it.
pub(crate) struct Upstream {
    pub(crate) class: Class,
    sender: SendRequest<RequestBody>,
    half_close: Arc<HalfClose>,
    abort: AbortHandle,
}

/// What has to be polled for an [`Upstream`] to move.
pub(crate) type Driver = BoxFuture<'static, ()>;

impl Upstream {
    pub(crate) async fn over(stream: Stream, class: Class) -> Result<(Self, Driver), hyper::Error> {
        let half_close = Arc::<HalfClose>::default();
        let io = TokioIo::new(UpstreamIo { stream, half_close: half_close.clone(), unflushed: false, shut: false });
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
        Ok((Self { class, sender, half_close, abort }, driver))
    }

    /// Whether it can take another request. Waits until the last one is out of the way.
    pub(crate) async fn is_ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// It can be kept for another request: the last one was sent to its end, and the client's end was not passed on.
    pub(crate) fn is_reusable(&self) -> bool {
        !self.sender.is_closed() && self.half_close.sent.load(Ordering::Acquire) && !self.half_close.wanted.load(Ordering::Acquire)
    }

    pub(crate) fn half_close(&self) -> Arc<HalfClose> {
        self.half_close.clone()
    }

    /// # Errors
    /// With the request itself, where not a byte of it was sent.
    pub(crate) fn send(
        &mut self,
        mut request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> + use<> {
        request.body_mut().travels_on(self.half_close());
        self.sender.try_send_request(request)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

/// The client's end, to be passed on to the engine once the request is through: a server such as dockerd gives up what nobody waits for.
#[derive(Debug, Default)]
pub(crate) struct HalfClose {
    wanted: AtomicBool,
    sent: AtomicBool,
    reader: AtomicWaker,
}

impl HalfClose {
    pub(crate) fn request_begins(&self) {
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

    fn is_due(&self) -> bool {
        self.wanted.load(Ordering::Acquire) && self.sent.load(Ordering::Acquire)
    }
}

/// The stream as the HTTP client sees it. hyper waits for the answer by reading, so that is where the end is passed on.
struct UpstreamIo {
    stream: Stream,
    half_close: Arc<HalfClose>,
    unflushed: bool,
    shut: bool,
}

impl UpstreamIo {
    fn pass_end_on(&mut self, cx: &mut Context<'_>) {
        if !self.shut && !self.unflushed && self.half_close.is_due() && Pin::new(&mut self.stream).poll_shutdown(cx).is_ready() {
            self.shut = true;
        }
    }
}

impl AsyncRead for UpstreamIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.half_close.reader.register(cx.waker());
        self.pass_end_on(cx);
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for UpstreamIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.unflushed = true;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.unflushed = true;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_ready() {
            self.unflushed = false;
            self.pass_end_on(cx);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shut = true;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
