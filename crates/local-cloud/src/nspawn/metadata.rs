//! The metadata service, at 169.254.169.254 and fe80::a9fe:a9fe like at Hetzner. It listens on the
//! bridge only, so that several local clouds and a real cloud's own service do not collide. A
//! request's source address identifies the server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use super::claim::Slot;
use super::network::{self, METADATA, METADATA_V6};
use super::tool::During;
use crate::hypervisor::Failure;

/// What a server can learn about itself.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) address: Ipv4Addr,
    pub(super) availability_zone: String,
    pub(super) region: String,
    pub(super) public_keys: Vec<String>,
    pub(super) user_data: Option<String>,
}

/// Finds the server that has an address.
pub(super) type Lookup = Arc<dyn Fn(IpAddr) -> Option<Facts> + Send + Sync>;

/// Opens the service's sockets: one for IPv4, and one for IPv6 if this host has it.
pub(super) fn listen(slot: Slot) -> Result<Vec<TcpListener>, Failure> {
    let v4: SocketAddr = format!("{METADATA}:80").parse().during("open the metadata service")?;
    let v6 = network::scope(slot).map(|scope| SocketAddrV6::new(METADATA_V6, 80, 0, scope).into());
    [Some(v4), v6].into_iter().flatten().map(|address| open(slot, address)).collect()
}

fn open(slot: Slot, address: SocketAddr) -> Result<TcpListener, Failure> {
    let what = "open the metadata service";
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))
        .during(what)?;
    socket.set_reuse_address(true).during(what)?;
    socket.bind_device(Some(slot.bridge().as_bytes())).during(what)?;
    socket.bind(&address.into()).during(what)?;
    socket.listen(128).during(what)?;
    socket.set_nonblocking(true).during(what)?;
    TcpListener::from_std(socket.into()).during(what)
}

/// Answers until it is dropped.
pub(super) async fn serve(listeners: Vec<TcpListener>, lookup: Lookup) {
    let router = Router::new()
        .route("/hetzner/v1/metadata", get(whole))
        .route("/hetzner/v1/metadata/{key}", get(single))
        .route("/hetzner/v1/userdata", get(user_data))
        .with_state(lookup);
    let served = listeners.into_iter().map(|listener| {
        axum::serve(listener, router.clone().into_make_service_with_connect_info::<SocketAddr>())
            .into_future()
    });
    if let Err(error) = futures::future::try_join_all(served).await {
        tracing::warn!(%error, "the metadata service stopped");
    }
}

type Peer = ConnectInfo<SocketAddr>;

async fn whole(State(lookup): State<Lookup>, ConnectInfo(peer): Peer) -> Response {
    asked_by(&lookup, peer).map_or_else(unknown, |facts| yaml(&facts).into_response())
}

async fn single(
    State(lookup): State<Lookup>,
    ConnectInfo(peer): Peer,
    Path(key): Path<String>,
) -> Response {
    asked_by(&lookup, peer)
        .and_then(|facts| value(&facts, &key))
        .map_or_else(unknown, IntoResponse::into_response)
}

async fn user_data(State(lookup): State<Lookup>, ConnectInfo(peer): Peer) -> Response {
    match asked_by(&lookup, peer) {
        None => unknown(),
        Some(Facts { user_data: None, .. }) => StatusCode::NO_CONTENT.into_response(),
        Some(Facts { user_data: Some(text), .. }) => text.into_response(),
    }
}

fn unknown() -> Response {
    (StatusCode::NOT_FOUND, "not found\n").into_response()
}

fn asked_by(lookup: &Lookup, peer: SocketAddr) -> Option<Facts> {
    lookup(peer.ip())
}

/// One key per line; every value is JSON, which is valid YAML.
fn yaml(facts: &Facts) -> String {
    let fields = [
        ("availability-zone", json!(facts.availability_zone)),
        ("hostname", json!(facts.name)),
        ("instance-id", json!(facts.id)),
        ("public-ipv4", json!(facts.address)),
        ("public-keys", json!(facts.public_keys)),
        ("region", json!(facts.region)),
    ];
    fields.into_iter().map(|(key, value)| format!("{key}: {value}\n")).collect()
}

fn value(facts: &Facts, key: &str) -> Option<String> {
    Some(match key {
        "availability-zone" => facts.availability_zone.clone(),
        "hostname" => facts.name.clone(),
        "instance-id" => facts.id.to_string(),
        "private-networks" => "[]".to_owned(),
        "public-ipv4" => facts.address.to_string(),
        "public-keys" => json!(facts.public_keys).to_string(),
        "region" => facts.region.clone(),
        _ => return None,
    })
}
