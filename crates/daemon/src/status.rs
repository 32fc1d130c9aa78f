//! The daemon's state as the status that users and programs get. Its warnings are added by the
//! caller: `conditions` finds them, `health` knows since when they hold.

use std::borrow::Cow;
use std::num::NonZeroU16;
use std::path::PathBuf;

use api::{
    ActivityKind, ActivityStatus, BudgetStatus, ContainerCounts, CostStatus, DiskUsage,
    DockerState, EndedActivity, LastKnownStatus, MachineReport, PhaseStatus, PinStatus, PortStatus,
    Status, Summary, TunnelStatus,
};
use jiff::Timestamp;
use lifecycle::{History, Kind, KindHistory, Moment, Pin, Verdict};

use crate::clock_time::ClockTime;
use crate::ledger::money;
use crate::state::{DaemonState, MachineState};
use crate::why::{next_attempt, why_of};

pub(crate) fn status_of(
    profile: &str,
    (socket, proxy_port): (PathBuf, Option<NonZeroU16>),
    now: &DaemonState,
    (verdict, pin): (&Verdict, Option<Pin>),
    history: &History,
    moment: Moment,
    ports: Vec<PortStatus>,
) -> Status {
    let ready = match &now.machine {
        MachineState::Up(ready) => Some(ready),
        _ => None,
    };
    let machine = ready.map(|ready| ready.summary.clone());
    let wall = ClockTime { now: moment, time: Timestamp::now() };
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
                age_seconds: last.age_seconds(Timestamp::now()),
            }
        }),
        last_end: now.last_end.as_ref().map(|end| end.status(Timestamp::now())),
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
        why: why_of(&now.machine, verdict, moment),
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
        checks: now.checks.status(wall),
        reconnects: now.losses.status(wall),
        activity: activity(history, moment),
        ports,
    }
}

fn activity(history: &History, now: Moment) -> Vec<ActivityStatus> {
    history.0.iter().map(|(kind, history)| kind_activity(*kind, history, now)).collect()
}

fn kind_activity(kind: Kind, history: &KindHistory, now: Moment) -> ActivityStatus {
    ActivityStatus {
        kind: match kind {
            Kind::Command => ActivityKind::Command,
            Kind::Build => ActivityKind::Build,
            Kind::Transfer => ActivityKind::Transfer,
            Kind::Stream => ActivityKind::Stream,
            Kind::Watch => ActivityKind::Watch,
            Kind::Forward => ActivityKind::Port,
        },
        now: history.now,
        total: history.ended + history.now,
        bytes_sent: history.bytes.sent,
        bytes_received: history.bytes.received,
        recent: (history.recent.iter())
            .map(|ended| EndedActivity {
                what: ended.source.clone(),
                client: ended.client.clone(),
                seconds_ago: now.since(ended.at).as_secs_f64(),
                seconds: ended.at.since(ended.since).as_secs_f64(),
                bytes_sent: ended.bytes.sent,
                bytes_received: ended.bytes.received,
            })
            .collect(),
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

fn reason(machine: &MachineState) -> Option<String> {
    match (machine.detail(), machine.trouble()) {
        (Some(detail), Some(trouble)) => Some(format!("{detail}; {trouble}")),
        (detail, _) => detail.map(Cow::into_owned),
    }
}

/// Started hours from creation, as the cloud bills them.
fn cost(machine: &Summary) -> Option<CostStatus> {
    let hourly = machine.price_hourly?;
    let age = Timestamp::now().as_second().saturating_sub(machine.created?);
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
