//! The few questions that published ports ask the engine: one container, the running ones, and what happens to them.
//!
//! Each question travels on a stream of its own and is no activity: nobody asked for it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio_util::task::AbortOnDropHandle;
use tunnel::{Class, Connector, Destination, OpenError};

use crate::publication::{PortBinding, PortMap};

/// An answer larger than this is not about containers. 10,000 containers in a list are about 10 MB.
const MAX_ANSWER: usize = 64 << 20;

/// One event is about 1 KB; labels make it longer.
const MAX_EVENT: usize = 1 << 20;

/// `{"type":["container","network"],"event":["start","die","destroy","rename","connect","disconnect"]}`. A pause is not among it: a paused container
/// keeps its ports.
const EVENTS: &str = "%7B%22type%22%3A%5B%22container%22%2C%22network%22%5D%2C%22event%22%3A%5B%22start%22%2C%22die%22%2C%22destroy%22%2C%22rename%22%2C%22\
                      connect%22%2C%22disconnect%22%5D%7D";

/// Why the engine did not say.
#[derive(Debug, Error)]
pub enum EngineError {
    /// No stream to it.
    #[error("the engine cannot be reached")]
    Open(#[source] OpenError),
    /// The stream broke.
    #[error("the engine broke off its answer")]
    Exchange(#[source] hyper::Error),
    /// The answer broke off or is endless.
    #[error("the engine's answer could not be read")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It refused.
    #[error("the engine answered {status}: {message}")]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// Its own words.
        message: String,
    },
    /// It said something that the Engine API does not know.
    #[error("the engine's answer was not understood")]
    Decode(#[source] serde_json::Error),
}

/// `GET /containers/{id}/json`, as far as ports are concerned.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Inspected {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) state: State,
    pub(crate) host_config: HostConfig,
    pub(crate) network_settings: NetworkSettings,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct State {
    pub(crate) running: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HostConfig {
    #[serde(default)]
    pub(crate) port_bindings: Option<PortMap>,
    #[serde(default)]
    pub(crate) publish_all_ports: bool,
    #[serde(default)]
    network_mode: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NetworkSettings {
    #[serde(default)]
    pub(crate) ports: Option<PortMap>,
    #[serde(default)]
    networks: Option<BTreeMap<String, Network>>,
}

#[derive(Debug, Clone, Deserialize)]
struct Network {
    #[serde(default, rename = "IPAddress")]
    address: String,
    #[serde(default, rename = "GlobalIPv6Address")]
    address_v6: String,
}

impl HostConfig {
    /// Without a network of its own, a container publishes nothing, whatever it asks for.
    pub(crate) fn publishes(&self) -> bool {
        !(matches!(self.network_mode.as_str(), "host" | "none") || self.network_mode.starts_with("container:"))
    }
}

/// Where the container's own ports answer, as seen from the machine. `None` without a network.
fn own_address(mode: &str, settings: &NetworkSettings) -> Option<IpAddr> {
    if mode == "host" {
        return Some(Ipv4Addr::LOCALHOST.into());
    }
    let networks = settings.networks.iter().flat_map(BTreeMap::values);
    networks.flat_map(|network| [&network.address, &network.address_v6]).find_map(|address| address.parse().ok())
}

impl Inspected {
    pub(crate) fn address(&self) -> Option<IpAddr> {
        own_address(&self.host_config.network_mode, &self.network_settings)
    }
}

/// One entry of `GET /containers/json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Listed {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) names: Vec<String>,
    #[serde(default)]
    ports: Vec<ListedPort>,
    #[serde(default)]
    host_config: HostConfig,
    #[serde(default)]
    network_settings: NetworkSettings,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedPort {
    #[serde(default, rename = "IP")]
    ip: String,
    private_port: u16,
    #[serde(default)]
    public_port: Option<u16>,
    #[serde(rename = "Type")]
    protocol: String,
}

impl Listed {
    /// Links of the old kind add names of the form `/other/alias`; its own has one slash.
    pub(crate) fn name(&self) -> &str {
        self.names.iter().map(|name| name.trim_start_matches('/')).find(|name| !name.contains('/')).unwrap_or(&self.id)
    }

    pub(crate) fn address(&self) -> Option<IpAddr> {
        own_address(&self.host_config.network_mode, &self.network_settings)
    }

    pub(crate) fn port_map(&self) -> PortMap {
        let mut map = PortMap::new();
        for port in &self.ports {
            let bindings = map.entry(format!("{}/{}", port.private_port, port.protocol)).or_default();
            if let Some(public) = port.public_port {
                let binding = PortBinding { host_ip: port.ip.clone(), host_port: public.to_string() };
                bindings.get_or_insert_default().push(binding);
            }
        }
        map
    }
}

/// `GET /info`, as far as it says how the engine runs.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Info {
    #[serde(default)]
    security_options: Option<Vec<String>>,
}

/// One entry of `GET /networks`, as far as the machine's own addresses are concerned.
#[derive(Debug, Deserialize)]
struct ListedNetwork {
    #[serde(default, rename = "IPAM")]
    ipam: Ipam,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ipam {
    #[serde(default)]
    config: Option<Vec<IpamConfig>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IpamConfig {
    #[serde(default)]
    gateway: String,
}

/// An engine behind a connector.
#[derive(Clone, Copy)]
pub(crate) struct Engine<'a>(pub(crate) &'a dyn Connector);

impl Engine<'_> {
    /// `None` when there is no such container.
    pub(crate) async fn inspect(self, reference: &str) -> Result<Option<Inspected>, EngineError> {
        match self.get(&format!("/containers/{reference}/json")).await {
            Ok(inspected) => Ok(Some(inspected)),
            Err(EngineError::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The running containers.
    pub(crate) async fn list(self) -> Result<Vec<Listed>, EngineError> {
        self.get("/containers/json").await
    }

    /// The addresses that the machine itself has in networks of containers.
    pub(crate) async fn gateways(self) -> Result<BTreeSet<IpAddr>, EngineError> {
        let networks: Vec<ListedNetwork> = self.get("/networks").await?;
        let configs = networks.into_iter().flat_map(|network| network.ipam.config.unwrap_or_default());
        Ok(configs.filter_map(|config| config.gateway.parse().ok()).collect())
    }

    /// Whether it runs without root, so that its containers' networks are in a namespace of their own.
    pub(crate) async fn is_rootless(self) -> Result<bool, EngineError> {
        let info: Info = self.get("/info").await?;
        Ok(info.security_options.iter().flatten().any(|option| option.split(',').any(|part| part == "name=rootless")))
    }

    /// Containers that start, end, change their name or their networks, from now on.
    pub(crate) async fn events(self) -> Result<Events, EngineError> {
        let (body, connection) = self.send(&format!("/events?filters={EVENTS}")).await?;
        Ok(Events { body, buffer: BytesMut::new(), _connection: connection })
    }

    async fn get<T: DeserializeOwned>(self, path: &str) -> Result<T, EngineError> {
        let (body, _connection) = self.send(path).await?;
        let bytes = Limited::new(body, MAX_ANSWER).collect().await.map_err(EngineError::Body)?.to_bytes();
        serde_json::from_slice(&bytes).map_err(EngineError::Decode)
    }

    async fn send(self, path: &str) -> Result<(Incoming, AbortOnDropHandle<()>), EngineError> {
        let stream = self.0.open(Destination::Docker, Class::Interactive).await.map_err(EngineError::Open)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(EngineError::Exchange)?;
        let connection = AbortOnDropHandle::new(tokio::spawn(async move {
            // Its failure is seen by whoever reads the answer.
            let _ = connection.await;
        }));
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = path.parse().map_err(|_| EngineError::Refused {
            status: StatusCode::BAD_REQUEST,
            message: format!("{path:?} is no path of the Docker API"),
        })?;
        request.headers_mut().insert(http::header::HOST, http::HeaderValue::from_static("docker"));
        let response = sender.send_request(request).await.map_err(|error| match OpenError::of(&error) {
            Some(refusal) => EngineError::Open(refusal.clone()),
            None => EngineError::Exchange(error),
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok((response.into_body(), connection));
        }
        let bytes = Limited::new(response.into_body(), MAX_EVENT).collect().await.map_err(EngineError::Body)?.to_bytes();
        #[derive(Deserialize)]
        struct Refusal {
            message: String,
        }
        let message = serde_json::from_slice(&bytes)
            .map_or_else(|_| String::from_utf8_lossy(&bytes).trim().to_owned(), |refusal: Refusal| refusal.message);
        Err(EngineError::Refused { status, message })
    }
}

/// The engine's event stream: ids of containers of which there is news.
pub(crate) struct Events {
    body: Incoming,
    buffer: BytesMut,
    _connection: AbortOnDropHandle<()>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    #[serde(default, rename = "Type")]
    kind: String,
    actor: Actor,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Actor {
    #[serde(rename = "ID")]
    id: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

impl Event {
    /// An event of a network names the network, and its container beside it.
    fn container(mut self) -> Option<String> {
        if self.kind == "network" { self.actor.attributes.remove("container") } else { Some(self.actor.id) }
    }
}

impl Events {
    /// Waits for news; what has come meanwhile comes together. `None` when the engine ends the stream. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Option<BTreeSet<String>>, EngineError> {
        loop {
            let ids = self.parse()?;
            if !ids.is_empty() {
                return Ok(Some(ids));
            }
            if self.buffer.len() > MAX_EVENT {
                return Err(EngineError::Body("an event of more than 1 MiB".into()));
            }
            match Pin::new(&mut self.body).frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(EngineError::Exchange(error)),
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
            }
        }
    }

    /// Takes whole events out of the buffer; a half one stays. Chunks need not end where events do.
    fn parse(&mut self) -> Result<BTreeSet<String>, EngineError> {
        let mut ids = BTreeSet::new();
        let mut events = serde_json::Deserializer::from_slice(&self.buffer).into_iter::<Event>();
        let mut read = 0;
        loop {
            match events.next() {
                Some(Ok(event)) => {
                    ids.extend(event.container());
                    read = events.byte_offset();
                }
                Some(Err(error)) if error.is_eof() => break,
                Some(Err(error)) => return Err(EngineError::Decode(error)),
                None => {
                    read = self.buffer.len();
                    break;
                }
            }
        }
        drop(self.buffer.split_to(read));
        Ok(ids)
    }
}
