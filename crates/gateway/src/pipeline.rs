//! The pipeline: what happens to each request, in order. Origin check, route, answers that need no
//! engine, activity, the steps before the engine, the engine, the steps behind it.
//!
//! The one place where requests are treated differently; the steps stand in `steps`, what an
//! endpoint gets in `rules::table`.

use std::sync::{Arc, PoisonError};

use api::RequestId;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{CONNECTION, CONTENT_TYPE, UPGRADE, USER_AGENT};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use lifecycle::Guard;
use tracing::{Instrument as _, Span};
use tunnel::for_request;

use crate::context::{Call, ClientContext, Creation, GatewayContext};
use crate::engine_body::{EngineBody, Exchange};
use crate::engine_status::{EngineState, EngineStatus};
use crate::error::Error;
use crate::exchange;
use crate::local::{events, wait_progress};
use crate::metrics::EndpointClass;
use crate::respond;
use crate::rules::endpoint::{Stale, WithoutMachine};
use crate::rules::route::{PortsStep, Route};
use crate::rules::{disk_space, origin};
use crate::steps::{Outgoing, STEPS};
use crate::takeover::Takeover;
use crate::takeover::hijack::Hijacked;
use crate::takeover::relay::{self, Relay};
use crate::upstream::connection::Upstream;
use crate::wire::in_flight::Busy;
use crate::wire::response_body::ResponseBody;
use crate::wire::stdcopy;

/// What is known of a client beside its request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) may_be_a_browser: bool,
    /// It waits for `100 Continue` before it sends the body.
    pub(crate) expects: bool,
}

/// A response, and what the session does behind its head.
pub(crate) struct Answered {
    pub(crate) response: Response<ResponseBody>,
    pub(crate) takeover: Option<Takeover>,
}

impl From<Response<ResponseBody>> for Answered {
    fn from(response: Response<ResponseBody>) -> Self {
        Self { response, takeover: None }
    }
}

/// Answers one request. An error is a response, too; only a response of the engine that breaks off
/// ends the client's connection. The request's id is in everything that is logged until then, here
/// and on the machine.
pub(crate) fn answer(
    gateway: Arc<GatewayContext>,
    client: Arc<ClientContext>,
    request: Request<Incoming>,
    peer: Peer,
) -> impl Future<Output = Answered> {
    let id = RequestId::new(rand::random());
    let route = Route::of(request.method(), request.uri(), request.headers());
    let (method, endpoint) = (request.method(), route.endpoint);
    let span = tracing::info_span!("request", %id, %method, endpoint = %endpoint);
    let timed = gateway.metrics.begin(EndpointClass::of(&route));
    // Boxed: it would stay part of each connection, long after the answer to a followed log.
    let answering = Box::pin(for_request(id, answer_as(id, gateway, client, route, request, peer)));
    async move {
        let answered = answering.await;
        timed.answered(answered.response.status());
        answered
    }
    .instrument(span)
}

async fn answer_as(
    id: RequestId,
    gateway: Arc<GatewayContext>,
    client: Arc<ClientContext>,
    route: Route,
    request: Request<Incoming>,
    peer: Peer,
) -> Answered {
    tracing::debug!(request = %route.source, "a request begins");
    if peer.may_be_a_browser
        && let Some(why) = origin::refusal(request.uri(), request.headers())
    {
        return respond::error(Error::Forbidden(why)).into();
    }
    if let Some(known) = gateway.identity.answer(request.method(), &route) {
        return known.into();
    }
    let busy = client.in_flight.begin();
    let client_name = client_name(&request);
    match (&gateway.status, route.without_machine) {
        (Some(status), WithoutMachine::Follow) => {
            let known = gateway.identity.headers();
            let followed = events::follow(status.clone(), &request, known, busy).await;
            return followed.unwrap_or_else(respond::error).into();
        }
        (Some(status), WithoutMachine::Stale(stale))
            if is_poll(&gateway, &request, client_name.as_deref()) =>
        {
            let status = status.clone();
            let call = call(gateway, client, route, &request, peer);
            return answer_poll(call, status, stale, request, busy).await;
        }
        _ => {}
    }
    let mut call = call(gateway, client, route, &request, peer);
    let Route { kind, source, lines, .. } = &call.route;
    let guard = call.gateway.activity.begin_for(*kind, source.clone(), client_name);
    call.guard = Arc::new(guard);
    // A client that waits for `100 Continue` gets the engine's word, not the gateway's.
    let lines = lines.filter(|_| !peer.expects && !request.headers().contains_key(UPGRADE));
    let (status, headers) = (call.gateway.status.clone(), call.gateway.identity.headers());
    match (lines, status) {
        (Some(lines), Some(status)) => {
            // No response with lines is taken over.
            let passing = async move { pass_or_fail(call, request, busy).await.response };
            // A body that reports the wait goes on with it.
            let answering = Box::pin(for_request(id, passing).instrument(Span::current()));
            wait_progress::answer(answering, status, lines, headers).await.into()
        }
        _ => pass_or_fail(call, request, busy).await,
    }
}

/// A request that counts as no activity yet.
fn call(
    gateway: Arc<GatewayContext>,
    client: Arc<ClientContext>,
    route: Route,
    request: &Request<Incoming>,
    peer: Peer,
) -> Call {
    Call {
        guard: Arc::new(Guard::of_nothing(&gateway.activity)),
        connector: gateway.connector.clone(),
        uri: request.uri().clone(),
        expects: peer.expects,
        may_relay: relay::is_possible(&route, request),
        raw: route.hijack && !request.headers().contains_key(UPGRADE),
        reservation: None,
        refused: None,
        creation: Creation::default(),
        gateway,
        client,
        route,
    }
}

/// Whether a client repeats this read in a rhythm. Such a client must not keep a machine: it would
/// never go.
fn is_poll<B>(gateway: &GatewayContext, request: &Request<B>, client: Option<&str>) -> bool {
    let signature =
        format!("{} {} {}", client.unwrap_or_default(), request.method(), request.uri());
    let awake = gateway.activity.clock().awake();
    // Every critical section leaves it whole.
    gateway.polling.lock().unwrap_or_else(PoisonError::into_inner).arrives(&signature, awake)
}

/// The engine's response while there is an engine, and its last one otherwise. No activity, and it
/// wakes nothing.
async fn answer_poll(
    mut call: Call,
    status: Arc<dyn EngineStatus>,
    stale: Stale,
    request: Request<Incoming>,
    busy: Busy,
) -> Answered {
    let (gateway, uri) = (call.gateway.clone(), call.uri.clone());
    let last = |state| {
        let now = gateway.activity.clock().now();
        gateway.stale.answer(&uri, stale, state, now)
    };
    let state = status.state();
    if state == EngineState::Up {
        call.connector = status.clone();
    } else if let Some(known) = last(state) {
        return known.into();
    }
    // A read that was never answered before is sent like any other request.
    match pass(call, request, busy).await {
        Err(error @ (Error::Open(_) | Error::Lost(_))) => {
            last(status.state()).unwrap_or_else(|| respond::error(error)).into()
        }
        passed => passed.unwrap_or_else(|error| respond::error(error).into()),
    }
}

/// The client's own name for itself. Some put their whole environment into it.
fn client_name<B>(request: &Request<B>) -> Option<String> {
    const LONGEST: usize = 80;
    let name = request.headers().get(USER_AGENT)?.to_str().ok()?.trim();
    (!name.is_empty()).then(|| name.chars().take(LONGEST).collect())
}

async fn pass_or_fail(call: Call, request: Request<Incoming>, busy: Busy) -> Answered {
    pass(call, request, busy).await.unwrap_or_else(|error| respond::error(error).into())
}

/// The steps before the engine, the engine, and the steps behind it.
async fn pass(mut call: Call, request: Request<Incoming>, busy: Busy) -> Result<Answered, Error> {
    let is_get = request.method() == Method::GET;
    let mut outgoing = Outgoing::new(request, call.raw);
    for step in STEPS {
        step.before(&mut call, &mut outgoing).await?;
    }
    let request = outgoing.into_request(&call);
    let (mut response, upstream) = exchange::send(&call, request).await?;
    for step in STEPS {
        step.head(&mut call, &response).await?;
    }
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(hijacked(&call, response, upstream, busy));
    }
    if call.route.lasting {
        call.guard.becomes(call.route.lasting_kind);
    }
    response.headers_mut().remove(CONNECTION);
    if upstream.io().has_stopped() {
        let (parts, _) = response.into_parts();
        let (relay, body) = Relay::of(upstream, call.guard, busy);
        let response = Response::from_parts(parts, body);
        return Ok(Answered { response, takeover: Some(Takeover::Relay(relay)) });
    }
    let mut response = streamed(&call, response, upstream, busy, is_get).await;
    for step in STEPS {
        response = step.after(&call, response).await?;
    }
    Ok(response.into())
}

/// The response with the engine's body, which frees the connection at its end.
async fn streamed(
    call: &Call,
    response: Response<Incoming>,
    upstream: Upstream,
    busy: Busy,
    is_get: bool,
) -> Response<ResponseBody> {
    let Call { gateway, client, route, guard, .. } = call;
    let is_read = is_get && matches!(route.without_machine, WithoutMachine::Stale(_));
    let recording = if gateway.status.is_some() && is_read {
        gateway.stale.record(&call.uri, &response, gateway.activity.clock().now())
    } else {
        None
    };
    let advice = disk_space::advice(gateway.status.as_ref(), route, response.headers()).await;
    let exchange = Exchange { guard: guard.clone(), upstream, client: client.clone(), busy };
    response.map(|body| {
        let body = EngineBody::new(body, exchange)
            .after(ports_freed(call))
            .recorded(recording)
            .with_advice(advice);
        ResponseBody::streamed(body)
    })
}

/// The head of the response to `wait` comes at once, its body when the container has ended. The
/// ports are free before the body.
fn ports_freed(call: &Call) -> Option<BoxFuture<'static, ()>> {
    let (Some(ports), PortsStep::Wait(container)) = (&call.gateway.ports, &call.route.ports) else {
        return None;
    };
    let (ports, container) = (ports.clone(), container.clone());
    Some(Box::pin(async move { ports.settle(&container).await }))
}

/// The engine has taken the connection over.
fn hijacked(
    call: &Call,
    mut response: Response<Incoming>,
    upstream: Upstream,
    busy: Busy,
) -> Answered {
    call.guard.becomes(call.route.lasting_kind);
    let content_type = response.headers().get(CONTENT_TYPE);
    let framed = content_type.is_some_and(|content_type| content_type == stdcopy::CONTENT_TYPE);
    let upgrade = hyper::upgrade::on(&mut response);
    let (guard, request) = (call.guard.clone(), tunnel::current_request());
    let hijacked = Hijacked { upgrade, upstream, guard, framed, request };
    drop(busy);
    let mut response = response.map(|_| ResponseBody::whole(Bytes::new()));
    if call.raw {
        without_upgrade(&mut response);
        call.client.write_state.raise_version();
    }
    Answered { response, takeover: Some(Takeover::Hijack(hijacked)) }
}

/// The response to a client that did not ask for an upgrade: it has no length, so the stream is
/// whatever follows its head.
fn without_upgrade(response: &mut Response<ResponseBody>) {
    *response.status_mut() = StatusCode::OK;
    *response.version_mut() = Version::HTTP_10;
    response.extensions_mut().remove::<hyper::ext::ReasonPhrase>();
    response.headers_mut().remove(CONNECTION);
    response.headers_mut().remove(UPGRADE);
    *response.body_mut() = ResponseBody::Endless;
}
