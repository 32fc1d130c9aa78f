//! The queries of published ports to the engine: one container, the running ones, and events.
//!
//! No query counts as activity, because no user asked for it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use engine::{Client, ContainerInspect, ContainerSummary, Error, Service};
use tunnel::{Class, Connector, Destination, OpenError};

use crate::events::{EVENTS, Events};

/// An engine behind a connector.
#[derive(Clone, Copy)]
pub(crate) struct Engine<'a>(pub(crate) &'a dyn Connector);

impl Engine<'_> {
    /// Returns `None` if there is no such container.
    pub(crate) async fn inspect(self, reference: &str) -> Result<Option<ContainerInspect>, Error> {
        self.client().inspect(reference).await.map_err(unopened)
    }

    /// The running containers.
    pub(crate) async fn list(self) -> Result<Vec<ContainerSummary>, Error> {
        self.client().containers().await.map_err(unopened)
    }

    /// Kills a container.
    pub(crate) async fn kill(self, id: &str) -> Result<(), Error> {
        self.client().kill(id).await.map_err(unopened)
    }

    /// The services of a swarm; none if the engine manages no swarm.
    pub(crate) async fn services(self) -> Result<Vec<Service>, Error> {
        match self.client().services().await {
            Err(Error::Refused { .. }) => Ok(Vec::new()),
            answered => answered.map_err(unopened),
        }
    }

    /// The addresses at which the machine reaches containers whose networks are all overlays: those
    /// on the bridge that connects each such container to the outside.
    pub(crate) async fn gateway_bridge(self) -> Result<BTreeMap<String, IpAddr>, Error> {
        let bridge = match self.client().network("docker_gwbridge").await {
            Err(Error::Refused { .. }) => return Ok(BTreeMap::new()),
            answered => answered.map_err(unopened)?,
        };
        Ok(bridge.addresses().map(|(id, address)| (id.to_owned(), address)).collect())
    }

    /// The machine's own addresses in networks of containers.
    pub(crate) async fn gateways(self) -> Result<BTreeSet<IpAddr>, Error> {
        let networks = self.client().networks().await.map_err(unopened)?;
        Ok(networks.iter().flat_map(|network| network.gateways()).collect())
    }

    /// Whether it runs rootless, so that the machine does not reach its containers' networks.
    pub(crate) async fn is_rootless(self) -> Result<bool, Error> {
        Ok(self.client().info().await.map_err(unopened)?.is_rootless())
    }

    /// Subscribes to events of containers that start, end, or change their name or networks.
    pub(crate) async fn events(self) -> Result<Events, Error> {
        self.client().events(EVENTS).await.map(Events::new).map_err(unopened)
    }

    fn client(self) -> Client<impl engine::Connector> {
        Client::new(move || self.0.open(Destination::Docker, Class::Interactive))
    }
}

/// Only the first read of a stream reports that the machine could not connect it.
fn unopened(error: Error) -> Error {
    let refusal = match &error {
        Error::Exchange(broken) => OpenError::of(broken).cloned(),
        _ => None,
    };
    refusal.map_or(error, |refusal| Error::Open(Box::new(refusal)))
}
