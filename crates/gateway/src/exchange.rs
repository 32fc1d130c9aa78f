//! Sends one request to the engine and returns the head of its response.
//!
//! A connection that went stale between two requests, or a stream that died before the first byte
//! of a response, is replaced once without an error, if the request can be retried: nothing may
//! happen twice.

use http::header::UPGRADE;
use http::{Method, Request, Response, request};
use hyper::body::{Body, Incoming};
use tunnel::{Class, OpenError};

use crate::context::Call;
use crate::engine_status::EngineState;
use crate::error::Error;
use crate::upstream::connection::{SendError, Upstream};
use crate::wire::request_body::RequestBody;

pub(crate) async fn send(
    call: &Call,
    request: Request<RequestBody>,
) -> Result<(Response<Incoming>, Upstream), Error> {
    let (parts, body) = request.into_parts();
    let retry = Retry::of(&parts, &body);
    let passes_end = !parts.headers.contains_key(UPGRADE);
    let mut request = Request::from_parts(parts, body);

    if let Some(upstream) = kept(call, retry.is_read()).await {
        let opened_for = upstream.io().opened_for().map(tracing::field::display);
        tracing::debug!(opened_for, "sent on a connection that is open already");
        let failed = match send_on(call, upstream, request, passes_end).await {
            Ok(answered) => return Ok(answered),
            Err(failed) => failed,
        };
        let (source, error) = (&call.route.source, failed.error());
        tracing::debug!(request = %source, %error, "a kept connection to the engine was stale");
        request = retry.again(failed, |_| true)?;
    }

    let upstream = dial(call).await?;
    let failed = match send_on(call, upstream, request, passes_end).await {
        Ok(answered) => return Ok(answered),
        Err(failed) => failed,
    };
    request = retry
        .again(failed, |error| matches!(OpenError::of(error), Some(OpenError::Dead { .. })))?;
    tracing::debug!(request = %call.route.source, "a new stream to the engine died; retrying");
    let upstream = dial(call).await?;
    send_on(call, upstream, request, passes_end).await.map_err(|failed| failed.into_error().into())
}

async fn dial(call: &Call) -> Result<Upstream, Error> {
    call.client.connections.dial(&*call.connector, call.route.class).await
}

async fn send_on(
    call: &Call,
    mut upstream: Upstream,
    mut request: Request<RequestBody>,
    passes_end: bool,
) -> Result<(Response<Incoming>, Upstream), SendError> {
    // Only now: opening the connection may have woken another engine.
    call.gateway.identity.lower_version(request.uri_mut());
    call.client.in_flight.carried_by(upstream.progress(), passes_end);
    let response = upstream.send(request, call.may_relay).await?;
    Ok((response, upstream))
}

/// How a request is sent a second time.
struct Retry {
    /// The head of a read without a body, which changes nothing at the engine.
    read: Option<request::Parts>,
    empty: RequestBody,
}

impl Retry {
    fn of(parts: &request::Parts, body: &RequestBody) -> Self {
        let reads = parts.method == Method::GET || parts.method == Method::HEAD;
        let read = (body.is_end_stream() && reads).then(|| parts.clone());
        Self { read, empty: body.another_empty() }
    }

    fn is_read(&self) -> bool {
        self.read.is_some()
    }

    /// The request once more if the failure allows it: one of which no byte was sent, or a read.
    fn again(
        &self,
        mut failed: SendError,
        may_retry: impl FnOnce(&hyper::Error) -> bool,
    ) -> Result<Request<RequestBody>, Error> {
        if may_retry(failed.error()) {
            if let Some(unsent) = failed.take_message() {
                return Ok(unsent);
            }
            if let Some(parts) = &self.read {
                return Ok(Request::from_parts(parts.clone(), self.empty.another_empty()));
            }
        }
        Err(failed.into_error().into())
    }
}

/// A connection that is open already: the client's own, or one of the pool.
async fn kept(call: &Call, is_read: bool) -> Option<Upstream> {
    let own = call.client.connections.idle(call.route.class, call.route.lasting).await;
    match own {
        None if is_read && call.route.class != Class::Bulk => pooled(call).await,
        own => own,
    }
}

/// From the pool only while there is an engine: one that is about to go gets no more requests.
async fn pooled(call: &Call) -> Option<Upstream> {
    let status = call.gateway.status.as_ref();
    if status.is_some_and(|status| status.state() != EngineState::Up) {
        return None;
    }
    let (mut upstream, driver) = call.gateway.pool.take().await?;
    call.client.connections.adopt(&upstream, driver);
    upstream.is_ready().await.then_some(upstream)
}
