//! The daemon's state as the status that users and programs get.

use std::borrow::Cow;
use std::num::NonZeroU16;
use std::path::PathBuf;

use api::{
    BudgetStatus, ContainerCounts, CostStatus, DiskUsage, DockerState, LastKnownStatus,
    MachineReport, PhaseStatus, PinStatus, PortStatus, Status, Summary, TunnelStatus, Why,
};
use lifecycle::{Moment, Pin, Verdict};
use tunnel::AgentState;

use crate::disk_usage::VolumeUsage;
use crate::ledger::money;
use crate::state::{DaemonState, MachineState};
use crate::why::{next_attempt, why_of};

pub(crate) fn status_of(
    profile: &str,
    (socket, proxy_port): (PathBuf, Option<NonZeroU16>),
    now: &DaemonState,
    (verdict, pin): (&Verdict, Option<Pin>),
    moment: Moment,
    ports: Vec<PortStatus>,
) -> Status {
    let ready = match &now.machine {
        MachineState::Up(ready) => Some(ready),
        _ => None,
    };
    let machine = ready.map(|ready| ready.summary.clone());
    Status {
        profile: profile.to_owned(),
        socket,
        proxy_port,
        process: std::process::id(),
        service: None,
        state: now.machine.kind(),
        reason: reason(&now.machine),
        error: match &now.machine {
            MachineState::Failed { error, .. } => Some((**error).clone()),
            _ => None,
        },
        since_seconds: moment.since(now.since).as_secs_f64(),
        cost: machine.as_ref().and_then(cost),
        budget: now
            .tenure
            .and_then(|(_, tenure)| tenure.budget)
            .map(|budget| BudgetStatus { limit: money(budget.limit), spent: money(budget.spent) }),
        last_known: now.last_known.as_ref().filter(|_| machine.is_none()).map(|last| {
            LastKnownStatus {
                machine: last.machine.clone(),
                age_seconds: last.age_seconds(jiff::Timestamp::now()),
            }
        }),
        last_end: now.last_end.as_ref().map(|end| end.status(jiff::Timestamp::now())),
        machine,
        phases: now
            .phases
            .iter()
            .map(|phase| PhaseStatus {
                phase: Some(phase.phase.clone()),
                words: phase.phase.words().to_owned(),
                detail: phase.detail.clone(),
                seconds: phase.ended.unwrap_or(moment).since(phase.began).as_secs_f64(),
                over: phase.ended.is_some(),
            })
            .collect(),
        why: Why {
            warnings: verdict.warnings.iter().cloned().chain(machine_warnings(now)).collect(),
            ..why_of(&now.machine, verdict, moment)
        },
        pin: pin.filter(|pin| pin.until.is_none_or(|until| until > moment)).map(|pin| PinStatus {
            age_seconds: moment.since(pin.since).as_secs(),
            seconds: pin.until.map(|until| until.since(moment).as_secs()),
        }),
        next_attempt_seconds: next_attempt(&now.machine, moment).map(|left| left.as_secs_f64()),
        report: now.report.as_ref().map(report),
        tunnel: ready.map(|ready| {
            let statistics = ready.tunnel.statistics();
            TunnelStatus {
                up: statistics.up,
                down: statistics.down,
                streams: statistics.open,
                round_trip_ms: statistics.round_trip.map(|time| time.as_secs_f64() * 1e3),
            }
        }),
        ports,
    }
}

/// The agent's report, in the words of the API.
fn report(report: &agent_proto::MachineReport) -> MachineReport {
    MachineReport {
        protocol: report.protocol,
        docker: match &report.docker {
            agent_proto::DockerState::Ready => DockerState::Ready,
            agent_proto::DockerState::Starting => DockerState::Starting,
            agent_proto::DockerState::Released => DockerState::Released,
            agent_proto::DockerState::Failed { reason } => {
                DockerState::Failed { reason: reason.clone() }
            }
        },
        containers: report
            .containers
            .map(|counts| ContainerCounts { running: counts.running, total: counts.total }),
        disk: report.disk.map(|disk| DiskUsage { used: disk.used, total: disk.total }),
        lease_seconds: report.lease_seconds,
        others: report.others.clone(),
        uptime_seconds: report.uptime_seconds,
    }
}

/// In seconds. A larger offset is not the delay of an answer, and makes bills and ages wrong.
const FAR_OFF: u64 = 5 * 60;

/// What to say about a clock that is `offset` seconds ahead of the cloud's, or behind it if that is
/// negative; `None` if it is right.
pub fn clock_warning(offset: i64) -> Option<String> {
    let far = offset.unsigned_abs();
    let amount = match far {
        0..=FAR_OFF => return None,
        minutes @ 0..7_200 => format!("{} min", minutes / 60),
        hours @ 0..172_800 => format!("{} h", hours / 3_600),
        days => format!("{} days", days / 86_400),
    };
    let direction = if offset > 0 { "ahead of" } else { "behind" };
    Some(format!(
        "this computer's clock is {amount} {direction} the cloud's: costs, months and times are \
         wrong until it is set"
    ))
}

fn reason(machine: &MachineState) -> Option<String> {
    match (machine.detail(), machine.trouble()) {
        (Some(detail), Some(trouble)) => Some(format!("{detail}; {trouble}")),
        (detail, _) => detail.map(Cow::into_owned),
    }
}

/// What the user should know about the present machine.
fn machine_warnings(now: &DaemonState) -> impl Iterator<Item = String> + use<> {
    let ready = match &now.machine {
        MachineState::Up(ready) => Some(ready),
        _ => None,
    };
    let volume = now.volume_usage().and_then(VolumeUsage::warning);
    let agent = ready.and_then(|ready| without_agent(&ready.summary, &ready.tunnel.agent()));
    volume.into_iter().chain(agent)
}

/// A warning if no agent runs on a machine that bills.
fn without_agent(machine: &Summary, agent: &AgentState) -> Option<String> {
    let (Some(_), AgentState::Absent { reason }) = (machine.id, agent) else { return None };
    Some(format!(
        "no agent runs on {} ({reason}): it cannot delete itself. When its lease ends it powers \
         off and is billed until dockbridge, on this computer or another, removes it; `dockbridge \
         server destroy` removes it at once",
        machine.name
    ))
}

/// Started hours from creation, as the cloud bills them.
fn cost(machine: &Summary) -> Option<CostStatus> {
    let hourly = machine.price_hourly?;
    let age = jiff::Timestamp::now().as_second().saturating_sub(machine.created?);
    let hours = u64::try_from(age).unwrap_or(0) / 3_600 + 1;
    #[expect(clippy::cast_precision_loss, reason = "a machine does not live for 2^52 hours")]
    let so_far = hourly * hours as f64;
    Some(CostStatus {
        hourly,
        hours,
        so_far,
        volume_monthly: machine.volume.as_ref().and_then(|volume| volume.price_monthly),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_that_is_far_off_is_reported_with_its_offset() {
        let said = |offset| clock_warning(offset).unwrap_or_default();
        assert_eq!(
            [clock_warning(0), clock_warning(-300), clock_warning(i64::from(i16::MAX) / 200)],
            [None, None, None]
        );
        assert!(
            said(400 * 86_400).contains("400 days ahead of the cloud's"),
            "{}",
            said(400 * 86_400)
        );
        assert!(said(-5 * 3_600).contains("5 h behind the cloud's"), "{}", said(-5 * 3_600));
        assert!(said(301).contains("5 min ahead"), "{}", said(301));
    }
}
