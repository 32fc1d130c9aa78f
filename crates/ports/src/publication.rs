//! From Docker's words for published ports to local addresses: what to listen on here and where that leads on the machine.
//!
//! Knows Docker's JSON for port bindings and the person's bind address; opens nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::address::{Address, Protocol};

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
    /// Where its own ports answer, published or not, as seen from the machine.
    pub(crate) address: Option<IpAddr>,
}

/// One published port: where it is to answer here, and where it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Publication {
    pub(crate) wanted: Address,
    pub(crate) twin: Option<Twin>,
    pub(crate) remote: Remote,
    /// Port of the container.
    pub(crate) inside: u16,
}

/// The same port on the loopback address of the other family: `localhost` is `::1` first for many programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Twin {
    pub(crate) ip: IpAddr,
    /// The request named no address, so that an engine here would listen on both and fail where one is taken. Not having the family at all is
    /// never a fault.
    pub(crate) needed: bool,
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

/// What a port map publishes. Bindings without a fixed number (any free port, a range) are left out: the engine chooses those, and its choice is read
/// after the start.
pub(crate) fn publications(ports: &PortMap, bind: IpAddr) -> Vec<Publication> {
    let mut bindings = BTreeSet::new();
    for (key, of_port) in ports {
        let Some((inside, protocol)) = container_port(key) else { continue };
        for binding in of_port.iter().flatten() {
            let port = binding.host_port.parse().ok().filter(|port: &u16| *port != 0);
            if let (Some(host), Some(port)) = (Host::of(&binding.host_ip), port) {
                bindings.insert((protocol, port, host, inside));
            }
        }
    }

    let mut publications: BTreeMap<Address, Publication> = BTreeMap::new();
    for (protocol, port, host, inside) in bindings {
        let v4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let (local, remote, needed) = match host {
            Host::Loopback(address) => (address, address, None),
            Host::Other(address) => (bind, address, None),
            // Ordered before the others, so that the IPv4 side of the machine is used where it has one.
            Host::All => (bind, v4, Some(true)),
            Host::AllV4 => (bind, v4, Some(false)),
            Host::AllV6 => (bind, Ipv6Addr::LOCALHOST.into(), Some(false)),
        };
        let wanted = Address { protocol, at: SocketAddr::new(local, port) };
        let twin = needed.and_then(|needed| Some(Twin { ip: twin(bind)?, needed }));
        let is_twin =
            |known: &Publication| known.twin.is_some_and(|twin| Address { protocol, at: SocketAddr::new(twin.ip, port) } == wanted);
        if !publications.contains_key(&wanted) && !publications.values().any(is_twin) {
            publications.insert(wanted, Publication { wanted, twin, remote: Remote { host: remote.to_string(), port }, inside });
        }
    }
    publications.into_values().collect()
}

/// `80/tcp`
fn container_port(key: &str) -> Option<(u16, Protocol)> {
    let (port, protocol) = key.split_once('/')?;
    Some((port.parse().ok()?, protocol.parse().ok()?))
}

pub(crate) fn twin(bind: IpAddr) -> Option<IpAddr> {
    match bind {
        IpAddr::V4(Ipv4Addr::LOCALHOST) => Some(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Some(Ipv6Addr::UNSPECIFIED.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Host {
    /// No address was named.
    All,
    AllV4,
    AllV6,
    Loopback(IpAddr),
    /// An address of the machine.
    Other(IpAddr),
}

impl Host {
    fn of(host_ip: &str) -> Option<Self> {
        if host_ip.is_empty() {
            return Some(Self::All);
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

    fn read_at(bind: IpAddr, json: &str) -> Vec<String> {
        let ports: PortMap = serde_json::from_str(json).unwrap();
        let told = |publication: Publication| {
            let twin = match publication.twin {
                Some(Twin { ip, needed: true }) => format!(" and {ip}"),
                Some(Twin { ip, needed: false }) => format!(" and {ip} if possible"),
                None => String::new(),
            };
            format!("{}{twin} -> {} ({})", publication.wanted, publication.remote, publication.inside)
        };
        publications(&ports, bind).into_iter().map(told).collect()
    }

    fn read(json: &str) -> Vec<String> {
        read_at(BIND, json)
    }

    #[test]
    fn a_port_for_all_addresses_answers_on_both_loopbacks() {
        assert_eq!(read(r#"{"80/tcp":[{"HostIp":"","HostPort":"8080"}]}"#), ["127.0.0.1:8080 and ::1 -> 127.0.0.1:8080 (80)"]);
        assert_eq!(
            read(r#"{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"},{"HostIp":"::","HostPort":"8080"}]}"#),
            ["127.0.0.1:8080 and ::1 if possible -> 127.0.0.1:8080 (80)"]
        );
    }

    #[test]
    fn different_numbers_for_both_address_families_each_lead_to_their_own() {
        assert_eq!(
            read(r#"{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"49153"},{"HostIp":"::","HostPort":"49154"}]}"#),
            ["127.0.0.1:49153 and ::1 if possible -> 127.0.0.1:49153 (80)", "127.0.0.1:49154 and ::1 if possible -> [::1]:49154 (80)",]
        );
    }

    #[test]
    fn a_loopback_address_is_honoured_and_another_becomes_the_bind_address() {
        let json = r#"{"80/tcp":[{"HostIp":"127.0.0.2","HostPort":"80"}],"81/tcp":[{"HostIp":"10.0.0.5","HostPort":"81"}],
                       "82/tcp":[{"HostIp":"::1","HostPort":"82"}],"83/udp":[{"HostIp":"","HostPort":"83"}]}"#;
        assert_eq!(
            read(json),
            [
                "127.0.0.1:81 -> 10.0.0.5:81 (81)",
                "127.0.0.2:80 -> 127.0.0.2:80 (80)",
                "[::1]:82 -> [::1]:82 (82)",
                "127.0.0.1:83/udp and ::1 -> 127.0.0.1:83 (83)",
            ]
        );
        assert_eq!(
            read_at(Ipv4Addr::UNSPECIFIED.into(), json),
            [
                "0.0.0.0:81 -> 10.0.0.5:81 (81)",
                "127.0.0.2:80 -> 127.0.0.2:80 (80)",
                "[::1]:82 -> [::1]:82 (82)",
                "0.0.0.0:83/udp and :: -> 127.0.0.1:83 (83)",
            ]
        );
    }

    #[test]
    fn the_same_number_is_told_apart_by_protocol() {
        assert_eq!(
            read(r#"{"53/tcp":[{"HostPort":"53"}],"53/udp":[{"HostPort":"53"}]}"#),
            ["127.0.0.1:53 and ::1 -> 127.0.0.1:53 (53)", "127.0.0.1:53/udp and ::1 -> 127.0.0.1:53 (53)"]
        );
    }

    #[test]
    fn what_has_no_number_yet_or_is_neither_tcp_nor_udp_is_left_out() {
        let json = r#"{"80/tcp":[{"HostIp":"","HostPort":""}],"81/tcp":[{"HostPort":"0"}],"82/tcp":[{"HostPort":"8000-8010"}],
                       "83/sctp":[{"HostPort":"83"}],"84/tcp":null}"#;
        assert!(read(json).is_empty());
    }
}
