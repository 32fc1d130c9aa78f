//! Translates Docker's port bindings to local addresses: where to listen here, and the destination
//! on the machine.
//!
//! It knows Docker's bindings and the bind address; it opens nothing.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use api::{Protocol, Remote};
use engine::PortMap;

use crate::address::Address;

/// A running container and what it publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) publications: Vec<Publication>,
    /// The address of its own ports, published or not, as seen from the machine.
    pub(crate) address: Option<IpAddr>,
}

/// One published port: where it should answer here, and its destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Publication {
    pub(crate) wanted: Address,
    pub(crate) claim: Claim,
    pub(crate) twin: Option<Twin>,
    pub(crate) remote: Remote,
    /// Port of the container.
    pub(crate) inside: u16,
}

/// The same port on the loopback address of the other family: many programs resolve `localhost` to
/// `::1` first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Twin {
    pub(crate) ip: IpAddr,
    /// An owned address that is in use is a conflict, as with a local engine. A missing address
    /// family is never an error.
    pub(crate) claim: Claim,
}

/// A container's claim to a local address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Claim {
    /// The engine gave the container this number in this address family.
    Own,
    /// As far as is known, the engine gave the number to no container in this family. A container
    /// that owns the address gets it.
    Spare,
}

/// The publications of a port map. Bindings without a fixed number (any free port, a range) are
/// left out: the engine chooses those, and its choice is read after the start.
///
/// The engine counts each address family separately: `0.0.0.0:8080` and `[::]:8080` may belong to
/// two containers, or to two ports of one. Each is owned on the loopback address of its family, and
/// lent on the other one.
///
/// `own` is the container's own address, as seen from the machine: a port that is bound to an
/// address of this computer is reached there, because the machine does not have that address.
pub(crate) fn publications(ports: &PortMap, here: Here, own: Option<IpAddr>) -> Vec<Publication> {
    let mut groups: BTreeMap<(Protocol, u16, u16), BTreeSet<Host>> = BTreeMap::new();
    for (key, of_port) in ports {
        let Some((inside, protocol)) = container_port(key) else { continue };
        for binding in of_port.iter().flatten() {
            let port = binding.host_port.parse().ok().filter(|port: &u16| *port != 0);
            if let (Some(host), Some(port)) = (Host::of(&binding.host_ip), port) {
                groups.entry((protocol, port, inside)).or_default().insert(host);
            }
        }
    }

    let mut publications: BTreeMap<Address, Publication> = BTreeMap::new();
    for ((protocol, port, inside), hosts) in groups {
        for Place { at, claim, twin, remote } in places(&hosts, here) {
            let wanted = Address { protocol, at: SocketAddr::new(at, port) };
            let remote = match (remote, own) {
                (Behind::Machine(address), _) | (Behind::Container(address), None) => {
                    Remote { host: address.to_string(), port }
                }
                (Behind::Container(_), Some(own)) => Remote { host: own.to_string(), port: inside },
            };
            let publication = Publication { wanted, claim, twin, remote, inside };
            match publications.entry(wanted) {
                Entry::Vacant(entry) => drop(entry.insert(publication)),
                Entry::Occupied(mut entry) if claim < entry.get().claim => {
                    drop(entry.insert(publication))
                }
                Entry::Occupied(_) => {}
            }
        }
    }
    publications.into_values().collect()
}

/// The addresses of this computer that published ports may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Here {
    /// The address of ports that name none.
    pub(crate) bind: IpAddr,
    /// Whether this computer has an address.
    pub(crate) has: fn(IpAddr) -> bool,
}

impl Here {
    /// Addresses of this computer that other computers can reach and that bindings name although
    /// `bind` keeps ports local.
    pub(crate) fn exposed(self, ports: &PortMap) -> BTreeSet<IpAddr> {
        let bindings = ports.values().flatten().flatten();
        let exposed = bindings.filter_map(|binding| match Host::of(&binding.host_ip)? {
            Host::Other(address) if self.bind.is_loopback() && (self.has)(address) => Some(address),
            _ => None,
        });
        exposed.collect()
    }
}

/// Where one number of one container port answers here.
struct Place {
    at: IpAddr,
    claim: Claim,
    twin: Option<Twin>,
    remote: Behind,
}

/// The destination of a place.
enum Behind {
    /// This address of the machine, with the same number.
    Machine(IpAddr),
    /// The container itself: the address is this computer's, and the machine does not have it.
    Container(IpAddr),
}

fn places(hosts: &BTreeSet<Host>, here: Here) -> Vec<Place> {
    let bind = here.bind;
    let (v4, v6) =
        (Behind::Machine(Ipv4Addr::LOCALHOST.into()), Behind::Machine(Ipv6Addr::LOCALHOST.into()));
    let all = hosts.contains(&Host::All);
    let (all_v4, all_v6) =
        (all || hosts.contains(&Host::AllV4), all || hosts.contains(&Host::AllV6));
    let mut places: Vec<Place> = hosts.iter().filter_map(|host| host.place(here)).collect();
    if all_v4 && all_v6 {
        let twin = twin(bind).map(|ip| Twin { ip, claim: Claim::Own });
        places.push(Place { at: bind, claim: Claim::Own, twin, remote: v4 });
    } else if all_v4 {
        places.push(one_family(bind, false, v4));
    } else if all_v6 {
        places.push(one_family(bind, true, v6));
    }
    places
}

/// A number of one family. It owns the address of that family here, if there is one.
fn one_family(bind: IpAddr, is_v6: bool, remote: Behind) -> Place {
    let lent = |ip| Twin { ip, claim: Claim::Spare };
    match twin(bind) {
        _ if bind.is_ipv6() == is_v6 => {
            Place { at: bind, claim: Claim::Own, twin: twin(bind).map(lent), remote }
        }
        Some(other) => Place { at: other, claim: Claim::Own, twin: Some(lent(bind)), remote },
        None => Place { at: bind, claim: Claim::Spare, twin: None, remote },
    }
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
    /// No address: both families.
    All,
    /// `0.0.0.0`
    AllV4,
    /// `::`
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

    /// Where a binding to one address answers here; `None` for bindings to all addresses of a
    /// family.
    fn place(self, here: Here) -> Option<Place> {
        let place = |at, claim, remote| Some(Place { at, claim, twin: None, remote });
        match self {
            Self::Loopback(address) => place(address, Claim::Own, Behind::Machine(address)),
            Self::Other(address) if (here.has)(address) => match here.bind.is_loopback() {
                true => place(here.bind, Claim::Spare, Behind::Container(address)),
                false => place(address, Claim::Own, Behind::Container(address)),
            },
            // It replaces an address that this computer does not have, so it yields to a container
            // that names this one.
            Self::Other(address) => place(here.bind, Claim::Spare, Behind::Machine(address)),
            Self::All | Self::AllV4 | Self::AllV6 => None,
        }
    }
}

#[cfg(test)]
mod tests;
