//! From Docker's words for published ports to local addresses: what to listen on here and where that leads on the machine.
//!
//! Knows Docker's JSON for port bindings and the person's bind address; opens nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// `PortBindings` and `NetworkSettings.Ports` of the Engine API: container port, such as `80/tcp`, to bindings of the host.
pub(crate) type PortMap = BTreeMap<String, Option<Vec<PortBinding>>>;

/// One binding of the Engine API. An empty host port, or `0`, asks for any free one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PortBinding {
    #[serde(default)]
    pub(crate) host_ip: String,
    #[serde(default)]
    pub(crate) host_port: String,
}

/// A running container and what it publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) publications: Vec<Publication>,
}

/// One address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Publication {
    pub(crate) local: SocketAddr,
    pub(crate) remote: Remote,
    pub(crate) optional: bool,
}

/// Where a port leads, as seen from the machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Remote {
    /// Address on the machine.
    pub host: String,
    /// Port on the machine.
    pub port: u16,
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') { write!(f, "[{}]:{}", self.host, self.port) } else { write!(f, "{}:{}", self.host, self.port) }
    }
}

/// The listeners for a port map. Only TCP; bindings without a fixed number (any free port, a range) are left out: the engine chooses
/// those, and its choice is read after the start.
pub(crate) fn publications(ports: &PortMap, bind: IpAddr) -> Vec<Publication> {
    let bindings: BTreeSet<(Host, u16)> = ports
        .iter()
        .filter(|(container_port, _)| container_port.ends_with("/tcp"))
        .flat_map(|(_, bindings)| bindings.iter().flatten())
        .filter_map(|binding| Some((Host::of(&binding.host_ip)?, binding.host_port.parse().ok().filter(|port| *port != 0)?)))
        .collect();

    let mut publications: BTreeMap<SocketAddr, Publication> = BTreeMap::new();
    let mut add = |local: IpAddr, remote: IpAddr, port: u16, optional: bool| {
        let local = SocketAddr::new(local, port);
        let publication = Publication { local, remote: Remote { host: remote.to_string(), port }, optional };
        // What was asked for goes before what is only convenient; of two that were asked for the first in order holds.
        match publications.get(&local) {
            Some(known) if !known.optional || optional => {}
            Some(_) | None => {
                publications.insert(local, publication);
            }
        }
    };
    for (host, port) in bindings {
        match host {
            Host::Loopback(address) => add(address, address, port, false),
            Host::Other(address) => add(bind, address, port, false),
            // Ordered before `AllV6`, so that the IPv4 side of the machine is used where it has one.
            Host::AllV4 => {
                add(bind, Ipv4Addr::LOCALHOST.into(), port, false);
                if let Some(twin) = twin(bind) {
                    add(twin, Ipv4Addr::LOCALHOST.into(), port, true);
                }
            }
            Host::AllV6 => {
                add(bind, Ipv6Addr::LOCALHOST.into(), port, false);
                if let Some(twin) = twin(bind) {
                    add(twin, Ipv6Addr::LOCALHOST.into(), port, true);
                }
            }
        }
    }
    publications.into_values().collect()
}

/// `localhost` is `::1` first for many programs.
fn twin(bind: IpAddr) -> Option<IpAddr> {
    match bind {
        IpAddr::V4(Ipv4Addr::LOCALHOST) => Some(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Host {
    AllV4,
    AllV6,
    Loopback(IpAddr),
    /// An address of the machine.
    Other(IpAddr),
}

impl Host {
    fn of(host_ip: &str) -> Option<Self> {
        if host_ip.is_empty() {
            return Some(Self::AllV4);
        }
        let address: IpAddr = host_ip.parse().ok()?;
        Some(match address {
            IpAddr::V4(v4) if v4.is_unspecified() => Self::AllV4,
            IpAddr::V6(v6) if v6.is_unspecified() => Self::AllV6,
            other if other.is_loopback() => Self::Loopback(other),
            other => Self::Other(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BIND: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn read(json: &str) -> Vec<String> {
        let ports: PortMap = serde_json::from_str(json).unwrap();
        publications(&ports, BIND)
            .into_iter()
            .map(|publication| {
                format!("{} -> {}{}", publication.local, publication.remote, if publication.optional { " if possible" } else { "" })
            })
            .collect()
    }

    #[test]
    fn a_port_for_all_addresses_answers_on_both_loopbacks() {
        let expected = ["127.0.0.1:8080 -> 127.0.0.1:8080", "[::1]:8080 -> 127.0.0.1:8080 if possible"];
        assert_eq!(read(r#"{"80/tcp":[{"HostIp":"","HostPort":"8080"}]}"#), expected);
        assert_eq!(read(r#"{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"},{"HostIp":"::","HostPort":"8080"}]}"#), expected);
    }

    #[test]
    fn different_numbers_for_both_address_families_each_lead_to_their_own() {
        assert_eq!(
            read(r#"{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"49153"},{"HostIp":"::","HostPort":"49154"}]}"#),
            [
                "127.0.0.1:49153 -> 127.0.0.1:49153",
                "127.0.0.1:49154 -> [::1]:49154",
                "[::1]:49153 -> 127.0.0.1:49153 if possible",
                "[::1]:49154 -> [::1]:49154 if possible",
            ]
        );
    }

    #[test]
    fn a_loopback_address_is_honoured_and_another_becomes_the_bind_address() {
        assert_eq!(
            read(r#"{"80/tcp":[{"HostIp":"127.0.0.2","HostPort":"80"}],"81/tcp":[{"HostIp":"10.0.0.5","HostPort":"81"}]}"#),
            ["127.0.0.1:81 -> 10.0.0.5:81", "127.0.0.2:80 -> 127.0.0.2:80"]
        );
    }

    #[test]
    fn what_has_no_number_yet_or_is_not_tcp_is_left_out() {
        let json = r#"{"80/tcp":[{"HostIp":"","HostPort":""}],"81/tcp":[{"HostPort":"0"}],"82/tcp":[{"HostPort":"8000-8010"}],
                       "83/udp":[{"HostPort":"83"}],"84/tcp":null}"#;
        assert!(read(json).is_empty());
    }
}
