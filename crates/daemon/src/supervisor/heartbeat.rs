//! Heartbeats to the machine, and what it reports in return.

use std::time::Duration;

use agent_proto::{Call, Heartbeat, MachineReport, Reply};
use api::CheckKind;
use lifecycle::Moment;
use machine::{Lease, Ready, with_causes};
use tokio::time::timeout;
use tunnel::{AgentState, CallError, ConnectError};

use super::Supervisor;
use crate::containers;

/// If the agent does not answer for longer, the watchdog decides.
const LONGEST_CALL: Duration = Duration::from_secs(10);

/// What the machine last heard of this client's idleness. It goes on counting by itself, and lets
/// another client take it down by this.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reported {
    pub(super) at: Moment,
    pub(super) idle: Duration,
}

impl Reported {
    /// Whether a heartbeat is due: the machine soon takes this client for idle, although it has
    /// worked since. `idle` and `limit` are this client's own; `tolerance` is the shortest
    /// difference that counts.
    pub(super) fn misleads(
        self,
        now: Moment,
        idle: Duration,
        limit: Duration,
        tolerance: Duration,
    ) -> bool {
        let believed = self.idle + now.since(self.at);
        believed >= limit / 2 && idle + tolerance < believed
    }
}

impl Supervisor {
    /// How long this client has had nothing to do.
    pub(super) fn idle(&self) -> Duration {
        let (snapshot, now) = (self.parts.activity.snapshot(), self.now());
        let pinned = snapshot.pin.is_some_and(|pin| pin.until.is_none_or(|until| until > now));
        if !snapshot.live.is_empty() || pinned {
            return Duration::ZERO;
        }
        let since = self.state.borrow().tenure(now).since;
        now.since(snapshot.last_activity().map_or(since, |seen| seen.at.max(since)))
    }

    /// A pin with an end holds even if this computer is switched off: the lease lasts as long.
    fn alive(&self, idle: Duration) -> Heartbeat {
        let pinned_until = self.parts.activity.snapshot().pin.and_then(|pin| pin.until);
        let left = pinned_until.map_or(Duration::ZERO, |until| until.since(self.now()));
        let lease = self.settings.lease();
        Lease { length: lease.length.max(left), ..lease }.heartbeat(idle)
    }

    /// Sends a heartbeat, and takes the machine's report and its running containers.
    pub(super) async fn heartbeat(&mut self, ready: &Ready) -> Reported {
        let (at, idle) = (self.now(), self.idle());
        if ready.summary.id.is_some()
            && !matches!(ready.tunnel.agent(), AgentState::Running { resident: true })
        {
            let renewed = self.renew_without_agent(ready).await;
            if self.checked(CheckKind::Lease, at, renewed).is_some() {
                self.recovery.received_heartbeat(at, self.settings.lease.length);
            }
        }
        let alive = self.alive(idle);
        let length = Duration::from_secs(alive.lease_seconds.into());
        if let Some(answer) = self.call(ready, Call::Heartbeat(alive)).await
            && let Some(report) = self.checked(CheckKind::Heartbeat, at, answer)
        {
            self.recovery.received_heartbeat(at, length);
            self.state.send_modify(|state| {
                (state.report, state.reported) = (Some(report), Some(at));
            });
        }
        self.observe_conditions();
        if ready.summary.id.is_some()
            && let Some(running) = containers::running(&ready.tunnel, LONGEST_CALL).await
        {
            self.parts.activity.set_containers(running);
        }
        Reported { at, idle }
    }

    /// Records the result of a check that began at `begun`, and logs an error.
    fn checked<T>(
        &self,
        check: CheckKind,
        begun: Moment,
        result: Result<T, CheckError>,
    ) -> Option<T> {
        let now = self.now();
        match result {
            Ok(value) => {
                let took = Some(now.since(begun));
                self.state.send_modify(|state| state.checks.passed(check, took, now));
                Some(value)
            }
            Err(error) => {
                let error = with_causes(&error);
                tracing::warn!("{error}");
                self.state.send_modify(|state| state.checks.failed(check, &error, now));
                None
            }
        }
    }

    /// Whether the machine answered lately. After this computer slept it may be gone.
    pub(super) fn is_present(&self) -> bool {
        let silence = self.recovery.silence(self.now());
        silence.is_some_and(|silence| silence < 2 * self.settings.heartbeat)
    }

    /// Writes the lease where the machine's dead man's switch reads it.
    async fn renew_without_agent(&self, ready: &Ready) -> Result<(), CheckError> {
        let renewal = self.settings.lease.renewal();
        match timeout(LONGEST_CALL, ready.tunnel.exec(&renewal, b"")).await {
            Ok(Ok(output)) if output.success() => Ok(()),
            Ok(Ok(output)) => {
                let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                Err(CheckError::LeaseRefused { stderr })
            }
            Ok(Err(error)) => Err(CheckError::LeaseNotWritten(error)),
            Err(_) => Err(CheckError::LeaseTimedOut),
        }
    }

    /// Other clients that work on the machine, human-readable.
    pub(super) async fn others(&self, ready: &Ready) -> Option<String> {
        // A heartbeat rather than a plain report: the answer leaves out its sender.
        let begun = self.now();
        let answer = self.call(ready, Call::Heartbeat(self.alive(self.idle()))).await?;
        let report = self.checked(CheckKind::Heartbeat, begun, answer)?;
        (!report.others.is_empty()).then(|| report.others.join(", "))
    }

    /// `None` without an agent that outlives its clients.
    async fn call(&self, ready: &Ready, call: Call) -> Option<Result<MachineReport, CheckError>> {
        let AgentState::Running { resident: true } = ready.tunnel.agent() else { return None };
        Some(match timeout(LONGEST_CALL, ready.tunnel.call(call)).await {
            Ok(Ok(Reply::Report(report))) => Ok(report),
            Ok(Ok(_)) => Err(CheckError::OtherAnswer),
            Ok(Err(error)) => Err(CheckError::Unanswered(error)),
            Err(_) => Err(CheckError::TimedOut),
        })
    }
}

/// Why a heartbeat failed.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error("the agent does not answer")]
    Unanswered(#[source] CallError),
    #[error("the agent does not answer within {} s", LONGEST_CALL.as_secs())]
    TimedOut,
    #[error("the agent sent another answer than a report")]
    OtherAnswer,
    #[error("the lease could not be written: {stderr}")]
    LeaseRefused { stderr: String },
    #[error("the lease could not be written")]
    LeaseNotWritten(#[source] ConnectError),
    #[error("the lease could not be written within {} s", LONGEST_CALL.as_secs())]
    LeaseTimedOut,
}

#[cfg(test)]
mod tests {
    use lifecycle::{Clock as _, FakeClock};

    use super::*;

    fn misleads(reported_idle: u64, later: u64, idle: u64) -> bool {
        let clock = FakeClock::default();
        let reported = Reported { at: clock.now(), idle: Duration::from_secs(reported_idle) };
        clock.advance(Duration::from_secs(later));
        let (limit, tolerance) = (Duration::from_secs(60), Duration::from_secs(1));
        reported.misleads(clock.now(), Duration::from_secs(idle), limit, tolerance)
    }

    #[test]
    fn heartbeat_is_due_before_the_machine_takes_a_working_client_for_idle() {
        assert!(misleads(50, 5, 0), "a command began");
        assert!(misleads(50, 5, 3), "a short command began and ended");
        assert!(misleads(0, 40, 5), "reported to be at work, and counted as idle ever since");
    }

    #[test]
    fn no_heartbeat_is_due_that_says_nothing_new_or_changes_nothing_yet() {
        assert!(!misleads(50, 5, 55), "idle as believed");
        assert!(!misleads(0, 20, 0), "far from the limit");
    }
}
