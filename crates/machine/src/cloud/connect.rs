//! Connects to a server that exists, until its engine answers: reach it, log in with the pinned
//! host key, hand the lease over, wait for docker.

use std::net::SocketAddr;

use super::attempt::{Attempt, Lost};
use super::creation::Creation;
use super::handover::await_docker;
use super::project::Cloud;
use super::ssh::SSH_PORT;
use crate::observed::{Observed, Server};
use crate::provider::{Observer, Ready};
use api::Phase;
use api::ServerStatus;

impl Cloud {
    pub(super) async fn connect(
        &self,
        server: &Server,
        observed: &Observed,
        attempt: Attempt<'_>,
        observer: &dyn Observer,
    ) -> Result<Ready, Lost> {
        let Some(address) = server.address else {
            return Err(Lost::Observe("the server has no address yet".to_owned()));
        };
        self.is_admitted(server).await.map_err(Lost::Failed)?;
        observer.stage(Phase::Boot, Some(format!("{} in {}", server.server_type, server.location)));
        self.await_ssh(server, SocketAddr::new(address, SSH_PORT), attempt).await?;
        observer.stage(Phase::Connect, None);
        let tunnel = tokio::select! {
            tunnel = self.log_in(server, address.to_string(), attempt) => tunnel?,
            // A host on the path may answer in place of a server that never will.
            failure = self.failure_of(attempt.creation) => {
                return Err(Lost::CreationFailed(failure));
            }
        };
        self.hand_over(server, &tunnel).await.map_err(Lost::Failed)?;
        observer.stage(Phase::Docker, None);
        let docker = async {
            tokio::select! {
                docker = await_docker(server, &tunnel, &self.options.lease) => docker,
                lost = self.lacks_volume(server, observed, attempt.creation) => Err(lost),
            }
        };
        let (docker, pricing) = tokio::join!(docker, self.prices.soon(&self.client));
        docker?;
        observer.stage(Phase::Resume, None);
        self.resume(server, &tunnel).await;
        // Docker answers, which may be news since the cloud was asked.
        let server = Server { status: ServerStatus::Running, busy: false, ..server.clone() };
        let mut summary = self.summary(&server, observed, pricing.as_deref());
        if let Some(volume) = &mut summary.volume {
            volume.server = summary.id;
        }
        Ok(Ready { tunnel, summary })
    }

    /// Resolves if the creation has left the server without its volume: docker would wait for it
    /// in vain.
    async fn lacks_volume(
        &self,
        server: &Server,
        observed: &Observed,
        creation: Option<&Creation>,
    ) -> Lost {
        if let Err(failure) = self.end_of(creation).await {
            return Lost::CreationFailed(failure);
        }
        let lacks_it = match observed.volumes.first() {
            Some(volume) => self
                .client
                .volumes()
                .get(volume.id)
                .await
                .is_ok_and(|now| now.is_none_or(|now| now.server != Some(server.id))),
            None => true,
        };
        match lacks_it {
            true => Lost::Observe(format!("server {} was created without its volume", server.name)),
            false => std::future::pending().await,
        }
    }
}
