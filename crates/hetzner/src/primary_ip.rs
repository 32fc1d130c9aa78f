//! Primary IPs: the public addresses of servers. They are created and deleted with a server, unless
//! they are set to stay.

use serde::Deserialize;

use crate::error::Result;
use crate::query::Labels;
use crate::resource::{Resource, Resources};

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
    /// The server that has it. Without a server it is billed as well.
    pub assignee_id: Option<u64>,
    /// Whether it is deleted with its server.
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
    /// Replaces the name, or all labels.
    pub async fn update(
        &self,
        id: u64,
        name: Option<&str>,
        labels: Option<&Labels>,
    ) -> Result<PrimaryIp> {
        self.change(id, name, labels).await
    }

    /// Deletes an address that is not assigned. Succeeds if it is already gone.
    pub async fn delete(&self, id: u64) -> Result<()> {
        self.erase(id).await
    }
}
