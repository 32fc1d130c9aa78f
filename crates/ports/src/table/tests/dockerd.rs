//! A model of dockerd's allocation of host ports.

use engine::{PortBinding, PortMap};

use super::*;
use crate::publication::{Here, publications};

/// Numbers that requests name, and numbers that the engine chooses.
pub(super) const FIXED: std::ops::Range<u16> = 1..5;
pub(super) const CHOSEN: std::ops::Range<u16> = 10..15;
pub(super) const HERE: Here =
    Here { bind: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), has: |_| false };

/// `-p HOST:PORT:INSIDE`; port 0 means any.
#[derive(Debug, Clone)]
pub(super) struct Publish {
    pub(super) host: &'static str,
    pub(super) port: u16,
    pub(super) inside: u16,
}

impl Publish {
    fn hosts(&self) -> Vec<IpAddr> {
        match self.host {
            "" => vec![IpAddr::from([0, 0, 0, 0]), IpAddr::from([0; 16])],
            host => vec![host.parse().unwrap()],
        }
    }

    /// The addresses that a start requests by number.
    pub(super) fn fixed(&self) -> Vec<Address> {
        let port = Some(self.port).filter(|port| *port != 0);
        let address = |port| {
            self.hosts().into_iter().map(move |host| Address {
                protocol: Protocol::Tcp,
                at: SocketAddr::new(host, port),
            })
        };
        port.into_iter().flat_map(address).collect()
    }
}

/// An address that the engine has bound, and the container port behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) address: Address,
    pub(super) container: String,
    pub(super) inside: u16,
}

/// dockerd's allocation (libnetwork's `portallocator` and `portmapper`): each family has numbers of
/// its own, a request without an address takes both.
#[derive(Debug, Default)]
pub(super) struct Dockerd {
    pub(super) bound: Vec<Bound>,
    /// The number to try next, by family.
    pub(super) next: [u16; 2],
    /// Since Docker 28 one number is chosen for both families.
    pub(super) same_number: bool,
}

impl Dockerd {
    pub(super) fn is_bound(&self, address: Address) -> bool {
        self.bound.iter().any(|bound| bound.address.overlaps(address))
    }

    /// Binds all requested ports, or none.
    pub(super) fn start(&mut self, container: &str, asked: &[Publish]) -> bool {
        let before = self.bound.len();
        let started = asked.iter().all(|publish| self.bind(container, publish));
        if !started {
            self.bound.truncate(before);
        }
        started
    }

    fn bind(&mut self, container: &str, publish: &Publish) -> bool {
        let hosts = publish.hosts();
        let together: Vec<Vec<IpAddr>> = if self.same_number {
            vec![hosts]
        } else {
            hosts.into_iter().map(|host| vec![host]).collect()
        };
        together.into_iter().all(|hosts| {
            let Some(port) = self.number(&hosts, publish.port) else { return false };
            for host in hosts {
                let address = Address { protocol: Protocol::Tcp, at: SocketAddr::new(host, port) };
                self.bound.push(Bound {
                    address,
                    container: container.to_owned(),
                    inside: publish.inside,
                });
            }
            true
        })
    }

    fn number(&mut self, hosts: &[IpAddr], asked: u16) -> Option<u16> {
        let is_free = |port: &u16| {
            let address =
                |host| Address { protocol: Protocol::Tcp, at: SocketAddr::new(host, *port) };
            !hosts.iter().any(|host| self.is_bound(address(*host)))
        };
        if asked != 0 {
            return Some(asked).filter(is_free);
        }
        let family = usize::from(hosts[0].is_ipv6());
        let from = self.next[family];
        let chosen = (0..CHOSEN.end - CHOSEN.start)
            .map(|step| CHOSEN.start + (from + step) % (CHOSEN.end - CHOSEN.start))
            .find(is_free)?;
        self.next[family] = chosen - CHOSEN.start + 1;
        Some(chosen)
    }

    pub(super) fn end(&mut self, container: &str) {
        self.bound.retain(|bound| bound.container != container);
    }

    /// The engine's answer about a container.
    pub(super) fn inspect(&self, id: &str) -> Container {
        let mut ports = PortMap::new();
        for bound in self.bound.iter().filter(|bound| bound.container == id) {
            let binding = PortBinding {
                host_ip: bound.address.at.ip().to_string(),
                host_port: bound.address.at.port().to_string(),
            };
            ports
                .entry(format!("{}/tcp", bound.inside))
                .or_default()
                .get_or_insert_default()
                .push(binding);
        }
        Container {
            id: id.to_owned(),
            name: format!("name-{id}"),
            publications: publications(&ports, HERE, None),
            address: None,
        }
    }

    /// The binding behind this address of the machine.
    pub(super) fn behind(&self, at: SocketAddr) -> Option<&Bound> {
        let address = Address { protocol: Protocol::Tcp, at };
        self.bound.iter().find(|bound| bound.address.overlaps(address))
    }

    /// The binding that should answer on a loopback address of this computer: its owner, or the one
    /// that has the number in the other family on all addresses.
    pub(super) fn answers(&self, at: SocketAddr) -> Option<&Bound> {
        let lends = |bound: &&Bound| {
            let other = bound.address.at;
            other.port() == at.port()
                && other.ip().is_unspecified()
                && other.is_ipv4() != at.is_ipv4()
        };
        self.behind(at).or_else(|| self.bound.iter().find(lends))
    }
}
