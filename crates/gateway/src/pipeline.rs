//! What happens to a request, step by step: doors, classify, answer here, activity, room, ports,
//! folders, engine, ports again.
//!
//! The one place where requests are treated differently. A step that has nothing to say to a
//! request lets it pass as it is.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue, TRANSFER_ENCODING, UPGRADE,
    USER_AGENT,
};
use http::{Method, Request, Response, StatusCode, Version, request};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Incoming};
use hyper::ext::on_informational;
use lifecycle::Guard;
use ports::{Conflict, Reservation};
use tunnel::{Class, Connector, OpenError};

use crate::context::{Busy, Hijacked, Link};
use crate::error::Failure;
use crate::local::engine_status::{EngineState, EngineStatus};
use crate::local::events;
use crate::local::wait_progress;
use crate::rules::bind_mounts::{self, BindMounts, Outcome};
use crate::rules::disk_space;
use crate::rules::endpoints::{Binds, PortsStep, Route, classify};
use crate::rules::origin;
use crate::rules::port_advice::{self, InHostNetwork};
use crate::rules::portless::asks_for_no_port;
use crate::rules::refused_start;
use crate::serve::Inner as Gateway;
use crate::takeover::relay::{self, Relay};
use crate::upstream::connection::Upstream;
use crate::wire::body::{Exchange, Gate, Passed, ReplyBody, RequestBody};
use crate::wire::framing::MAX_HEAD;
use crate::wire::stdcopy;

/// What a request that names folders may weigh: it is read as a whole. The biggest that tools send
/// have a few kilobytes.
const MAX_READ: usize = 4 << 20;

/// What is known of a client beside its request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    pub(crate) may_be_a_browser: bool,
    /// It waits for a word before it sends the body.
    pub(crate) waits: bool,
}

/// Answers one request. What goes wrong is an answer too; only an answer of the engine that breaks
/// off ends the client's connection.
pub(crate) async fn answer(
    gateway: Arc<Gateway>,
    link: Arc<Link>,
    request: Request<Incoming>,
    client: Client,
) -> Response<ReplyBody> {
    if client.may_be_a_browser
        && let Some(why) = origin::refusal(request.uri(), request.headers())
    {
        return Failure::Forbidden(why).into_response();
    }
    let route = classify(request.method(), request.uri(), request.headers());
    if let Some(known) = gateway.knowledge.answer(request.method(), &route) {
        return known;
    }
    let busy = link.begin();
    if let Some(presence) = gateway.presence.as_ref().filter(|_| route.events) {
        let known = gateway.knowledge.headers();
        return events::follow(presence.clone(), &request, known, busy)
            .await
            .unwrap_or_else(Failure::into_response);
    }
    let client_name = client_name(&request);
    if let Some(presence) = gateway
        .presence
        .as_ref()
        .filter(|_| is_poll(&gateway, &route, &request, client_name.as_deref()))
    {
        return answer_poll(&gateway, &link, &route, request, client, &**presence, busy).await;
    }
    let guard = Arc::new(gateway.activity.begin_for(route.kind, route.source.clone(), client_name));
    // A client that waits for `100 Continue` gets the engine's word, not ours.
    let lines =
        route.progress.filter(|_| !client.waits && !request.headers().contains_key(UPGRADE));
    let (presence, known) = (gateway.presence.clone(), gateway.knowledge.headers());
    let answering = async move {
        let held = Held { guard, busy, connector: &*gateway.connector };
        pass(&gateway, &link, &route, request, client, held)
            .await
            .unwrap_or_else(Failure::into_response)
    };
    match (lines, presence) {
        (Some(lines), Some(presence)) => {
            wait_progress::answer(Box::pin(answering), presence, lines, known).await
        }
        _ => answering.await,
    }
}

/// Whether a client asks this again and again. Who polls has to be told from who asks, or a machine
/// that is looked at would never go.
fn is_poll<B>(
    gateway: &Gateway,
    route: &Route,
    request: &Request<B>,
    client: Option<&str>,
) -> bool {
    if !route.read_only {
        return false;
    }
    let signature =
        format!("{} {} {}", client.unwrap_or_default(), request.method(), request.uri());
    let awake = gateway.activity.clock().awake();
    // Every critical section leaves it whole.
    gateway.polling.lock().unwrap_or_else(PoisonError::into_inner).arrives(&signature, awake)
}

/// The engine's answer while there is one, and its last one otherwise. No activity, and nothing is
/// woken.
async fn answer_poll(
    gateway: &Arc<Gateway>,
    link: &Arc<Link>,
    route: &Route,
    request: Request<Incoming>,
    client: Client,
    presence: &dyn EngineStatus,
    busy: Busy,
) -> Response<ReplyBody> {
    let uri = request.uri().clone();
    let last = |standing| gateway.last_known.answer(&uri, standing, gateway.activity.clock().now());
    let standing = presence.state();
    if standing != EngineState::Up
        && let Some(known) = last(standing)
    {
        return known;
    }
    let guard = Arc::new(Guard::of_nothing(&gateway.activity));
    // What was never answered before is asked as anybody would ask it.
    let connector: &dyn Connector =
        if standing == EngineState::Up { presence } else { &*gateway.connector };
    match pass(gateway, link, route, request, client, Held { guard, busy, connector }).await {
        Err(failure @ (Failure::Open(_) | Failure::Lost(_))) => {
            last(presence.state()).unwrap_or_else(|| failure.into_response())
        }
        passed => passed.unwrap_or_else(Failure::into_response),
    }
}

/// As the client calls itself; some tell the whole of their environment.
fn client_name<B>(request: &Request<B>) -> Option<String> {
    const LONGEST: usize = 80;
    let name = request.headers().get(USER_AGENT)?.to_str().ok()?.trim();
    (!name.is_empty()).then(|| name.chars().take(LONGEST).collect())
}

/// What a request holds on its way, and how it gets to an engine.
struct Held<'a> {
    guard: Arc<Guard>,
    busy: Busy,
    connector: &'a dyn Connector,
}

async fn pass(
    gateway: &Arc<Gateway>,
    link: &Arc<Link>,
    route: &Route,
    request: Request<Incoming>,
    client: Client,
    held: Held<'_>,
) -> Result<Response<ReplyBody>, Failure> {
    let Held { guard, busy, connector } = held;
    let (uri, method) = (request.uri().clone(), request.method().clone());
    disk_space::before(gateway.presence.as_ref(), route).await?;
    let reservation = match before_start(gateway, route).await {
        Err(conflict) => {
            refused_start::clean_up(link, connector, &guard, &conflict.id).await;
            return Err(conflict.into());
        }
        Ok(reservation) => reservation,
    };

    let stops = relay::may_follow(route, &request);
    let (mut parts, body) = request.into_parts();
    let raw = route.hijack && !parts.headers.contains_key(UPGRADE);
    prepare(&mut parts, raw);
    let mut read = None;
    let body = match route.binds {
        Some(binds) if reads(gateway, binds) => {
            let (body, looked) = look_at(gateway, binds, &mut parts, body, &guard).await?;
            read = Some(looked);
            body
        }
        _ => {
            let mut body = RequestBody::new(body, guard.clone());
            if client.waits {
                wait_for_the_engines_word(link, &mut parts, &mut body);
            }
            body
        }
    };
    let (mut response, upstream) =
        exchange(gateway, connector, link, route, Request::from_parts(parts, body), stops).await?;
    gateway.knowledge.recognise(response.headers()).await;

    let success = response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED;
    let mut refused = None;
    if success {
        before_it_is_told(gateway, route, reservation).await?;
    } else {
        refused = reservation.and_then(Reservation::refused);
    }

    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        guard.becomes(route.lasting_kind());
        let framed =
            response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == stdcopy::CONTENT_TYPE);
        link.hijacked(Hijacked {
            upgrade: hyper::upgrade::on(&mut response),
            upstream,
            guard,
            framed,
        });
        drop(busy);
        let (parts, _) = response.into_parts();
        let mut reply = Response::from_parts(parts, ReplyBody::whole(Bytes::new()));
        if raw {
            lower(&mut reply);
            link.told().raise_version();
        }
        return Ok(reply);
    }

    if route.lasting {
        guard.becomes(route.lasting_kind());
    }
    response.headers_mut().remove(CONNECTION);
    if upstream.io().has_stopped() {
        let (parts, _) = response.into_parts();
        let relay = Relay::of(upstream, guard, busy);
        return Ok(Response::from_parts(parts, ReplyBody::Relayed(Some(relay), link.clone())));
    }
    let remembered = gateway.presence.is_some() && route.read_only && method == Method::GET;
    let recording = if remembered {
        gateway.last_known.record(&uri, &response, gateway.activity.clock().now())
    } else {
        None
    };
    let advice = disk_space::advice(gateway.presence.as_ref(), route, response.headers()).await;
    let (parts, body) = response.into_parts();
    let exchange = Exchange { guard, upstream, link: link.clone(), busy };
    let body = Passed::new(body, exchange, before_end_is_told(gateway, route), recording)
        .with_advice(advice);
    let response = Response::from_parts(parts, ReplyBody::Passed(body));
    let response = disk_space::after(gateway.presence.as_ref(), route, response).await?;
    let response = match (&read, &refused) {
        (Some(Looked { publishes_nothing: true, .. }), _) => {
            gateway.created.learn(response).await?
        }
        _ => response,
    };
    let response = match (read.and_then(|read| read.in_host_network), &refused) {
        (Some(network), _) => {
            port_advice::created(&network, route.name.as_deref(), response).await?
        }
        (_, Some(asked)) => port_advice::refused(asked, response).await?,
        _ => response,
    };
    learn(gateway, route, response).await
}

/// The head as it goes to the engine. `Connection` speaks of the client's connection, except in an
/// upgrade.
fn prepare(parts: &mut request::Parts, raw: bool) {
    parts.version = Version::HTTP_11;
    // A client of version 1.0 need not name it; the engine wants one in 1.1.
    parts.headers.entry(HOST).or_insert(HeaderValue::from_static("docker"));
    if let Some(encoding) = parts.headers.get_mut(TRANSFER_ENCODING) {
        // Nothing else is let in, but clients may write it in capitals.
        *encoding = HeaderValue::from_static("chunked");
    }
    if raw {
        // The engine treats both forms alike, and only this one lets the bytes be told from the
        // next request.
        parts.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        parts.headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
    } else if !parts.headers.contains_key(UPGRADE) {
        parts.headers.remove(CONNECTION);
    }
}

/// The answer to a client that did not ask for an upgrade: no length, so whatever follows the head
/// is the stream.
fn lower(reply: &mut Response<ReplyBody>) {
    *reply.status_mut() = StatusCode::OK;
    *reply.version_mut() = Version::HTTP_10;
    reply.extensions_mut().remove::<hyper::ext::ReasonPhrase>();
    reply.headers_mut().remove(CONNECTION);
    reply.headers_mut().remove(UPGRADE);
    *reply.body_mut() = ReplyBody::Endless;
}

/// Whether the body is looked at: for paths of this computer, and for ports, so that nothing has to
/// be asked when the container starts.
fn reads(gateway: &Gateway, binds: Binds) -> bool {
    gateway.folders.bind_mounts == BindMounts::Refuse
        || (binds == Binds::Container && gateway.ports.is_some())
}

/// Paths of this computer are looked for in the body, which is read for that and passes byte for
/// byte. Tells as well whether it is of a container that publishes nothing.
async fn look_at(
    gateway: &Gateway,
    binds: Binds,
    parts: &mut request::Parts,
    body: Incoming,
    guard: &Arc<Guard>,
) -> Result<(RequestBody, Looked), Failure> {
    let read = Limited::new(body, MAX_READ).collect().await.map_err(|error| match error
        .downcast::<hyper::Error>()
    {
        Ok(error) => Failure::BrokeOff(*error),
        Err(_) => Failure::TooLarge,
    })?;
    let (trailers, data, folders) =
        (read.trailers().cloned(), read.to_bytes(), gateway.folders.clone());
    let published = binds == Binds::Container && gateway.ports.is_some();
    let looked = tokio::task::spawn_blocking({
        let data = data.clone();
        move || {
            let outcome = bind_mounts::look(binds, &data, &folders);
            let in_host_network = || InHostNetwork::of(&mut serde_json::from_slice(&data).ok()?);
            let looked = Looked {
                publishes_nothing: binds == Binds::Container && asks_for_no_port(&data),
                in_host_network: if published { in_host_network() } else { None },
            };
            (outcome, looked)
        }
    });
    let (outcome, looked) = looked.await.map_err(Failure::Inside)?;
    let body = match outcome {
        Outcome::Pass => RequestBody::read(data, trailers, guard.clone()),
        Outcome::Instead(data) => {
            if parts.headers.contains_key(CONTENT_LENGTH) {
                parts.headers.insert(CONTENT_LENGTH, data.len().into());
            }
            RequestBody::read(data.into(), trailers, guard.clone())
        }
        Outcome::Refused(refused) => return Err(Failure::Folder(refused)),
    };
    Ok((body, looked))
}

/// What was seen in the body of a creation.
struct Looked {
    publishes_nothing: bool,
    in_host_network: Option<InHostNetwork>,
}

/// One request, one answer. A connection that went stale between two requests, or a stream that
/// died before a byte of an answer came, is replaced once without a word, where nothing can happen
/// twice.
async fn exchange(
    gateway: &Gateway,
    connector: &dyn Connector,
    link: &Link,
    route: &Route,
    request: Request<RequestBody>,
    stops: bool,
) -> Result<(Response<Incoming>, Upstream), Failure> {
    let (parts, body) = request.into_parts();
    let again = (body.is_end_stream()
        && (parts.method == Method::GET || parts.method == Method::HEAD))
        .then(|| parts.clone());
    let empty = body.another_empty();
    let passes_end = !parts.headers.contains_key(UPGRADE);
    let mut request = Request::from_parts(parts, body);

    let kept = match link.idle(route.class, route.lasting).await {
        Some(own) => Some(own),
        None if again.is_some() && route.class != Class::Bulk => spare(gateway, link).await,
        None => None,
    };
    if let Some(mut upstream) = kept {
        gateway.knowledge.lower(request.uri_mut());
        link.carried_by(&upstream, passes_end);
        let mut failed = match upstream.send(request, stops).await {
            Ok(response) => return Ok((response, upstream)),
            Err(failed) => failed,
        };
        tracing::debug!(request = %route.source, error = %failed.error(), "a kept connection to the engine was stale");
        request = match (failed.take_message(), &again) {
            (Some(unsent), _) => unsent,
            (None, Some(parts)) => Request::from_parts(parts.clone(), empty.another_empty()),
            (None, None) => return Err(Failure::of(failed.into_error())),
        };
    }

    let mut second_chance = true;
    loop {
        let mut upstream = link.dial(connector, route.class).await?;
        // Behind the way to it, which may have woken another engine.
        gateway.knowledge.lower(request.uri_mut());
        link.carried_by(&upstream, passes_end);
        let mut failed = match upstream.send(request, stops).await {
            Ok(response) => return Ok((response, upstream)),
            Err(failed) => failed,
        };
        let died =
            second_chance && matches!(OpenError::of(failed.error()), Some(OpenError::Dead { .. }));
        request = match (failed.take_message(), &again) {
            (Some(unsent), _) if died => unsent,
            (None, Some(parts)) if died => {
                Request::from_parts(parts.clone(), empty.another_empty())
            }
            _ => return Err(Failure::of(failed.into_error())),
        };
        tracing::debug!(request = %route.source, "a new stream to the engine died; another one is tried");
        second_chance = false;
    }
}

/// A connection that another client left, while there is an engine to ask: what is ending is not
/// asked any more.
async fn spare(gateway: &Gateway, link: &Link) -> Option<Upstream> {
    if gateway.presence.as_ref().is_some_and(|presence| presence.state() != EngineState::Up) {
        return None;
    }
    let (mut upstream, driver) = gateway.spares.take().await?;
    link.adopt(&upstream, driver);
    upstream.is_ready().await.then_some(upstream)
}

/// The client sends its body when it is told to go on, and that is the engine's to say: it may
/// refuse by the head alone.
fn wait_for_the_engines_word(link: &Link, parts: &mut request::Parts, body: &mut RequestBody) {
    let gate = Arc::<Gate>::default();
    link.gated_by(gate.clone());
    body.waits_for(gate.clone());
    let mut carrier = Request::new(());
    on_informational(&mut carrier, move |said| {
        if said.status() == StatusCode::CONTINUE {
            gate.open();
        }
    });
    parts.extensions.extend(std::mem::take(carrier.extensions_mut()));
}

/// Ports are taken before the engine hears of the start: a conflict is an error, and nothing runs.
/// What is known to publish nothing is not asked about.
async fn before_start(gateway: &Gateway, route: &Route) -> Result<Option<Reservation>, Conflict> {
    match (&gateway.ports, &route.ports) {
        (Some(ports), PortsStep::Start(container))
            if ports.minds_every_start() || !gateway.created.publishes_nothing(container) =>
        {
            ports.reserve(container).await.map(Some)
        }
        _ => Ok(None),
    }
}

/// Ports answer before the client hears that the container runs, or which numbers the engine chose,
/// and are free before it hears that it does not run.
async fn before_it_is_told(
    gateway: &Gateway,
    route: &Route,
    reservation: Option<Reservation>,
) -> Result<(), Failure> {
    match (&gateway.ports, &route.ports, reservation) {
        (_, PortsStep::Start(_), Some(reservation)) => reservation.started().await?,
        (Some(ports), PortsStep::End(container), _) => ports.settle(container).await,
        (Some(ports), PortsStep::Tell(container), _) => ports.opened(container.as_deref()).await,
        _ => {}
    }
    Ok(())
}

/// The head of the answer to `wait` comes at once, its body when the container has ended.
fn before_end_is_told(gateway: &Gateway, route: &Route) -> Option<BoxFuture<'static, ()>> {
    let (Some(ports), PortsStep::Wait(container)) = (&gateway.ports, &route.ports) else {
        return None;
    };
    let (ports, container) = (ports.clone(), container.clone());
    Some(Box::pin(async move { ports.settle(&container).await }))
}

/// What the engine says about itself is remembered on its way.
async fn learn(
    gateway: &Gateway,
    route: &Route,
    response: Response<ReplyBody>,
) -> Result<Response<ReplyBody>, Failure> {
    let Some(answer) = route.answer.filter(|_| response.status() == StatusCode::OK) else {
        return Ok(response);
    };
    let (parts, body) = response.into_parts();
    let body =
        Limited::new(body, MAX_HEAD).collect().await.map_err(Failure::Unreadable)?.to_bytes();
    gateway.knowledge.learn(answer, &parts.headers, &body).await;
    Ok(Response::from_parts(parts, ReplyBody::whole(body)))
}
