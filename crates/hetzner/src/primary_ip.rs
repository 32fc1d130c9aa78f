//! Primary IPs: the public addresses of servers. They come with a server and go with it, unless
//! somebody has said that they stay.

use serde::Deserialize;

use crate::error::Result;
use crate::resource::{Labels, Resource, Resources};

/// All primary IPs.
pub type PrimaryIps = Resources<PrimaryIp>;

/// A public address, or a network of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PrimaryIp {
    /// Id.
    pub id: u64,
    /// Unique in the project.
    pub name: String,
    /// The address; for IPv6 the /64 network.
    pub ip: String,
    /// `ipv4`, which is billed, or `ipv6`, which is not.
    #[serde(rename = "type")]
    pub kind: String,
    /// The server that has it; `None` for one that nobody has and that is billed all the same.
    pub assignee_id: Option<u64>,
    /// Whether it goes with its server.
    #[serde(default)]
    pub auto_delete: bool,
    /// Labels.
    #[serde(default)]
    pub labels: Labels,
}

impl Resource for PrimaryIp {
    const ONE: &'static str = "primary_ip";
    const MANY: &'static str = "primary_ips";
}

impl PrimaryIps {
    /// Replaces name or labels (the whole set).
    pub async fn update(
        &self,
        id: u64,
        name: Option<&str>,
        labels: Option<&Labels>,
    ) -> Result<PrimaryIp> {
        self.change(id, name, labels).await
    }

    /// Gives the address back; it must not be assigned. One that is gone already is fine.
    pub async fn delete(&self, id: u64) -> Result<()> {
        self.erase(id).await
    }
}
