//! A host of the person's own, with an engine that runs already: we connect and let go, and never create or delete.

use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::{Instant, sleep};
use tunnel::{AgentState, ConnectError, Options, Tunnel};

use crate::error::MachineError;
use crate::observed::ServerStatus;
use crate::provider::{Consent, Destroyed, Phase, Progress, Provider, Ready, Summary};

/// Pauses between attempts to reach it.
const ATTEMPTS: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(2)];

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
            volume: None,
        }
    }

    async fn connect(&self, progress: &Progress<'_>) -> Result<Ready, MachineError> {
        progress(Phase::Connect, Some(self.options.endpoint.to_string()));
        let mut pauses = ATTEMPTS.iter();
        let begun = Instant::now();
        loop {
            match Tunnel::connect(self.options.clone()).await {
                Ok(tunnel) => {
                    if let AgentState::Absent { reason } = tunnel.agent() {
                        tracing::warn!("no agent runs on {}, every stream is an SSH channel of its own: {reason}", self.options.endpoint);
                    }
                    return Ok(Ready { tunnel, summary: self.summary(ServerStatus::Running) });
                }
                Err(error @ (ConnectError::Unreachable { .. } | ConnectError::TimedOut { .. })) => match pauses.next() {
                    Some(pause) => sleep(*pause).await,
                    None => {
                        tracing::debug!(seconds = begun.elapsed().as_secs(), "gave up");
                        return Err(self.no_way(error));
                    }
                },
                Err(error) => return Err(self.no_way(error)),
            }
        }
    }

    fn no_way(&self, error: ConnectError) -> MachineError {
        MachineError::Connect { name: self.options.endpoint.to_string(), source: Box::new(error) }
    }
}

impl Provider for Host {
    fn find(&self) -> BoxFuture<'_, Result<Option<Summary>, MachineError>> {
        Box::pin(async { Ok(Some(self.summary(ServerStatus::Running))) })
    }

    fn ensure<'a>(&'a self, progress: &'a Progress<'a>) -> BoxFuture<'a, Result<Ready, MachineError>> {
        Box::pin(self.connect(progress))
    }

    fn settle<'a>(&'a self, _ready: &'a Ready) -> BoxFuture<'a, Result<(), MachineError>> {
        Box::pin(async { Ok(()) })
    }

    fn destroy<'a>(&'a self, _tunnel: Option<&'a Tunnel>, _consent: Consent) -> BoxFuture<'a, Result<Destroyed, MachineError>> {
        Box::pin(async { Ok(Destroyed::NotOurs) })
    }
}
