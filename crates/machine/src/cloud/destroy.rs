//! Destroys a machine in order: containers, docker and file system through the agent, then the
//! server. If a step fails the next ones are tried anyway, so that nothing stays that is billed.

use std::time::Duration;

use agent_proto::{Call, Reply};
use tokio::time::{Instant, timeout};
use tunnel::{CallError, Tunnel};

use super::poll_backoff::PollBackoff;
use super::project::Cloud;
use crate::causes::with_causes;
use crate::error::MachineError;
use crate::observed::Server;
use crate::operation::Operation;
use crate::provider::{Consent, Destroyed};
use api::ServerStatus;

/// Containers have 30 s to stop; docker and the file system some more.
const LONGEST_RELEASE: Duration = Duration::from_secs(90);
/// A system that shuts down unmounts its file systems first.
const LONGEST_SHUTDOWN: Duration = Duration::from_secs(45);
/// The cloud takes about 10 s.
const LONGEST_DELETE: Duration = Duration::from_secs(5 * 60);

/// What the agent did with an order to stop docker and unmount the volume.
enum Released {
    Stopped,
    /// Another client works there; human-readable.
    InUse(String),
}

/// Why docker was not stopped in order.
#[derive(Debug, thiserror::Error)]
enum ReleaseError {
    #[error("there is no connection to it")]
    NoConnection,
    #[error("{message}")]
    Agent { message: String },
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("it took longer than {} s", LONGEST_RELEASE.as_secs())]
    TimedOut,
}

impl Cloud {
    pub(super) async fn take_down(
        &self,
        tunnel: Option<&Tunnel>,
        consent: Consent,
    ) -> Result<Destroyed, MachineError> {
        let observed = self.servers_and_volumes().await?;
        self.fresh_volume.observe(&observed);
        if observed.servers.is_empty() {
            // The wake before may have been cut off between volume and server.
            self.try_delete_fresh_volume().await;
            return Ok(Destroyed::Absent);
        }
        let mut troubles = Vec::new();
        for server in &observed.servers {
            let released = match tunnel {
                Some(tunnel) => self.release(tunnel, consent).await,
                None => Err(ReleaseError::NoConnection),
            };
            match released {
                Ok(Released::Stopped) => {}
                Ok(Released::InUse(reason)) => return Ok(Destroyed::InUse { reason }),
                // The system unmounts the volume as it shuts down.
                Err(error) => {
                    troubles.push(format!("docker could not be stopped in order ({error})"));
                    if server.status == ServerStatus::Running {
                        let shut_down = self.shut_down(server).await;
                        troubles.extend(shut_down.err().map(|error| with_causes(&error)));
                    }
                }
            }
            // The cloud detaches the volume as it deletes the server.
            self.delete_server(server.id).await?;
        }
        Ok(Destroyed::Gone { troubles })
    }

    async fn release(&self, tunnel: &Tunnel, consent: Consent) -> Result<Released, ReleaseError> {
        let call = Call::Release {
            client: self.options.lease.client.clone(),
            unless_used: consent == Consent::UnlessUsed,
        };
        let replied = timeout(LONGEST_RELEASE, tunnel.call(call)).await;
        match replied.map_err(|_| ReleaseError::TimedOut)?? {
            Reply::InUse { reason } => Ok(Released::InUse(reason)),
            Reply::Failed { message } => Err(ReleaseError::Agent { message }),
            _ => Ok(Released::Stopped),
        }
    }

    /// Deletes a server that this client has no connection to. If it runs, its system is shut down
    /// first: it may have the volume mounted.
    pub(super) async fn remove_server(&self, server: &Server) -> Result<(), MachineError> {
        if server.status == ServerStatus::Running
            && let Err(error) = self.shut_down(server).await
        {
            tracing::warn!(error = with_causes(&error), "the server is deleted while it runs");
        }
        self.delete_server(server.id).await
    }

    async fn shut_down(&self, server: &Server) -> Result<(), MachineError> {
        let servers = self.client.servers();
        let asked = servers.shutdown(server.id).await;
        asked.map_err(MachineError::cloud(Operation::ShutDownServer))?;
        let (begun, mut backoff) = (Instant::now(), PollBackoff::new());
        while begun.elapsed() < LONGEST_SHUTDOWN {
            let read = servers.get(server.id).await;
            match read.map_err(MachineError::cloud(Operation::ReadServer))? {
                Some(now) if now.status == hetzner::ServerStatus::Running => backoff.pause().await,
                _ => return Ok(()),
            }
        }
        Err(MachineError::NotPoweredOff { name: server.name.clone(), waited: LONGEST_SHUTDOWN })
    }

    /// Deletes a server of this owner and waits until it is gone. Reads its labels once more: an id
    /// is a number, and a deletion cannot be undone.
    pub(super) async fn delete_server(&self, id: u64) -> Result<(), MachineError> {
        let servers = self.client.servers();
        let read = servers.get(id).await.map_err(MachineError::cloud(Operation::ReadServer))?;
        let Some(server) = read else { return Ok(()) };
        if !self.options.identity.owner.owns(&server.labels) {
            tracing::error!(id, "not deleted: its labels are not this owner's");
            return Ok(());
        }
        let (begun, mut backoff) = (Instant::now(), PollBackoff::new());
        // Before the deletion, so that an interrupted deletion leaves the server in the ledger. The
        // deletion does not wait for the price list.
        self.options.books.server(&server, self.prices.known().as_deref());
        if server.status != hetzner::ServerStatus::Deleting {
            let action = loop {
                match servers.delete(id).await {
                    // An action runs on it, such as its creation. It takes longer than the client
                    // repeats a request.
                    Err(error) if error.is_locked() && begun.elapsed() < LONGEST_DELETE => {
                        backoff.pause().await
                    }
                    deleted => {
                        break deleted.map_err(MachineError::cloud(Operation::DeleteServer))?;
                    }
                }
            };
            self.settled(Operation::DeleteServer, Ok(action.into_iter().collect())).await?;
        }
        loop {
            let read = servers.get(id).await;
            if read.map_err(MachineError::cloud(Operation::ReadServer))?.is_none() {
                break;
            }
            if begun.elapsed() > LONGEST_DELETE {
                return Err(MachineError::TimedOut {
                    waited: LONGEST_DELETE,
                    last: format!("deleting server {}", server.name),
                });
            }
            backoff.pause().await;
        }
        let pricing = self.prices.soon(&self.client).await;
        self.options.books.server_gone(&server, pricing.as_deref());
        Ok(())
    }

    /// Deletes a volume with its data. The user has named it.
    pub async fn delete_volume(&self, id: u64) -> Result<(), MachineError> {
        let volumes = self.client.volumes();
        let labels = volumes.get(id).await.ok().flatten().map(|volume| volume.labels);
        volumes.delete(id).await.map_err(MachineError::cloud(Operation::DeleteVolume))?;
        self.options.books.volume_gone(id, &labels.unwrap_or_default());
        Ok(())
    }
}
