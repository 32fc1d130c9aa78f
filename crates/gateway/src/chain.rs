//! What happens to a request, step by step: classify, answer here, activity, ports, engine, ports again.
//!
//! The one place where requests are treated differently. A step that has nothing to say to a request lets it pass as it is.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{Method, Request, Response, StatusCode, Version, request};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Incoming};
use lifecycle::{Guard, Kind};
use ports::Reservation;

use crate::body::{Exchange, Passed, ReplyBody, RequestBody};
use crate::classify::{PortsStep, Route, classify};
use crate::link::{Busy, Hijacked, Link};
use crate::reply::Failure;
use crate::serve::Inner as Gateway;
use crate::upstream::{MAX_HEAD, Upstream};

/// Answers one request. What goes wrong is an answer too; only an answer of the engine that breaks off ends the client's connection.
pub(crate) async fn answer(gateway: Arc<Gateway>, link: Arc<Link>, request: Request<Incoming>) -> Response<ReplyBody> {
    let route = classify(request.method(), request.uri());
    if let Some(known) = gateway.knowledge.answer(request.method(), &route) {
        return known;
    }
    let busy = link.begin();
    let guard = Arc::new(gateway.activity.begin(Kind::Command, route.source.clone()));
    pass(&gateway, &link, &route, request, guard, busy).await.unwrap_or_else(Failure::into_response)
}

async fn pass(
    gateway: &Arc<Gateway>,
    link: &Arc<Link>,
    route: &Route,
    request: Request<Incoming>,
    guard: Arc<Guard>,
    busy: Busy,
) -> Result<Response<ReplyBody>, Failure> {
    let reservation = before_start(gateway, route).await?;

    let (mut parts, body) = request.into_parts();
    let raw = route.hijack && !parts.headers.contains_key(UPGRADE);
    prepare(&mut parts, raw);
    let (mut response, upstream) = exchange(gateway, link, route, parts, RequestBody::new(body, guard.clone())).await?;
    gateway.knowledge.recognise(response.headers()).await;

    let success = response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED;
    if success {
        after_start_or_end(gateway, route, reservation).await;
    }

    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        guard.becomes(Kind::Stream);
        link.hijacked(Hijacked { upgrade: hyper::upgrade::on(&mut response), upstream, guard });
        drop(busy);
        let (parts, _) = response.into_parts();
        let mut reply = Response::from_parts(parts, ReplyBody::whole(Bytes::new()));
        if raw {
            lower(&mut reply);
        }
        return Ok(reply);
    }

    if route.lasting {
        guard.becomes(Kind::Stream);
    }
    response.headers_mut().remove(CONNECTION);
    let (parts, body) = response.into_parts();
    let exchange = Exchange { guard, upstream, link: link.clone(), busy };
    let body = ReplyBody::Passed(Passed::new(body, exchange, before_end_is_told(gateway, route)));
    learn(gateway, route, Response::from_parts(parts, body)).await
}

/// The head as it goes to the engine. `Connection` speaks of the client's connection, except in an upgrade.
fn prepare(parts: &mut request::Parts, raw: bool) {
    parts.version = Version::HTTP_11;
    if raw {
        // The engine treats both forms alike, and only this one lets the bytes be told from the next request.
        parts.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        parts.headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
    } else if !parts.headers.contains_key(UPGRADE) {
        parts.headers.remove(CONNECTION);
    }
}

/// The answer to a client that did not ask for an upgrade: no length, so whatever follows the head is the stream.
fn lower(reply: &mut Response<ReplyBody>) {
    *reply.status_mut() = StatusCode::OK;
    *reply.version_mut() = Version::HTTP_10;
    reply.extensions_mut().remove::<hyper::ext::ReasonPhrase>();
    reply.headers_mut().remove(CONNECTION);
    reply.headers_mut().remove(UPGRADE);
    *reply.body_mut() = ReplyBody::Endless;
}

/// One request, one answer. A connection that went stale between two requests is replaced without a word, where nothing can happen twice.
async fn exchange(
    gateway: &Gateway,
    link: &Link,
    route: &Route,
    parts: request::Parts,
    body: RequestBody,
) -> Result<(Response<Incoming>, Upstream), Failure> {
    let again = (body.is_end_stream() && (parts.method == Method::GET || parts.method == Method::HEAD)).then(|| parts.clone());
    let empty = body.another_empty();
    let mut request = Request::from_parts(parts, body);

    if let Some(mut upstream) = link.idle(route.class).await {
        link.carried_by(&upstream);
        let mut failed = match upstream.send(request).await {
            Ok(response) => return Ok((response, upstream)),
            Err(failed) => failed,
        };
        tracing::debug!(request = %route.source, error = %failed.error(), "a kept connection to the engine was stale");
        request = match (failed.take_message(), again) {
            (Some(unsent), _) => unsent,
            (None, Some(parts)) => Request::from_parts(parts, empty),
            (None, None) => return Err(failure(failed.into_error())),
        };
    }

    let mut upstream = link.dial(&*gateway.connector, route.class).await?;
    link.carried_by(&upstream);
    match upstream.send(request).await {
        Ok(response) => Ok((response, upstream)),
        Err(failed) => Err(failure(failed.into_error())),
    }
}

fn failure(error: hyper::Error) -> Failure {
    if error.is_user() { Failure::BrokeOff(error) } else { Failure::Lost(error) }
}

/// Ports are taken before the engine hears of the start: a conflict is an error, and nothing runs.
async fn before_start(gateway: &Gateway, route: &Route) -> Result<Option<Reservation>, Failure> {
    match (&gateway.ports, &route.ports) {
        (Some(ports), PortsStep::Start(container)) => Ok(Some(ports.reserve(container).await?)),
        _ => Ok(None),
    }
}

/// Ports answer before the client hears that the container runs, and are free before it hears that it does not.
async fn after_start_or_end(gateway: &Gateway, route: &Route, reservation: Option<Reservation>) {
    match (&gateway.ports, &route.ports, reservation) {
        (_, PortsStep::Start(_), Some(reservation)) => reservation.open().await,
        (Some(ports), PortsStep::End(container), _) => ports.settle(container).await,
        _ => {}
    }
}

/// The head of the answer to `wait` comes at once, its body when the container has ended.
fn before_end_is_told(gateway: &Gateway, route: &Route) -> Option<BoxFuture<'static, ()>> {
    let (Some(ports), PortsStep::Wait(container)) = (&gateway.ports, &route.ports) else { return None };
    let (ports, container) = (ports.clone(), container.clone());
    Some(Box::pin(async move { ports.settle(&container).await }))
}

/// What the engine says about itself is remembered on its way.
async fn learn(gateway: &Gateway, route: &Route, response: Response<ReplyBody>) -> Result<Response<ReplyBody>, Failure> {
    let Some(answer) = route.answer.filter(|_| response.status() == StatusCode::OK) else { return Ok(response) };
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, MAX_HEAD).collect().await.map_err(Failure::Unreadable)?.to_bytes();
    gateway.knowledge.learn(answer, &parts.headers, &body).await;
    Ok(Response::from_parts(parts, ReplyBody::whole(body)))
}
