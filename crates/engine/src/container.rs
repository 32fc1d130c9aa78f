//! Containers as the Engine API lists and inspects them.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::name::bare_name;
use crate::port_map::{ListedPort, PortMap, port_map};

/// One entry of `GET /containers/json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerSummary {
    /// The full id.
    pub id: String,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    ports: Option<Vec<ListedPort>>,
    /// Only the network mode is listed.
    #[serde(default)]
    pub host_config: HostConfig,
    /// Without ports.
    #[serde(default)]
    pub network_settings: NetworkSettings,
}

impl ContainerSummary {
    /// The container's own name. Legacy links (`docker run --link`) add names of the form
    /// `/other/alias`; the own name has one slash.
    pub fn name(&self) -> Option<&str> {
        self.names.iter().map(|name| bare_name(name)).find(|name| !name.contains('/'))
    }

    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.as_ref()?.get(name).map(String::as_str)
    }

    /// The ports, in the form of `inspect`.
    pub fn port_map(&self) -> PortMap {
        port_map(self.ports.iter().flatten())
    }
}

/// The parts of `GET /containers/{id}/json` that dockbridge uses.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerInspect {
    /// The full id.
    pub id: String,
    name: String,
    /// In RFC 3339 format.
    #[serde(default)]
    pub created: String,
    /// Whether it runs.
    pub state: State,
    /// What it was created with.
    pub host_config: HostConfig,
    /// What it has while it runs.
    #[serde(default)]
    pub network_settings: NetworkSettings,
}

impl ContainerInspect {
    /// The container's own name.
    pub fn name(&self) -> &str {
        bare_name(&self.name)
    }
}

/// Whether a container runs.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct State {
    /// Also while it is paused.
    pub running: bool,
    /// The id of its first process on the engine's host; 0 unless it runs.
    #[serde(default)]
    pub pid: i32,
}

/// What a container was created with.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HostConfig {
    /// The requested ports.
    #[serde(default)]
    pub port_bindings: Option<PortMap>,
    /// Whether all exposed ports are published, at numbers that the engine chooses.
    #[serde(default)]
    pub publish_all_ports: bool,
    /// Whether it is removed when it ends.
    #[serde(default)]
    pub auto_remove: bool,
    /// `host`, `none`, `container:ID`, or the name of a network.
    #[serde(default)]
    pub network_mode: String,
    /// When the engine starts it by itself.
    #[serde(default)]
    pub restart_policy: RestartPolicy,
}

impl HostConfig {
    /// Whether the container publishes ports: without a network of its own it does not, whatever it
    /// requests.
    pub fn publishes(&self) -> bool {
        !(matches!(self.network_mode.as_str(), "host" | "none")
            || self.network_mode.starts_with("container:"))
    }
}

/// When the engine starts a container by itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RestartPolicy {
    /// `no` or empty, `always`, `unless-stopped` or `on-failure`.
    #[serde(default)]
    pub name: String,
}

/// A container's networks.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkSettings {
    /// The published ports with their numbers.
    #[serde(default)]
    pub ports: Option<PortMap>,
    #[serde(default)]
    networks: Option<BTreeMap<String, EndpointSettings>>,
}

impl NetworkSettings {
    /// The container's place in each of its networks, in order of the networks' names.
    pub fn networks(&self) -> impl Iterator<Item = &EndpointSettings> {
        self.networks.iter().flat_map(BTreeMap::values)
    }
}

/// A container's place in one network. Texts are empty where there is no address.
#[derive(Debug, Clone, Deserialize)]
pub struct EndpointSettings {
    /// Its IPv4 address.
    #[serde(default, rename = "IPAddress")]
    pub address: String,
    /// Its IPv6 address.
    #[serde(default, rename = "GlobalIPv6Address")]
    pub address_v6: String,
    /// The network's IPv4 gateway.
    #[serde(default, rename = "Gateway")]
    pub gateway: String,
    /// The network's IPv6 gateway.
    #[serde(default, rename = "IPv6Gateway")]
    pub gateway_v6: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(text: &str) -> ContainerSummary {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn own_name_is_the_one_without_a_second_slash() {
        let linked = summary(r#"{"Id":"4f5a","Names":["/other/alias","/web"]}"#);
        assert_eq!(linked.name(), Some("web"));
        assert_eq!(summary(r#"{"Id":"4f5a","Names":["/other/alias"]}"#).name(), None);
        assert_eq!(summary(r#"{"Id":"4f5a"}"#).name(), None);
    }

    #[test]
    fn fields_that_an_engine_leaves_out_or_sets_to_null_are_empty() {
        let bare = summary(r#"{"Id":"4f5a","Labels":null,"Ports":null}"#);
        assert_eq!((bare.label("a"), bare.port_map()), (None, PortMap::new()));
        assert_eq!(bare.network_settings.networks().count(), 0);
        let inspected = r#"{"Id":"4f5a","Name":"/web","State":{"Running":false},"HostConfig":{},
            "NetworkSettings":{"Ports":null,"Networks":null}}"#;
        let inspected: ContainerInspect = serde_json::from_str(inspected).unwrap();
        assert_eq!((inspected.name(), inspected.state.pid), ("web", 0));
        assert_eq!(inspected.host_config.restart_policy.name, "");
        assert!(inspected.network_settings.ports.is_none());
    }

    #[test]
    fn container_without_a_network_of_its_own_publishes_nothing() {
        let publishes = |mode: &str| {
            HostConfig { network_mode: mode.to_owned(), ..HostConfig::default() }.publishes()
        };
        assert!(publishes("") && publishes("default") && publishes("hosts"));
        assert!(!publishes("host") && !publishes("none") && !publishes("container:4f5a"));
    }
}
