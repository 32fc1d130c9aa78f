//! Records of servers, volumes, keys and snapshots.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::Id;
use super::labels::Labels;
use crate::hypervisor::Rescue;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Server {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) status: ServerStatus,
    pub(crate) created: Timestamp,
    pub(crate) server_type: Id,
    pub(crate) location: Id,
    pub(crate) image: Id,
    pub(crate) ipv4: Option<Ipv4>,
    pub(crate) ipv6: Option<Ipv6>,
    pub(crate) labels: Labels,
    /// Against deletion and rebuilding; the API has only both or none.
    pub(crate) protected: bool,
    /// In GB. Grows with the type on request, never shrinks.
    pub(crate) disk: u64,
    /// Whether its disk was created.
    pub(crate) made: bool,
    /// From the creation; a rebuild uses it again.
    pub(crate) user_data: Option<String>,
    /// The public keys themselves: deleting a key resource changes no server.
    pub(crate) ssh_keys: Vec<String>,
    /// Its firewalls, each with the revision of its rules that is in force; `None` while the first
    /// application is pending.
    pub(crate) firewalls: BTreeMap<Id, Option<u64>>,
    /// The rescue system that boots next instead of the disk.
    #[serde(default)]
    pub(crate) rescue: Option<Rescue>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ServerStatus {
    Initializing,
    Starting,
    Running,
    Stopping,
    Off,
    Deleting,
    Rebuilding,
    Migrating,
}

impl ServerStatus {
    pub(crate) fn name(self) -> &'static str {
        match self {
            ServerStatus::Initializing => "initializing",
            ServerStatus::Starting => "starting",
            ServerStatus::Running => "running",
            ServerStatus::Stopping => "stopping",
            ServerStatus::Off => "off",
            ServerStatus::Deleting => "deleting",
            ServerStatus::Rebuilding => "rebuilding",
            ServerStatus::Migrating => "migrating",
        }
    }
}

/// User-defined properties of an address.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AddressFacts {
    /// Without a name it is called after its id.
    pub(crate) name: Option<String>,
    pub(crate) labels: Labels,
    /// Whether it is deleted with its server.
    pub(crate) auto_delete: bool,
}

impl Default for AddressFacts {
    /// The properties of an address that comes with a server.
    fn default() -> AddressFacts {
        AddressFacts { name: None, labels: Labels::new(), auto_delete: true }
    }
}

/// An address that outlived its server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FreeAddress {
    /// `ipv4` or `ipv6`.
    pub(crate) kind: String,
    pub(crate) ip: String,
    pub(crate) location: Id,
    pub(crate) created: Timestamp,
    pub(crate) facts: AddressFacts,
}

/// The IPv4 address that came with a server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ipv4 {
    pub(crate) id: Id,
    pub(crate) ip: Ipv4Addr,
    /// The user's value; by default the name is derived from the address.
    pub(crate) dns_ptr: Option<String>,
    #[serde(default)]
    pub(crate) facts: AddressFacts,
}

/// The /64 that came with a server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ipv6 {
    pub(crate) id: Id,
    pub(crate) network: Ipv6Addr,
    pub(crate) dns_ptr: BTreeMap<Ipv6Addr, String>,
    #[serde(default)]
    pub(crate) facts: AddressFacts,
}

impl Ipv4 {
    pub(crate) fn reverse_name(&self) -> String {
        let [a, b, c, d] = self.ip.octets();
        self.dns_ptr
            .clone()
            .unwrap_or_else(|| format!("static.{d}.{c}.{b}.{a}.clients.local-cloud.invalid"))
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Volume {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) created: Timestamp,
    pub(crate) location: Id,
    /// In GB.
    pub(crate) size: u64,
    pub(crate) server: Option<Id>,
    pub(crate) format: Option<String>,
    pub(crate) labels: Labels,
    pub(crate) protected: bool,
    /// False while it is being created.
    pub(crate) available: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SshKey {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) created: Timestamp,
    pub(crate) fingerprint: String,
    pub(crate) public_key: String,
    pub(crate) labels: Labels,
}

/// An image that was made from a server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) id: Id,
    pub(crate) description: String,
    pub(crate) created: Timestamp,
    /// The server's id and name.
    pub(crate) created_from: (Id, String),
    /// A backup is bound to its server, a plain snapshot is not.
    pub(crate) backup_of: Option<Id>,
    /// False while it is being created.
    pub(crate) available: bool,
    /// In bytes, once known.
    pub(crate) size: Option<u64>,
    /// Minimum disk size in GB.
    pub(crate) disk: u64,
    pub(crate) os_flavor: String,
    pub(crate) os_version: Option<String>,
    pub(crate) architecture: String,
    pub(crate) labels: Labels,
    pub(crate) protected: bool,
}
