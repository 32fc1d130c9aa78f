//! The address of a container's own ports, published or not, as seen from the machine.

use std::net::{IpAddr, Ipv4Addr};

use engine::{EndpointSettings, HostConfig, NetworkSettings};

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
    pub(crate) fn of(config: &HostConfig, settings: &NetworkSettings) -> Self {
        if config.network_mode == "host" {
            return Self::At(Some(Ipv4Addr::LOCALHOST.into()));
        }
        let address = |network: &EndpointSettings| {
            [&network.address, &network.address_v6]
                .into_iter()
                .find_map(|address| address.parse().ok())
        };
        let with_gateway = |network: &&EndpointSettings| {
            !network.gateway.is_empty() || !network.gateway_v6.is_empty()
        };
        let networks = || settings.networks();
        match (networks().filter(with_gateway).find_map(address), networks().find_map(address)) {
            (Some(address), _) => Self::At(Some(address)),
            (None, Some(address)) => Self::Overlay(address),
            (None, None) => Self::At(None),
        }
    }

    /// Combines it with the container's address from [`crate::docker::Engine::gateway_bridge`].
    pub(crate) fn with(self, bridged: Option<&IpAddr>) -> Option<IpAddr> {
        match self {
            Self::At(address) => address,
            Self::Overlay(address) => Some(bridged.copied().unwrap_or(address)),
        }
    }
}
