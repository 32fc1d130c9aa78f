//! The user's own host, whose engine runs already. dockbridge connects and disconnects, and never
//! creates or deletes anything there.

use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::sleep;
use tunnel::{AgentState, ConnectError, Options, Tunnel};

use crate::error::{AfterCallOff, MachineError};
use crate::login_timeout::login_timeout;
use crate::provider::{Consent, Destroyed, Joined, Observer, Provider, Ready};
use api::Phase;
use api::ServerStatus;
use api::Summary;

/// Attempts to connect while a client waits. They are limited to 5, 15 and 30 s.
const ATTEMPTS: u32 = 3;
/// The pause before the second attempt. The pause before the third is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// A provider of one host.
#[derive(Debug, Clone)]
pub struct Host {
    options: Options,
}

impl Host {
    /// Connects to nothing yet.
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    fn summary(&self, status: ServerStatus) -> Summary {
        let endpoint = &self.options.endpoint;
        let address = endpoint.host.parse().ok();
        Summary { address, status, ..Summary::known_as(endpoint.to_string(), None) }
    }

    async fn connect(&self, observer: &dyn Observer) -> Result<Ready, MachineError> {
        observer.stage(Phase::Connect, Some(self.options.endpoint.to_string()));
        let mut made = 0;
        loop {
            let error = match self.attempt(login_timeout(made)).await {
                Ok(ready) => return Ok(ready),
                Err(error) => error,
            };
            made += 1;
            if made == ATTEMPTS
                || !matches!(
                    error,
                    ConnectError::Unreachable { .. }
                        | ConnectError::TimedOut { .. }
                        | ConnectError::TransportFailed { .. }
                )
            {
                return Err(self.not_connected(error));
            }
            sleep(FIRST_PAUSE * made).await;
        }
    }

    async fn attempt(&self, within: Duration) -> Result<Ready, ConnectError> {
        let tunnel = Tunnel::connect_within(self.options.clone(), within).await?;
        if let AgentState::Absent { reason } = tunnel.agent() {
            tracing::warn!(
                "no agent runs on {}, every stream is an SSH channel of its own: {reason}",
                self.options.endpoint
            );
        }
        Ok(Ready { tunnel, summary: self.summary(ServerStatus::Running) })
    }

    fn not_connected(&self, error: ConnectError) -> MachineError {
        MachineError::Connect { name: self.options.endpoint.to_string(), source: Box::new(error) }
    }
}

impl Provider for Host {
    fn find(&self) -> BoxFuture<'_, Result<Option<Summary>, MachineError>> {
        Box::pin(async { Ok(Some(self.summary(ServerStatus::Running))) })
    }

    fn ensure<'a>(
        &'a self,
        observer: &'a dyn Observer,
    ) -> BoxFuture<'a, Result<Ready, MachineError>> {
        Box::pin(async move {
            tokio::select! {
                biased;
                () = observer.called_off() => {
                    Err(MachineError::CalledOff(AfterCallOff::NoServer))
                }
                connected = self.connect(observer) => connected,
            }
        })
    }

    fn join(&self, limit: Duration) -> BoxFuture<'_, Result<Joined, MachineError>> {
        Box::pin(async move {
            match self.attempt(limit).await {
                Ok(ready) => Ok(Joined::Ready(Box::new(ready))),
                Err(error) => Err(self.not_connected(error)),
            }
        })
    }

    fn priced<'a>(&'a self, _machine: &'a Summary) -> BoxFuture<'a, Option<Summary>> {
        Box::pin(async { None })
    }

    fn settle<'a>(&'a self, _ready: &'a Ready) -> BoxFuture<'a, Result<(), MachineError>> {
        Box::pin(async { Ok(()) })
    }

    fn destroy<'a>(
        &'a self,
        _tunnel: Option<&'a Tunnel>,
        _consent: Consent,
    ) -> BoxFuture<'a, Result<Destroyed, MachineError>> {
        Box::pin(async { Ok(Destroyed::NotManaged) })
    }
}
