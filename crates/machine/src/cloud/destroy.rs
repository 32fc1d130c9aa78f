//! Taking a machine down in order: containers, docker and file system through the agent, then the
//! server. A step that fails does not keep the others from being tried; what is billed goes in any
//! case.

use std::time::Duration;

use agent_proto::{Call, Reply};
use tokio::time::{Instant, timeout};
use tunnel::Tunnel;

use super::looks::Looks;
use super::{Cloud, cloud};
use crate::error::MachineError;
use crate::observed::{Server, ServerStatus};
use crate::provider::{Consent, Destroyed};

/// Containers have 30 s to stop; docker and the file system some more.
const LONGEST_RELEASE: Duration = Duration::from_secs(90);
/// A system that is asked to power off unmounts its file systems first.
const LONGEST_SHUTDOWN: Duration = Duration::from_secs(45);
/// The cloud takes about ten seconds.
const LONGEST_DELETE: Duration = Duration::from_secs(5 * 60);

impl Cloud {
    pub(super) async fn take_down(
        &self,
        tunnel: Option<&Tunnel>,
        consent: Consent,
    ) -> Result<Destroyed, MachineError> {
        let observed = self.servers_and_volumes().await?;
        if observed.servers.is_empty() {
            self.take_back_unused().await;
            return Ok(Destroyed::Absent);
        }
        let mut troubles = Vec::new();
        for server in &observed.servers {
            let released = match tunnel {
                Some(tunnel) => self.release(tunnel, consent).await,
                None => Err("there is no connection to it".to_owned()),
            };
            match released {
                Ok(None) => {}
                Ok(Some(reason)) => return Ok(Destroyed::InUse { reason }),
                // The system unmounts on its own way down.
                Err(trouble) => {
                    troubles.push(format!("docker could not be stopped in order ({trouble})"));
                    if server.status == ServerStatus::Running {
                        troubles.extend(self.shut_down(server).await.err());
                    }
                }
            }
            // The cloud detaches its volumes as it deletes it.
            self.delete_server(server.id).await?;
        }
        self.take_back_unused().await;
        Ok(Destroyed::Gone { troubles })
    }

    /// `Ok(Some)` if another client works there.
    async fn release(&self, tunnel: &Tunnel, consent: Consent) -> Result<Option<String>, String> {
        let call = Call::Release {
            client: self.options.lease.client.clone(),
            unless_used: consent == Consent::UnlessUsed,
        };
        match timeout(LONGEST_RELEASE, tunnel.call(call)).await {
            Ok(Ok(Reply::InUse { reason })) => Ok(Some(reason)),
            Ok(Ok(Reply::Failed { message })) => Err(message),
            Ok(Ok(_)) => Ok(None),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("it took longer than {} s", LONGEST_RELEASE.as_secs())),
        }
    }

    /// Deletes a server that we have no connection to. If it runs, its system is asked to end
    /// first: it may have the volume mounted.
    pub(super) async fn remove_server(&self, server: &Server) -> Result<(), MachineError> {
        if server.status == ServerStatus::Running
            && let Err(trouble) = self.shut_down(server).await
        {
            tracing::warn!(%trouble, "the server is deleted as it is");
        }
        self.delete_server(server.id).await
    }

    async fn shut_down(&self, server: &Server) -> Result<(), String> {
        self.client
            .servers()
            .shutdown(server.id)
            .await
            .map_err(|error| crate::with_causes(&error))?;
        let (begun, mut looks) = (Instant::now(), Looks::new());
        while begun.elapsed() < LONGEST_SHUTDOWN {
            match self.client.servers().get(server.id).await {
                Ok(Some(now)) if now.status == hetzner::ServerStatus::Running => {
                    looks.pause().await
                }
                Ok(_) => return Ok(()),
                Err(error) => return Err(crate::with_causes(&error)),
            }
        }
        Err(format!(
            "server {} did not power off within {} s",
            server.name,
            LONGEST_SHUTDOWN.as_secs()
        ))
    }

    /// Deletes one of our servers and waits until it is gone. Its labels are read once more: ids
    /// are numbers, and this cannot be taken back.
    pub(super) async fn delete_server(&self, id: u64) -> Result<(), MachineError> {
        let servers = self.client.servers();
        let Some(server) = servers.get(id).await.map_err(cloud("look at the server"))? else {
            return Ok(());
        };
        if !self.options.identity.owner.owns(&server.labels) {
            tracing::error!(id, "not deleted: its labels are not ours");
            return Ok(());
        }
        let (begun, mut looks) = (Instant::now(), Looks::new());
        // Before it is deleted, so that an interrupted deletion leaves it in the books. The
        // deletion waits for no price list.
        self.options.books.server(&server, self.known_prices().as_deref());
        if server.status != hetzner::ServerStatus::Deleting {
            let action = loop {
                match servers.delete(id).await {
                    // An action runs on it, such as its creation: that takes longer than the client
                    // repeats a request.
                    Err(error) if error.is_locked() && begun.elapsed() < LONGEST_DELETE => {
                        looks.pause().await
                    }
                    deleted => break deleted.map_err(cloud("delete the server"))?,
                }
            };
            self.settled("delete the server", Ok(action.into_iter().collect())).await?;
        }
        while servers.get(id).await.map_err(cloud("look at the server"))?.is_some() {
            if begun.elapsed() > LONGEST_DELETE {
                return Err(MachineError::TimedOut {
                    waited: LONGEST_DELETE,
                    last: format!("deleting server {}", server.name),
                });
            }
            looks.pause().await;
        }
        self.options.books.server_gone(&server, self.prices_soon().await.as_deref());
        Ok(())
    }

    /// Deletes a volume with everything on it. For a person who named it.
    pub async fn delete_volume(&self, id: u64) -> Result<(), MachineError> {
        let labels = self.client.volumes().get(id).await.ok().flatten().map(|volume| volume.labels);
        self.client.volumes().delete(id).await.map_err(cloud("delete the volume"))?;
        self.options.books.volume_gone(id, &labels.unwrap_or_default());
        Ok(())
    }
}
