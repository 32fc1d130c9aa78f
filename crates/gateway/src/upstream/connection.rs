//! One connection to the engine: an HTTP client on a stream of the tunnel.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::{AbortHandle, Abortable, BoxFuture};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tunnel::{Class, Stream};

use super::io::EngineIo;
use crate::wire::limits::{MAX_HEAD, MAX_HEADERS};
use crate::wire::request_body::RequestBody;
use crate::wire::request_progress::RequestProgress;

/// Serves one request after the other. Dropping it closes the connection.
pub(crate) struct Upstream {
    pub(crate) class: Class,
    sender: SendRequest<RequestBody>,
    io: EngineIo,
    progress: Arc<RequestProgress>,
    abort: AbortHandle,
}

/// Must be polled for an [`Upstream`] to make progress.
pub(crate) type Driver = BoxFuture<'static, ()>;

/// A request that failed. Holds the request itself if no byte of it was sent.
pub(crate) type SendError = TrySendError<Request<RequestBody>>;

impl Upstream {
    /// On a new stream.
    pub(crate) async fn over(stream: Stream, class: Class) -> Result<(Self, Driver), hyper::Error> {
        let progress = Arc::<RequestProgress>::default();
        Self::on(EngineIo::new(stream, progress.clone()), progress, class).await
    }

    /// On a stream that has carried requests, between two of them.
    pub(crate) async fn on(
        io: EngineIo,
        progress: Arc<RequestProgress>,
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
                // A request or body in flight gets the error; this logs it for idle connections.
                tracing::trace!(%error, "a connection to the engine ended");
            }
        });
        Ok((Self { class, sender, io, progress, abort }, driver))
    }

    /// Waits until the last request is done. False if no other can be sent.
    pub(crate) async fn is_ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// Whether it can be kept for another request: the last one was sent to its end, and the
    /// client's end was not passed on.
    pub(crate) fn is_reusable(&self) -> bool {
        !self.sender.is_closed() && self.progress.is_sent() && !self.progress.has_client_ended()
    }

    /// Whether it can be kept for another client's request.
    pub(crate) fn is_poolable(&self) -> bool {
        !self.io.is_temporary() && self.is_reusable()
    }

    pub(crate) fn progress(&self) -> Arc<RequestProgress> {
        self.progress.clone()
    }

    pub(crate) fn io(&self) -> EngineIo {
        self.io.clone()
    }

    /// With `stop_behind_head`, reading may stop behind the head of the response: see
    /// [`EngineIo::has_stopped`].
    pub(crate) fn send(
        &mut self,
        mut request: Request<RequestBody>,
        stop_behind_head: bool,
    ) -> impl Future<Output = Result<Response<Incoming>, SendError>> + use<> {
        self.io.stop_behind_head(stop_behind_head);
        request.body_mut().travel_on(self.progress());
        self.sender.try_send_request(request)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

/// The stream of a connection that the engine took over, and the bytes that came with its head.
pub(crate) fn taken_over(upgraded: Upgraded) -> Option<(Stream, Bytes)> {
    let parts = upgraded.downcast::<TokioIo<EngineIo>>().ok()?;
    Some((parts.io.into_inner().take()?, parts.read_buf))
}
