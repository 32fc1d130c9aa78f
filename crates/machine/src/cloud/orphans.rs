//! Finds orphans: resources of this owner in the cloud project that nothing claims.

use hetzner::Query;

use super::project::Cloud;
use crate::error::MachineError;
use crate::identity::{PROFILE, builds_image, owner_selector};
use crate::operation::Operation;

/// The kind of an orphan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OrphanKind {
    /// A server, which is billed.
    Server,
    /// A firewall, which is not.
    Firewall,
    /// A login key, which is not.
    SshKey,
    /// A public address without a server. An IPv4 address is billed.
    PrimaryIp,
}

/// A resource that nothing claims.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Orphan {
    /// Its kind.
    pub kind: OrphanKind,
    /// The cloud's id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Why nothing claims it, human-readable.
    pub because: String,
}

impl Orphan {
    fn new(kind: OrphanKind, id: u64, name: String, because: &str) -> Self {
        Self { kind, id, name, because: because.to_owned() }
    }
}

/// All resources of this owner that could be orphans, and the volumes, which never are.
struct Owned {
    servers: Vec<hetzner::Server>,
    volumes: Vec<hetzner::Volume>,
    firewalls: Vec<hetzner::Firewall>,
    keys: Vec<hetzner::SshKey>,
    addresses: Vec<hetzner::PrimaryIp>,
}

impl Cloud {
    /// The orphans of this owner, in all profiles: servers that are off or have no volume,
    /// firewalls of profiles without server and volume, addresses without a server, and the login
    /// key once nothing else exists. Volumes are never orphans.
    pub async fn orphans(&self) -> Result<Vec<Orphan>, MachineError> {
        let Owned { servers, volumes, firewalls, keys, addresses } = self.owned().await?;
        let mut orphans = Vec::new();
        for server in &servers {
            if let Some(because) = self.is_orphan(server).await? {
                let name = server.name.clone();
                orphans.push(Orphan::new(OrphanKind::Server, server.id, name, because));
            }
        }
        let profiles: Vec<Option<&String>> = servers
            .iter()
            .map(|server| server.labels.get(PROFILE))
            .chain(volumes.iter().map(|volume| volume.labels.get(PROFILE)))
            .collect();
        for firewall in firewalls {
            if !profiles.contains(&firewall.labels.get(PROFILE)) {
                let because = "its profile has neither server nor volume";
                let orphan = Orphan::new(OrphanKind::Firewall, firewall.id, firewall.name, because);
                orphans.push(orphan);
            }
        }
        for address in addresses.into_iter().filter(|address| address.assignee_id.is_none()) {
            let because = match address.kind.as_str() {
                "ipv4" => "no server has it, and it is billed",
                _ => "no server has it",
            };
            orphans.push(Orphan::new(OrphanKind::PrimaryIp, address.id, address.name, because));
        }
        if profiles.is_empty() {
            for key in keys {
                let because = "there is neither server nor volume";
                orphans.push(Orphan::new(OrphanKind::SshKey, key.id, key.name, because));
            }
        }
        Ok(orphans)
    }

    async fn owned(&self) -> Result<Owned, MachineError> {
        let own = Query::labels(owner_selector(&self.options.identity.owner));
        let (client, failed) = (&self.client, MachineError::cloud);
        let (mut servers, volumes, mut firewalls, mut keys, addresses) = tokio::try_join!(
            async { client.servers().list(&own).await.map_err(failed(Operation::ListServers)) },
            async { client.volumes().list(&own).await.map_err(failed(Operation::ListVolumes)) },
            async { client.firewalls().list(&own).await.map_err(failed(Operation::ListFirewalls)) },
            async { client.ssh_keys().list(&own).await.map_err(failed(Operation::ListSshKeys)) },
            async {
                client.primary_ips().list(&own).await.map_err(failed(Operation::ListPrimaryIps))
            },
        )?;
        // An image build decides about what it is built with.
        servers.retain(|server| !builds_image(&server.labels));
        firewalls.retain(|firewall| !builds_image(&firewall.labels));
        keys.retain(|key| !builds_image(&key.labels));
        Ok(Owned { servers, volumes, firewalls, keys, addresses })
    }

    /// Why nothing claims a server; `None` if something may.
    async fn is_orphan(
        &self,
        server: &hetzner::Server,
    ) -> Result<Option<&'static str>, MachineError> {
        let because = if server.status == hetzner::ServerStatus::Off && !server.locked {
            "it is off and still billed"
        } else if server.volumes.is_empty() && !server.locked {
            "it has no volume"
        } else {
            return Ok(None);
        };
        // The cloud reports a server that it is just creating as not locked.
        let running = self.client.servers().running_actions(server.id).await;
        let running = running.map_err(MachineError::cloud(Operation::ListServerActions))?;
        Ok(running.is_empty().then_some(because))
    }

    /// Reads the labels once more before the deletion, as for a server.
    async fn delete_address(&self, id: u64) -> Result<(), MachineError> {
        let addresses = self.client.primary_ips();
        let read =
            addresses.get(id).await.map_err(MachineError::cloud(Operation::ReadPrimaryIp))?;
        let Some(address) = read else { return Ok(()) };
        if !self.options.identity.owner.owns(&address.labels) {
            tracing::error!(id, "not deleted: its labels are not this owner's");
            return Ok(());
        }
        addresses.delete(id).await.map_err(MachineError::cloud(Operation::DeletePrimaryIp))
    }

    /// Deletes an orphan.
    pub async fn remove_orphan(&self, orphan: &Orphan) -> Result<(), MachineError> {
        let (client, failed) = (&self.client, MachineError::cloud);
        match orphan.kind {
            OrphanKind::Server => self.delete_server(orphan.id).await,
            OrphanKind::Firewall => {
                let deleted = client.firewalls().delete(orphan.id).await;
                deleted.map_err(failed(Operation::DeleteFirewall))
            }
            OrphanKind::PrimaryIp => self.delete_address(orphan.id).await,
            OrphanKind::SshKey => {
                let deleted = client.ssh_keys().delete(orphan.id).await;
                deleted.map_err(failed(Operation::DeleteSshKey))
            }
        }
    }
}
