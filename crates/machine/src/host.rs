//! A host of the person's own, with an engine that runs already: we connect and let go, and never
//! create or delete.

use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::sleep;
use tunnel::{AgentState, ConnectError, Options, Tunnel};

use crate::error::MachineError;
use crate::observed::ServerStatus;
use crate::patience::patience;
use crate::provider::{Consent, Destroyed, Joined, Observer, Phase, Provider, Ready, Summary};

/// Attempts to reach it while somebody waits. They are bounded by 5, 15 and 30 s.
const ATTEMPTS: u32 = 3;
/// Before the second attempt; twice that before the third.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// A provider of one host.
#[derive(Debug, Clone)]
pub struct Host {
    options: Options,
}

impl Host {
    /// Nothing is connected yet.
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    fn summary(&self, status: ServerStatus) -> Summary {
        Summary {
            id: None,
            name: self.options.endpoint.to_string(),
            address: self.options.endpoint.host.parse().ok(),
            status,
            busy: false,
            server_type: None,
            location: None,
            created: None,
            price_hourly: None,
            price_monthly: None,
            currency: None,
            billed_unit_seconds: None,
            volume: None,
            image: None,
        }
    }

    async fn connect(&self, observer: &dyn Observer) -> Result<Ready, MachineError> {
        observer.stage(Phase::Connect, Some(self.options.endpoint.to_string()));
        let mut made = 0;
        loop {
            let error = match self.attempt(patience(made)).await {
                Ok(ready) => return Ok(ready),
                Err(error) => error,
            };
            made += 1;
            if made == ATTEMPTS
                || !matches!(
                    error,
                    ConnectError::Unreachable { .. }
                        | ConnectError::TimedOut { .. }
                        | ConnectError::RouteFailed { .. }
                )
            {
                return Err(self.no_way(error));
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

    fn no_way(&self, error: ConnectError) -> MachineError {
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
                () = observer.called_off() => Err(MachineError::CalledOff { removed: None, left: None }),
                connected = self.connect(observer) => connected,
            }
        })
    }

    fn join(&self, patience: Duration) -> BoxFuture<'_, Result<Joined, MachineError>> {
        Box::pin(async move {
            match self.attempt(patience).await {
                Ok(ready) => Ok(Joined::Ready(Box::new(ready))),
                Err(error) => Err(self.no_way(error)),
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
        Box::pin(async { Ok(Destroyed::NotOurs) })
    }
}
