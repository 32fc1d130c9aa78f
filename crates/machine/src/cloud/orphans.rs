//! What of ours is left in the cloud project without a reason.

use hetzner::Query;

use super::{Cloud, cloud};
use crate::error::MachineError;
use crate::identity::{IMAGE_BUILDER, PROFILE, ROLE, owner_selector};

/// Kinds of things that can be left over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OrphanKind {
    /// A server, which bills.
    Server,
    /// A firewall, which does not.
    Firewall,
    /// A login key, which does not.
    SshKey,
    /// A public address that no server has; one of IPv4 bills.
    PrimaryIp,
}

/// Something left over.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Orphan {
    /// What.
    pub kind: OrphanKind,
    /// The cloud's id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Why nobody needs it, in words for a person.
    pub because: String,
}

fn builds_image(labels: &hetzner::Labels) -> bool {
    labels.get(ROLE).is_some_and(|role| role == IMAGE_BUILDER)
}

impl Cloud {
    /// What this owner left in the project, of any profile: servers that are off, or have no
    /// volume; firewalls of profiles that have neither server nor volume; addresses that no server
    /// has; the login key once nothing else is left. Volumes are never among them.
    pub async fn orphans(&self) -> Result<Vec<Orphan>, MachineError> {
        let ours = Query::labels(owner_selector(&self.options.identity.owner));
        let (servers, volumes, firewalls, keys, addresses) = tokio::try_join!(
            async { self.client.servers().list(&ours).await.map_err(cloud("list the servers")) },
            async { self.client.volumes().list(&ours).await.map_err(cloud("list the volumes")) },
            async {
                self.client.firewalls().list(&ours).await.map_err(cloud("list the firewalls"))
            },
            async { self.client.ssh_keys().list(&ours).await.map_err(cloud("list the SSH keys")) },
            async {
                self.client.primary_ips().list(&ours).await.map_err(cloud("list the primary IPs"))
            },
        )?;
        // What an image is built with belongs to a build, which knows whether it is still needed.
        let servers: Vec<_> =
            servers.into_iter().filter(|server| !builds_image(&server.labels)).collect();
        let keys: Vec<_> = keys.into_iter().filter(|key| !builds_image(&key.labels)).collect();
        let firewalls: Vec<_> =
            firewalls.into_iter().filter(|firewall| !builds_image(&firewall.labels)).collect();
        let mut orphans = Vec::new();
        for server in &servers {
            let because = if server.status == hetzner::ServerStatus::Off && !server.locked {
                "it is off and still billed"
            } else if server.volumes.is_empty() && !server.locked {
                "it has no volume"
            } else {
                continue;
            };
            // The cloud reports a server that it is just creating as not locked.
            let running = self.client.servers().running_actions(server.id).await;
            if !running.map_err(cloud("list the actions of the server"))?.is_empty() {
                continue;
            }
            orphans.push(Orphan {
                kind: OrphanKind::Server,
                id: server.id,
                name: server.name.clone(),
                because: because.to_owned(),
            });
        }
        let profiles: Vec<Option<&String>> = servers
            .iter()
            .map(|server| server.labels.get(PROFILE))
            .chain(volumes.iter().map(|volume| volume.labels.get(PROFILE)))
            .collect();
        for firewall in
            firewalls.iter().filter(|firewall| !profiles.contains(&firewall.labels.get(PROFILE)))
        {
            let because = "its profile has neither server nor volume".to_owned();
            orphans.push(Orphan {
                kind: OrphanKind::Firewall,
                id: firewall.id,
                name: firewall.name.clone(),
                because,
            });
        }
        for address in addresses.into_iter().filter(|address| address.assignee_id.is_none()) {
            let because = match address.kind.as_str() {
                "ipv4" => "no server has it, and it is billed",
                _ => "no server has it",
            };
            orphans.push(Orphan {
                kind: OrphanKind::PrimaryIp,
                id: address.id,
                name: address.name,
                because: because.to_owned(),
            });
        }
        if profiles.is_empty() {
            for key in keys {
                let because = "there is neither server nor volume".to_owned();
                orphans.push(Orphan {
                    kind: OrphanKind::SshKey,
                    id: key.id,
                    name: key.name,
                    because,
                });
            }
        }
        Ok(orphans)
    }

    /// Its labels are read once more, as those of a server are.
    async fn delete_address(&self, id: u64) -> Result<(), MachineError> {
        let addresses = self.client.primary_ips();
        let Some(address) = addresses.get(id).await.map_err(cloud("look at the primary IP"))?
        else {
            return Ok(());
        };
        if !self.options.identity.owner.owns(&address.labels) {
            tracing::error!(id, "not deleted: its labels are not ours");
            return Ok(());
        }
        addresses.delete(id).await.map_err(cloud("delete the primary IP"))
    }

    /// Removes one.
    pub async fn remove_orphan(&self, orphan: &Orphan) -> Result<(), MachineError> {
        match orphan.kind {
            OrphanKind::Server => self.delete_server(orphan.id).await,
            OrphanKind::Firewall => self
                .client
                .firewalls()
                .delete(orphan.id)
                .await
                .map_err(cloud("delete the firewall")),
            OrphanKind::PrimaryIp => self.delete_address(orphan.id).await,
            OrphanKind::SshKey => {
                self.client.ssh_keys().delete(orphan.id).await.map_err(cloud("delete the SSH key"))
            }
        }
    }
}
