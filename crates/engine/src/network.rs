//! Networks of containers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;

/// The parts of `GET /networks/{id}`, and of an entry of `GET /networks`, that dockbridge uses.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Network {
    #[serde(default, rename = "IPAM")]
    ipam: Ipam,
    /// By their ids. Empty in a list.
    #[serde(default)]
    containers: Option<BTreeMap<String, AttachedContainer>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ipam {
    #[serde(default)]
    config: Option<Vec<IpamConfig>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IpamConfig {
    #[serde(default)]
    gateway: String,
}

impl Network {
    /// The addresses of the engine's host in this network.
    pub fn gateways(&self) -> impl Iterator<Item = IpAddr> {
        let configs = self.ipam.config.iter().flatten();
        configs.filter_map(|config| config.gateway.parse().ok())
    }

    /// The id and the IPv4 address of each container in it that has one.
    pub fn addresses(&self) -> impl Iterator<Item = (&str, IpAddr)> {
        let containers = self.containers.iter().flatten();
        containers.filter_map(|(id, one)| Some((id.as_str(), one.address()?)))
    }
}

#[derive(Debug, Clone, Deserialize)]
struct AttachedContainer {
    #[serde(default, rename = "IPv4Address")]
    address: String,
}

impl AttachedContainer {
    fn address(&self) -> Option<IpAddr> {
        // With the length of the network's prefix: `172.18.0.3/16`.
        self.address.split('/').next()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_without_the_prefix_and_missing_ones_are_left_out() {
        let network: Network = serde_json::from_str(
            r#"{"IPAM":{"Config":[{"Subnet":"172.17.0.0/16","Gateway":"172.17.0.1"},{}]},
                "Containers":{"a":{"IPv4Address":"172.17.0.3/16"},"b":{"IPv4Address":""}}}"#,
        )
        .unwrap();
        assert!(network.addresses().eq([("a", IpAddr::from([172, 17, 0, 3]))]));
        assert!(network.gateways().eq([IpAddr::from([172, 17, 0, 1])]));
        for none in ["{}", r#"{"IPAM":{"Config":null},"Containers":null}"#] {
            let none: Network = serde_json::from_str(none).unwrap();
            assert_eq!((none.gateways().count(), none.addresses().count()), (0, 0));
        }
    }
}
