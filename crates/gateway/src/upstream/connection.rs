//! One connection to the engine: an HTTP client on a stream of the tunnel.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Context;

use bytes::Bytes;
use futures::future::{AbortHandle, Abortable, BoxFuture};
use futures::task::AtomicWaker;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tunnel::{Class, Stream};

use crate::upstream::io::EngineIo;
use crate::wire::body::RequestBody;
use crate::wire::framing::{MAX_HEAD, MAX_HEADERS};

/// A connection to the engine that serves one request after the other. Dropping it closes it.
pub(crate) struct Upstream {
    pub(crate) class: Class,
    sender: SendRequest<RequestBody>,
    io: EngineIo,
    way: Arc<Way>,
    abort: AbortHandle,
}

/// What has to be polled for an [`Upstream`] to move.
pub(crate) type Driver = BoxFuture<'static, ()>;

impl Upstream {
    pub(crate) async fn over(stream: Stream, class: Class) -> Result<(Self, Driver), hyper::Error> {
        let way = Arc::<Way>::default();
        Self::on(EngineIo::new(stream, way.clone()), way, class).await
    }

    /// The same on one that was there before, between two requests.
    pub(crate) async fn on(
        io: EngineIo,
        way: Arc<Way>,
        class: Class,
    ) -> Result<(Self, Driver), hyper::Error> {
        let (sender, connection) = Builder::new()
            .preserve_header_case(true)
            .title_case_headers(true)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD)
            .handshake(TokioIo::new(io.clone()))
            .await?;
        let (abort, registration) = AbortHandle::new_pair();
        let connection = Abortable::new(connection.with_upgrades(), registration);
        let driver = Box::pin(async move {
            if let Ok(Err(error)) = connection.await {
                // Told to the request or the body that it happened to; here it is only of interest
                // for idle ones.
                tracing::trace!(%error, "a connection to the engine ended");
            }
        });
        Ok((Self { class, sender, io, way, abort }, driver))
    }

    /// Whether it can take another request. Waits until the last one is out of the way.
    pub(crate) async fn is_ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// It can be kept for another request: the last one was sent to its end, and the client's end
    /// was not passed on.
    pub(crate) fn is_reusable(&self) -> bool {
        !self.sender.is_closed()
            && self.way.sent.load(Ordering::Acquire)
            && !self.way.wanted.load(Ordering::Acquire)
    }

    /// The same, for another client's request.
    pub(crate) fn is_worth_leaving(&self) -> bool {
        !self.io.is_makeshift() && self.is_reusable()
    }

    pub(crate) fn way(&self) -> Arc<Way> {
        self.way.clone()
    }

    pub(crate) fn io(&self) -> EngineIo {
        self.io.clone()
    }

    /// Where reading `stops` behind the head of the answer, [`EngineIo::has_stopped`] says whether
    /// it did.
    ///
    /// # Errors
    /// With the request itself, where not a byte of it was sent.
    pub(crate) fn send(
        &mut self,
        mut request: Request<RequestBody>,
        stops: bool,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> + use<>
    {
        self.io.stops_behind_head(stops);
        request.body_mut().travels_on(self.way());
        self.sender.try_send_request(request)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

/// The stream that a connection was taken over on, without HTTP around it, and what came with the
/// engine's head.
pub(crate) fn taken_over(upgraded: Upgraded) -> Option<(Stream, Bytes)> {
    let parts = upgraded.downcast::<TokioIo<EngineIo>>().ok()?;
    Some((parts.io.into_inner().take()?, parts.read_buf))
}

/// How far a request is on its way to the engine.
///
/// The client's end is passed on once the request is through: a server such as dockerd gives up
/// what nobody waits for.
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

    pub(crate) fn is_due(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
            && self.begun.load(Ordering::Acquire)
            && self.sent.load(Ordering::Acquire)
    }

    /// Something of the request is written.
    pub(crate) fn begins(&self) {
        self.begun.store(true, Ordering::Release);
    }

    pub(crate) fn is_blocked_now(&self, blocked: bool) {
        self.blocked.store(blocked, Ordering::Release);
    }

    /// Whoever reads is told when there is something to pass on.
    pub(crate) fn listen(&self, cx: &Context<'_>) {
        self.reader.register(cx.waker());
    }

    pub(crate) fn look_again(&self) {
        self.reader.wake();
    }
}
