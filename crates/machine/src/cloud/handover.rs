//! What a client does first on a machine that it has logged in to: take the lease over, wait for
//! docker, start the containers that ran before.

use std::time::Duration;

use agent_proto::{Call, DockerState, EndOfLease, Reply};
use secrecy::ExposeSecret as _;
use tokio::time::{Instant, sleep, timeout};
use tunnel::{AgentState, Tunnel};

use super::attempt::Lost;
use super::diagnosis::refused;
use super::project::{Cloud, SelfDestruct};
use crate::error::MachineError;
use crate::lease::Lease;
use crate::observed::Server;
use crate::operation::AgentTask;

/// Docker starts in seconds, but a volume may be attached late and be checked first.
const LONGEST_DOCKER_START: Duration = Duration::from_secs(6 * 60);
/// A client that waits for the machine waits this long for the containers that ran before. After
/// that they continue to start without it.
const LONGEST_RESUMPTION: Duration = Duration::from_secs(20);
/// Between two attempts to open docker's socket on a machine without an agent.
const BETWEEN_PROBES: Duration = Duration::from_millis(150);

impl Cloud {
    /// Sends the first heartbeat, and what to do when no more follow.
    pub(super) async fn hand_over(
        &self,
        server: &Server,
        tunnel: &Tunnel,
    ) -> Result<(), MachineError> {
        if let AgentState::Absent { reason } = tunnel.agent() {
            tracing::warn!(
                "no agent runs on {} ({reason}): when its lease ends it powers off and does not \
                delete itself",
                server.name
            );
            let renewed = tunnel.exec(&self.options.lease.renewal(), b"").await;
            return renewed.map(drop).map_err(|error| refused(server, error));
        }
        let api = &self.options.api;
        let end = match self.options.self_destruct {
            SelfDestruct::PowerOff => EndOfLease::PowerOff,
            SelfDestruct::Token => EndOfLease::Delete {
                endpoint: api.endpoint.clone(),
                server: server.id,
                token: api.token.expose_secret().to_owned(),
            },
        };
        let heartbeat = Call::Heartbeat(self.options.lease.heartbeat(Duration::ZERO));
        call(server, tunnel, AgentTask::TakeOverLease, heartbeat).await?;
        let end = Call::EndOfLease(end);
        call(server, tunnel, AgentTask::TakeOverSelfDestruct, end).await?;
        Ok(())
    }

    /// Starts the containers that ran on the last machine before a client sees this one. A failure
    /// is logged, and the machine is used anyway.
    pub(super) async fn resume(&self, server: &Server, tunnel: &Tunnel) {
        let AgentState::Running { resident: true } = tunnel.agent() else { return };
        let name = &server.name;
        let resume = tunnel.call(Call::Resume { all: self.options.resume });
        match timeout(LONGEST_RESUMPTION, resume).await {
            Ok(Ok(Reply::Resumed { started, failed })) => {
                if !started.is_empty() {
                    let containers = started.join(", ");
                    tracing::info!(containers, "containers that ran before run again");
                }
                for failure in failed {
                    tracing::warn!(%failure, "a container that ran before does not run again");
                }
            }
            Ok(Ok(_)) => tracing::warn!(
                "containers that ran before on {name} may not run again: the agent's reply does \
                not fit the call"
            ),
            Ok(Err(error)) => {
                tracing::warn!(%error, "containers that ran before on {name} may not run again");
            }
            Err(_) => {
                tracing::warn!("containers that ran before on {name} are still being started");
            }
        }
    }
}

/// A call to the agent that must not fail.
async fn call(
    server: &Server,
    tunnel: &Tunnel,
    task: AgentTask,
    call: Call,
) -> Result<Reply, MachineError> {
    let failed = |message: String| MachineError::Agent { name: server.name.clone(), task, message };
    match tunnel.call(call).await {
        Ok(Reply::Failed { message }) => Err(failed(message)),
        Ok(reply) => Ok(reply),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// Waits for docker, and renews the lease meanwhile: attaching a volume may take longer than a
/// lease, and the machine would delete itself.
pub(super) async fn await_docker(
    server: &Server,
    tunnel: &Tunnel,
    lease: &Lease,
) -> Result<(), Lost> {
    let AgentState::Running { .. } = tunnel.agent() else {
        return await_docker_without_agent(server, tunnel, lease).await;
    };
    let begun = Instant::now();
    let seconds = u32::try_from(renewal_pause(lease).as_secs()).unwrap_or(1);
    while begun.elapsed() < LONGEST_DOCKER_START {
        let asked = Call::AwaitDocker { seconds };
        let reply = call(server, tunnel, AgentTask::ReportDocker, asked).await;
        let Reply::Report(report) = reply.map_err(Lost::Failed)? else { continue };
        match report.docker {
            DockerState::Ready => return Ok(()),
            DockerState::Failed { reason } => {
                return Err(Lost::Delete(MachineError::Docker {
                    name: server.name.clone(),
                    reason,
                }));
            }
            DockerState::Released => {
                return Err(Lost::Replace(
                    "an earlier client stopped docker there to delete it".to_owned(),
                ));
            }
            DockerState::Starting => {}
        }
        let heartbeat = Call::Heartbeat(lease.heartbeat(Duration::ZERO));
        call(server, tunnel, AgentTask::RenewLease, heartbeat).await.map_err(Lost::Failed)?;
    }
    let reason = format!("it did not answer within {} s", LONGEST_DOCKER_START.as_secs());
    Err(Lost::Delete(MachineError::Docker { name: server.name.clone(), reason }))
}

async fn await_docker_without_agent(
    server: &Server,
    tunnel: &Tunnel,
    lease: &Lease,
) -> Result<(), Lost> {
    let begun = Instant::now();
    let mut renewed = begun;
    while begun.elapsed() < LONGEST_DOCKER_START {
        if renewed.elapsed() > renewal_pause(lease) {
            renewed = Instant::now();
            tunnel
                .exec(&lease.renewal(), b"")
                .await
                .map_err(|error| Lost::Failed(refused(server, error)))?;
        }
        if tunnel.open(tunnel::Destination::Docker, tunnel::Class::Interactive).await.is_ok() {
            return Ok(());
        }
        if let Some(reason) = tunnel.is_dead() {
            return Err(Lost::Observe(reason));
        }
        sleep(BETWEEN_PROBES).await;
    }
    let reason = format!("its socket did not appear within {} s", LONGEST_DOCKER_START.as_secs());
    Err(Lost::Delete(MachineError::Docker { name: server.name.clone(), reason }))
}

/// A third of the lease, so that two renewals may be lost; at least 1 s and at most 30 s.
fn renewal_pause(lease: &Lease) -> Duration {
    (lease.length / 3).clamp(Duration::from_secs(1), Duration::from_secs(30))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `volume.sh` reports a volume that does not appear; docker's start is given up only after
    /// that.
    #[test]
    fn missing_volume_is_reported_before_docker_is_given_up() {
        let script = include_str!("../bootstrap/volume.sh");
        let wait = script.lines().find_map(|line| {
            line.strip_prefix("wait_seconds=${DOCKBRIDGE_VOLUME_WAIT:-")?.strip_suffix('}')
        });
        let wait = Duration::from_secs(wait.unwrap().parse().unwrap());
        assert!(wait + Duration::from_secs(30) <= LONGEST_DOCKER_START, "{wait:?}");
    }
}
