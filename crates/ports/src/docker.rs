//! The queries of published ports to the engine: one container, the running ones, and events.
//!
//! Each query uses a stream of its own and does not count as activity, because no user asked for
//! it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio_util::task::AbortOnDropHandle;
use tunnel::{Class, Connector, Destination, OpenError};

use crate::engine_error::EngineError;
use crate::events::{EVENTS, Events};
use crate::publication::{PortBinding, PortMap};
use crate::swarm::Service;

/// The largest response, in bytes. 10,000 containers in a list are about 10 MB.
const MAX_ANSWER: usize = 64 << 20;

/// The largest error response, in bytes; it is a sentence.
const MAX_REFUSAL: usize = 1 << 20;

/// The parts of `GET /containers/{id}/json` that concern ports.
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
    pub(crate) auto_remove: bool,
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
    #[serde(default, rename = "Gateway")]
    gateway: String,
    #[serde(default, rename = "IPv6Gateway")]
    gateway_v6: String,
}

impl HostConfig {
    /// Whether the container publishes ports: without a network of its own it does not, whatever it
    /// requests.
    pub(crate) fn publishes(&self) -> bool {
        !(matches!(self.network_mode.as_str(), "host" | "none")
            || self.network_mode.starts_with("container:"))
    }
}

/// The container's own address, as seen from the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnAddress {
    /// This address; `None` without a network.
    At(Option<IpAddr>),
    /// None of its networks has a gateway, as with overlay networks: the machine may reach it
    /// through a bridge that `inspect` does not show. Without one this address is tried.
    Overlay(IpAddr),
}

impl OwnAddress {
    fn of(mode: &str, settings: &NetworkSettings) -> Self {
        if mode == "host" {
            return Self::At(Some(Ipv4Addr::LOCALHOST.into()));
        }
        let networks = || settings.networks.iter().flat_map(BTreeMap::values);
        let address = |network: &Network| {
            [&network.address, &network.address_v6]
                .into_iter()
                .find_map(|address| address.parse().ok())
        };
        let with_gateway =
            |network: &&Network| !network.gateway.is_empty() || !network.gateway_v6.is_empty();
        match (networks().filter(with_gateway).find_map(address), networks().find_map(address)) {
            (Some(address), _) => Self::At(Some(address)),
            (None, Some(address)) => Self::Overlay(address),
            (None, None) => Self::At(None),
        }
    }

    /// Combines it with the container's address from [`Engine::gateway_bridge`].
    pub(crate) fn with(self, bridged: Option<&IpAddr>) -> Option<IpAddr> {
        match self {
            Self::At(address) => address,
            Self::Overlay(address) => Some(bridged.copied().unwrap_or(address)),
        }
    }
}

impl Inspected {
    pub(crate) fn address(&self) -> OwnAddress {
        OwnAddress::of(&self.host_config.network_mode, &self.network_settings)
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
    /// Legacy links add names of the form `/other/alias`; the container's own name has one slash.
    pub(crate) fn name(&self) -> &str {
        self.names
            .iter()
            .map(|name| name.trim_start_matches('/'))
            .find(|name| !name.contains('/'))
            .unwrap_or(&self.id)
    }

    pub(crate) fn address(&self) -> OwnAddress {
        OwnAddress::of(&self.host_config.network_mode, &self.network_settings)
    }

    pub(crate) fn port_map(&self) -> PortMap {
        let mut map = PortMap::new();
        for port in &self.ports {
            let bindings =
                map.entry(format!("{}/{}", port.private_port, port.protocol)).or_default();
            if let Some(public) = port.public_port {
                let binding =
                    PortBinding { host_ip: port.ip.clone(), host_port: public.to_string() };
                bindings.get_or_insert_default().push(binding);
            }
        }
        map
    }
}

/// The part of `GET /info` that says how the engine runs.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Info {
    #[serde(default)]
    security_options: Option<Vec<String>>,
}

/// The part of an entry of `GET /networks` that has the machine's own addresses.
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

/// `GET /networks/docker_gwbridge`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GatewayBridge {
    #[serde(default)]
    containers: BTreeMap<String, BridgeEnd>,
}

#[derive(Debug, Deserialize)]
struct BridgeEnd {
    #[serde(default, rename = "IPv4Address")]
    address: String,
}

/// An engine behind a connector.
#[derive(Clone, Copy)]
pub(crate) struct Engine<'a>(pub(crate) &'a dyn Connector);

impl Engine<'_> {
    /// Returns `None` if there is no such container.
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

    /// Kills a container.
    pub(crate) async fn kill(self, id: &str) -> Result<(), EngineError> {
        self.send(Method::POST, &format!("/containers/{id}/kill")).await.map(drop)
    }

    /// The services of a swarm; none if the engine manages no swarm.
    pub(crate) async fn services(self) -> Result<Vec<Service>, EngineError> {
        match self.get("/services").await {
            Err(EngineError::Refused { .. }) => Ok(Vec::new()),
            answered => answered,
        }
    }

    /// The addresses at which the machine reaches containers whose networks are all overlays: those
    /// on the bridge that connects each such container to the outside.
    pub(crate) async fn gateway_bridge(self) -> Result<BTreeMap<String, IpAddr>, EngineError> {
        let bridge: GatewayBridge = match self.get("/networks/docker_gwbridge").await {
            Err(EngineError::Refused { .. }) => return Ok(BTreeMap::new()),
            answered => answered?,
        };
        let address = |(id, end): (String, BridgeEnd)| {
            Some((id, end.address.split('/').next()?.parse().ok()?))
        };
        Ok(bridge.containers.into_iter().filter_map(address).collect())
    }

    /// The machine's own addresses in networks of containers.
    pub(crate) async fn gateways(self) -> Result<BTreeSet<IpAddr>, EngineError> {
        let networks: Vec<ListedNetwork> = self.get("/networks").await?;
        let configs =
            networks.into_iter().flat_map(|network| network.ipam.config.unwrap_or_default());
        Ok(configs.filter_map(|config| config.gateway.parse().ok()).collect())
    }

    /// Whether it runs rootless, so that its containers' networks are in a network namespace of
    /// their own.
    pub(crate) async fn is_rootless(self) -> Result<bool, EngineError> {
        let info: Info = self.get("/info").await?;
        Ok(info
            .security_options
            .iter()
            .flatten()
            .any(|option| option.split(',').any(|part| part == "name=rootless")))
    }

    /// Subscribes to events of containers that start, end, or change their name or networks.
    pub(crate) async fn events(self) -> Result<Events, EngineError> {
        let (body, connection) =
            self.send(Method::GET, &format!("/events?filters={EVENTS}")).await?;
        Ok(Events::new(body, connection))
    }

    async fn get<T: DeserializeOwned>(self, path: &str) -> Result<T, EngineError> {
        let (body, _connection) = self.send(Method::GET, path).await?;
        let bytes =
            Limited::new(body, MAX_ANSWER).collect().await.map_err(EngineError::Body)?.to_bytes();
        serde_json::from_slice(&bytes).map_err(EngineError::Decode)
    }

    async fn send(
        self,
        method: Method,
        path: &str,
    ) -> Result<(Incoming, AbortOnDropHandle<()>), EngineError> {
        let stream = self
            .0
            .open(Destination::Docker, Class::Interactive)
            .await
            .map_err(EngineError::Open)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(EngineError::Exchange)?;
        let connection = AbortOnDropHandle::new(tokio::spawn(async move {
            // The reader of the response gets its error.
            let _ = connection.await;
        }));
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(|_| EngineError::Refused {
            status: StatusCode::BAD_REQUEST,
            message: format!("{path:?} is not a path of the Docker API"),
        })?;
        request.headers_mut().insert(http::header::HOST, http::HeaderValue::from_static("docker"));
        let response =
            sender.send_request(request).await.map_err(|error| match OpenError::of(&error) {
                Some(refusal) => EngineError::Open(refusal.clone()),
                None => EngineError::Exchange(error),
            })?;
        let status = response.status();
        if status.is_success() {
            return Ok((response.into_body(), connection));
        }
        let bytes = Limited::new(response.into_body(), MAX_REFUSAL)
            .collect()
            .await
            .map_err(EngineError::Body)?
            .to_bytes();
        #[derive(Deserialize)]
        struct Refusal {
            message: String,
        }
        let message = serde_json::from_slice(&bytes).map_or_else(
            |_| String::from_utf8_lossy(&bytes).trim().to_owned(),
            |refusal: Refusal| refusal.message,
        );
        Err(EngineError::Refused { status, message })
    }
}
