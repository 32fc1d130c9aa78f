//! Deletes the server of a wake that does not come to its end.

use super::attempt::is_settled;
use super::project::Cloud;
use crate::behalf::Behalf;
use crate::causes::with_causes;
use crate::convert::status;
use crate::error::{AfterCallOff, MachineError};
use crate::observed::{Observed, Server};
use crate::operation::Operation;
use crate::provider::Observer;
use api::Actor;
use api::Phase;
use api::ServerStatus;

impl Cloud {
    /// Deletes a server that cannot become the machine.
    pub(super) async fn give_up(
        &self,
        server: u64,
        observed: &Observed,
        observer: &dyn Observer,
        because: &str,
    ) -> Result<(), MachineError> {
        observer.stage(Phase::CleanUp, Some(because.to_owned()));
        let removing = async {
            match observed.servers.iter().find(|found| found.id == server) {
                Some(server) => self.remove_server(server).await,
                None => self.delete_server(server).await,
            }
        };
        Behalf::new(Actor::Daemon, because).during(removing).await?;
        observer.deleted(server, because);
        Ok(())
    }

    /// Whether a server that the list shows as off runs by the cloud's answer about that one
    /// server.
    pub(super) async fn has_started(
        &self,
        server: u64,
        observed: &Observed,
    ) -> Result<bool, MachineError> {
        let is_off = |found: &Server| found.id == server && found.status == ServerStatus::Off;
        if !observed.servers.iter().any(is_off) {
            return Ok(false);
        }
        let now = self.client.servers().get(server).await;
        let now = now.map_err(MachineError::cloud(Operation::ReadServer))?;
        Ok(now.is_some_and(|now| {
            matches!(status(&now.status), ServerStatus::Running | ServerStatus::Starting)
        }))
    }

    /// Deletes the server that the wake has created, unless another client uses it. No lease of
    /// this client was meant to outlive the wake.
    pub(super) async fn call_off(
        &self,
        fresh: Option<&Server>,
        observer: &dyn Observer,
    ) -> MachineError {
        const BECAUSE: &str = "an order of the user called the wake off";
        let Some(fresh) = fresh else {
            return MachineError::CalledOff(AfterCallOff::NoServer);
        };
        observer.stage(Phase::CleanUp, Some(BECAUSE.to_owned()));
        let server = fresh.id;
        let not_deleted = |error: &dyn std::error::Error| {
            MachineError::CalledOff(AfterCallOff::NotDeleted { server, why: with_causes(error) })
        };
        let now = match self.client.servers().get(server).await {
            Ok(Some(now)) => now,
            Ok(None) => return MachineError::CalledOff(AfterCallOff::Deleted(server)),
            Err(error) => return not_deleted(&error),
        };
        if is_settled(&now.labels) {
            return MachineError::CalledOff(AfterCallOff::InUse(server));
        }
        let now = Server { status: status(&now.status), ..fresh.clone() };
        let removing = self.remove_server(&now);
        match Behalf::new(Actor::User, BECAUSE).during(removing).await {
            Ok(()) => {
                observer.deleted(server, BECAUSE);
                MachineError::CalledOff(AfterCallOff::Deleted(server))
            }
            Err(error) => not_deleted(&error),
        }
    }
}
