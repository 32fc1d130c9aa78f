//! The steps of the pipeline. Each is a value that may act at three points of a request: before the
//! engine gets it, when the head of the response is there, and when the response passes.
//!
//! This is the wiring only; each rule stands in a file of `rules` or `local`.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::{Request, Response, StatusCode, Version, request};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::ext::on_informational;

use crate::context::{Call, Creation};
use crate::error::Error;
use crate::local::ping;
use crate::rules::bind_mounts::{self, Outcome};
use crate::rules::endpoint::BodyPaths;
use crate::rules::local_path::BindMounts;
use crate::rules::port_advice::{self, HostNetwork};
use crate::rules::portless::asks_for_no_port;
use crate::rules::route::PortsStep;
use crate::rules::{disk_space, refused_start};
use crate::wire::gate::Gate;
use crate::wire::request_body::RequestBody;
use crate::wire::response_body::ResponseBody;

/// In bytes. A body that names directories is read as a whole. The largest that tools send have a
/// few kilobytes.
const MAX_READ: usize = 4 << 20;

/// In the order in which they act.
pub(crate) const STEPS: [Step; 6] = [
    Step::Identity,
    Step::DiskSpace,
    Step::Ports,
    Step::BindMounts,
    Step::Portless,
    Step::PortAdvice,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Learns from every response which engine answers.
    Identity,
    /// Refuses what fills a full disk, and adds advice where the engine reports one.
    DiskSpace,
    /// Takes local ports before a container starts, and frees them before its end is reported.
    Ports,
    /// Refuses bind mounts of this computer's paths.
    BindMounts,
    /// Remembers containers that publish no port.
    Portless,
    /// Explains ports of the machine itself.
    PortAdvice,
}

/// A request that is about to be sent to the engine.
pub(crate) struct Outgoing {
    pub(crate) parts: request::Parts,
    body: OutgoingBody,
}

enum OutgoingBody {
    Client(Incoming),
    Read(RequestBody),
    Taken,
}

impl Step {
    /// Before the engine gets the request. An error is the response.
    pub(crate) async fn before(
        self,
        call: &mut Call,
        outgoing: &mut Outgoing,
    ) -> Result<(), Error> {
        match self {
            Self::DiskSpace => disk_space::before(call.gateway.status.as_ref(), &call.route).await,
            Self::Ports => reserve_ports(call).await,
            Self::BindMounts => examine_body(call, outgoing).await,
            Self::Identity | Self::Portless | Self::PortAdvice => Ok(()),
        }
    }

    /// When the head of the response is there, before the client gets it.
    pub(crate) async fn head(
        self,
        call: &mut Call,
        response: &Response<Incoming>,
    ) -> Result<(), Error> {
        match self {
            Self::Identity => {
                call.gateway.identity.recognize(response.headers()).await;
                Ok(())
            }
            Self::Ports => settle_ports(call, response.status()).await,
            Self::DiskSpace | Self::BindMounts | Self::Portless | Self::PortAdvice => Ok(()),
        }
    }

    /// As the response passes to the client.
    pub(crate) async fn after(
        self,
        call: &Call,
        response: Response<ResponseBody>,
    ) -> Result<Response<ResponseBody>, Error> {
        let Call { gateway, route, creation, .. } = call;
        match self {
            Self::Identity => ping::learn(&gateway.identity, route, response).await,
            Self::DiskSpace => disk_space::after(gateway.status.as_ref(), route, response).await,
            Self::Portless if creation.publishes_nothing => gateway.portless.learn(response).await,
            Self::PortAdvice => match (&creation.host_network, &call.refused) {
                (Some(network), _) => {
                    port_advice::warn(network, route.name.as_deref(), response).await
                }
                (None, Some(asked)) => port_advice::advise(asked, response).await,
                (None, None) => Ok(response),
            },
            Self::Ports | Self::BindMounts | Self::Portless => Ok(response),
        }
    }
}

impl Outgoing {
    /// The head as the engine gets it. `Connection` concerns the client's connection, except in an
    /// upgrade. With `raw`, the client expects a raw stream without asking for an upgrade.
    pub(crate) fn new(request: Request<Incoming>, raw: bool) -> Self {
        let (mut parts, body) = request.into_parts();
        parts.version = Version::HTTP_11;
        // A client of HTTP/1.0 need not name the host; HTTP/1.1 requires it.
        parts.headers.entry(HOST).or_insert(HeaderValue::from_static("docker"));
        if let Some(encoding) = parts.headers.get_mut(TRANSFER_ENCODING) {
            // Other encodings are refused, but a client may write this one in capitals.
            *encoding = HeaderValue::from_static("chunked");
        }
        if raw {
            // The engine treats both forms alike, and only in this one the stream cannot be
            // mistaken for the next request.
            parts.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            parts.headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
        } else if !parts.headers.contains_key(UPGRADE) {
            parts.headers.remove(CONNECTION);
        }
        Self { parts, body: OutgoingBody::Client(body) }
    }

    pub(crate) fn into_request(self, call: &Call) -> Request<RequestBody> {
        let Self { mut parts, body } = self;
        let body = match body {
            OutgoingBody::Client(body) => {
                let mut body = RequestBody::streamed(body, call.guard.clone());
                if call.expects {
                    wait_for_continue(call, &mut parts, &mut body);
                }
                body
            }
            OutgoingBody::Read(body) => body,
            OutgoingBody::Taken => RequestBody::empty(call.guard.clone()),
        };
        Request::from_parts(parts, body)
    }
}

/// The client sends its body after `100 Continue`, and the engine decides about that: it may refuse
/// the request by the head alone.
fn wait_for_continue(call: &Call, parts: &mut request::Parts, body: &mut RequestBody) {
    let gate = Arc::<Gate>::default();
    call.client.in_flight.gated_by(gate.clone());
    body.wait_for(gate.clone());
    let mut carrier = Request::new(());
    on_informational(&mut carrier, move |response| {
        if response.status() == StatusCode::CONTINUE {
            gate.open();
        }
    });
    parts.extensions.extend(std::mem::take(carrier.extensions_mut()));
}

/// A conflict is an error before anything runs. A container that publishes nothing needs no
/// inspect.
async fn reserve_ports(call: &mut Call) -> Result<(), Error> {
    let (Some(ports), PortsStep::Start(container)) = (&call.gateway.ports, &call.route.ports)
    else {
        return Ok(());
    };
    if !ports.minds_every_start() && call.gateway.portless.contains(container) {
        return Ok(());
    }
    match ports.reserve(container).await {
        Ok(reservation) => call.reservation = Some(reservation),
        Err(conflict) => {
            let (connections, connector) = (&call.client.connections, &*call.connector);
            refused_start::clean_up(connections, connector, &call.guard, &conflict.id).await;
            return Err(conflict.into());
        }
    }
    Ok(())
}

/// Ports are open before the client hears that a container runs or which numbers the engine chose,
/// and free before it hears that the container has ended.
async fn settle_ports(call: &mut Call, status: StatusCode) -> Result<(), Error> {
    let reservation = call.reservation.take();
    if !status.is_success() && status != StatusCode::NOT_MODIFIED {
        call.refused = reservation.and_then(|reservation| reservation.refused());
        return Ok(());
    }
    match (&call.gateway.ports, &call.route.ports, reservation) {
        (_, PortsStep::Start(_), Some(reservation)) => reservation.started().await?,
        (Some(ports), PortsStep::End(container), _) => ports.settle(container).await,
        (Some(ports), PortsStep::Show(container), _) => ports.opened(container.as_deref()).await,
        _ => {}
    }
    Ok(())
}

/// Reads a body that names directories, for paths of this computer and for ports. It passes byte
/// for byte unless a path in it is replaced.
async fn examine_body(call: &mut Call, outgoing: &mut Outgoing) -> Result<(), Error> {
    let Some(paths) = call.route.paths else { return Ok(()) };
    let follows_ports = paths == BodyPaths::Container && call.gateway.ports.is_some();
    let here = call.gateway.paths.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if here.bind_mounts == BindMounts::Remote && !follows_ports {
        return Ok(());
    }
    let OutgoingBody::Client(body) = std::mem::replace(&mut outgoing.body, OutgoingBody::Taken)
    else {
        return Ok(());
    };
    let read = Limited::new(body, MAX_READ).collect().await.map_err(|error| {
        error.downcast::<hyper::Error>().map_or(Error::TooLarge, |error| Error::BrokeOff(*error))
    })?;
    let (trailers, data) = (read.trailers().cloned(), read.to_bytes());
    let examined = tokio::task::spawn_blocking({
        let data = data.clone();
        move || {
            let outcome = bind_mounts::examine(paths, &data, &here);
            let host_network = || HostNetwork::of(&serde_json::from_slice(&data).ok()?);
            let creation = Creation {
                publishes_nothing: paths == BodyPaths::Container && asks_for_no_port(&data),
                host_network: if follows_ports { host_network() } else { None },
            };
            (outcome, creation)
        }
    });
    let (outcome, creation) = examined.await.map_err(Error::Panicked)?;
    call.creation = creation;
    let data = match outcome {
        Outcome::Pass => data,
        Outcome::Replace(data) => {
            if outgoing.parts.headers.contains_key(CONTENT_LENGTH) {
                outgoing.parts.headers.insert(CONTENT_LENGTH, data.len().into());
            }
            Bytes::from(data)
        }
        Outcome::Refuse(refused) => return Err(Error::LocalPath(refused)),
    };
    outgoing.body = OutgoingBody::Read(RequestBody::whole(data, trailers, call.guard.clone()));
    Ok(())
}
