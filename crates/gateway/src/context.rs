//! What requests share: with all requests of the gateway, with those of the same client, and with
//! the steps of the pipeline that they pass through.

use std::sync::{Arc, Mutex};

use http::Uri;
use lifecycle::{Activity, Guard, Polling};
use ports::{Asked, Ports, Reservation};
use tunnel::Connector;

use crate::engine_status::EngineStatus;
use crate::local::ping::EngineIdentity;
use crate::local::stale::StaleResponses;
use crate::metrics::RequestMetrics;
use crate::rules::local_path::LocalPaths;
use crate::rules::port_advice::HostNetwork;
use crate::rules::portless::Portless;
use crate::rules::route::Route;
use crate::trim::Trim;
use crate::upstream::connections::Connections;
use crate::upstream::pool::Pool;
use crate::wire::in_flight::InFlight;
use crate::wire::write_state::WriteState;

/// Shared by all clients of a gateway.
pub(crate) struct GatewayContext {
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) activity: Activity,
    pub(crate) ports: Option<Ports>,
    pub(crate) identity: EngineIdentity,
    pub(crate) paths: Mutex<LocalPaths>,
    /// Without it, every request may wake a machine.
    pub(crate) status: Option<Arc<dyn EngineStatus>>,
    pub(crate) polling: Mutex<Polling>,
    pub(crate) stale: StaleResponses,
    pub(crate) pool: Arc<Pool>,
    pub(crate) trim: Arc<Trim>,
    pub(crate) portless: Portless,
    pub(crate) metrics: RequestMetrics,
}

/// Shared by the requests of one client connection.
#[derive(Default)]
pub(crate) struct ClientContext {
    pub(crate) connections: Connections,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) write_state: Arc<WriteState>,
}

/// One request in the pipeline.
pub(crate) struct Call {
    pub(crate) gateway: Arc<GatewayContext>,
    pub(crate) client: Arc<ClientContext>,
    pub(crate) route: Route,
    /// As the client sent it.
    pub(crate) uri: Uri,
    /// The activity that the request is.
    pub(crate) guard: Arc<Guard>,
    /// The route to the engine: it may wake a machine or not.
    pub(crate) connector: Arc<dyn Connector>,
    /// The client waits for `100 Continue` before it sends the body.
    pub(crate) expects: bool,
    /// Reading may stop behind the head of the response, to relay its body.
    pub(crate) may_relay: bool,
    /// The engine takes the connection over although the client did not ask for an upgrade.
    pub(crate) raw: bool,
    /// Local ports taken for a container that is about to start.
    pub(crate) reservation: Option<Reservation>,
    /// What a container asked for whose start the engine refused.
    pub(crate) refused: Option<Asked>,
    pub(crate) creation: Creation,
}

/// What the body of a creation shows about the container.
#[derive(Debug, Default)]
pub(crate) struct Creation {
    pub(crate) publishes_nothing: bool,
    pub(crate) host_network: Option<HostNetwork>,
}
