//! What the daemon reports to users and programs. A stable interface: fields are added, never
//! changed.

use std::num::NonZeroU16;
use std::path::PathBuf;

use agent_proto::MachineReport;
use lifecycle::{Moment, Pin, Verdict};
use machine::Summary;
use serde::{Deserialize, Serialize};
use tunnel::AgentState;

use crate::disk_usage::VolumeUsage;
use crate::end::EndStatus;
use crate::ledger::money;
use crate::state::{DaemonState, MachineState};
use crate::why::{Why, next_attempt};

/// Everything at one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The profile.
    pub profile: String,
    /// The Docker socket that is served.
    pub socket: PathBuf,
    /// The TCP port of this computer with the same API, if there is one.
    #[serde(default)]
    pub proxy_port: Option<NonZeroU16>,
    /// The daemon's process.
    pub process: u32,
    /// `absent`, `waking`, `up`, `lost`, `releasing` or `failed`.
    pub state: String,
    /// Why, if there is something to say.
    pub reason: Option<String>,
    /// Seconds since it entered this state.
    pub since_seconds: f64,
    /// The machine, while there is one.
    pub machine: Option<Summary>,
    /// The last machine, while none answers and its end is not known.
    #[serde(default)]
    pub last_known: Option<LastKnownStatus>,
    /// The last server that this daemon has deleted, with actor, reason and time.
    #[serde(default)]
    pub last_end: Option<EndStatus>,
    /// The stages of the last or present wake.
    pub phases: Vec<PhaseStatus>,
    /// What keeps the machine, and what happens next.
    #[serde(flatten)]
    pub why: Why,
    /// The user's pin, whether there is a machine or not.
    #[serde(default)]
    pub pin: Option<PinStatus>,
    /// Seconds until a machine that existed is looked for again; 0 while an attempt goes on, `None`
    /// if it is not looked for.
    #[serde(default)]
    pub next_attempt_seconds: Option<f64>,
    /// What the machine reports.
    pub report: Option<MachineReport>,
    /// The path to it.
    pub tunnel: Option<TunnelStatus>,
    /// Published ports.
    pub ports: serde_json::Value,
    /// Net, while there is a machine.
    pub cost: Option<CostStatus>,
    /// If one is set, while there is a machine.
    #[serde(default)]
    pub budget: Option<BudgetStatus>,
}

/// A machine that does not answer now, as it last answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LastKnownStatus {
    /// What it was then.
    pub machine: Summary,
    /// Seconds since it answered.
    pub age_seconds: u64,
}

/// A stage of a wake.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PhaseStatus {
    /// Human-readable.
    pub words: String,
    /// Such as `cx23 in fsn1`.
    pub detail: Option<String>,
    /// How long it took, or has taken so far.
    pub seconds: f64,
    /// Whether it is over.
    pub over: bool,
}

/// The user's pin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PinStatus {
    /// Seconds since it was set.
    pub age_seconds: u64,
    /// Seconds until it ends; `None` if it has no end.
    pub seconds: Option<u64>,
}

/// The path to the machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TunnelStatus {
    /// Bytes to the machine.
    pub up: u64,
    /// Bytes from it.
    pub down: u64,
    /// Open streams.
    pub streams: u64,
    /// The watchdog's last round trip, in milliseconds.
    pub round_trip_ms: Option<f64>,
}

/// What the present machine costs, net, in the currency of the project.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CostStatus {
    /// A started hour of server and address.
    pub hourly: f64,
    /// Hours begun.
    pub hours: u64,
    /// Of this machine so far.
    pub so_far: f64,
    /// The volume, for a month.
    pub volume_monthly: Option<f64>,
}

/// The budget of the month, net, in the currency of the project.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BudgetStatus {
    /// What may be spent.
    pub limit: f64,
    /// What is spent, with the volume and the hour that has begun.
    pub spent: f64,
}

impl Status {
    pub(crate) fn with_warning(mut self, warning: Option<String>) -> Self {
        self.why.warnings.extend(warning);
        self
    }

    pub(crate) fn of(
        profile: &str,
        (socket, proxy_port): (PathBuf, Option<NonZeroU16>),
        now: &DaemonState,
        (verdict, pin): (&Verdict, Option<Pin>),
        moment: Moment,
        ports: serde_json::Value,
    ) -> Self {
        let ready = match &now.machine {
            MachineState::Up(ready) => Some(ready),
            _ => None,
        };
        let machine = ready.map(|ready| ready.summary.clone());
        Self {
            profile: profile.to_owned(),
            socket,
            proxy_port,
            process: std::process::id(),
            state: now.machine.word().to_owned(),
            reason: reason(&now.machine),
            since_seconds: moment.since(now.since).as_secs_f64(),
            cost: machine.as_ref().and_then(cost),
            budget: now.tenure.and_then(|(_, tenure)| tenure.budget).map(|budget| BudgetStatus {
                limit: money(budget.limit),
                spent: money(budget.spent),
            }),
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
                    words: phase.phase.words().to_owned(),
                    detail: phase.detail.clone(),
                    seconds: phase.ended.unwrap_or(moment).since(phase.began).as_secs_f64(),
                    over: phase.ended.is_some(),
                })
                .collect(),
            why: Why::of(&now.machine, verdict, moment)
                .with_warning(now.volume_usage().and_then(VolumeUsage::warning))
                .with_warning(
                    ready.and_then(|ready| without_agent(&ready.summary, &ready.tunnel.agent())),
                ),
            pin: pin.filter(|pin| pin.until.is_none_or(|until| until > moment)).map(|pin| {
                PinStatus {
                    age_seconds: moment.since(pin.since).as_secs(),
                    seconds: pin.until.map(|until| until.since(moment).as_secs()),
                }
            }),
            next_attempt_seconds: next_attempt(&now.machine, moment).map(|left| left.as_secs_f64()),
            report: now.report.clone(),
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
        (detail, _) => detail.map(str::to_owned),
    }
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
