//! What the daemon reports to users and programs.

use std::num::NonZeroU16;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::history::{ActivityStatus, CheckStatus, Reconnects};
use crate::machine::{Actor, Phase, Summary};
use crate::port::PortStatus;
use crate::report::MachineReport;
use crate::why::Why;

words! {
    /// The state of the machine.
    pub enum MachineState {
        /// There is none, and no request waits for one.
        Absent = "absent",
        /// A wake goes on.
        Waking = "waking",
        /// It answers.
        Up = "up",
        /// The path to it is lost.
        Lost = "lost",
        /// It is being taken down.
        Releasing = "releasing",
        /// There is none although a request or the user wanted one.
        Failed = "failed",
    }
}

/// Everything at one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    /// The service manager's unit that runs the daemon; `None` for a daemon that a user started.
    #[serde(default)]
    pub service: Option<String>,
    /// The state of the machine.
    pub state: MachineState,
    /// Why, if there is something to say.
    pub reason: Option<String>,
    /// Why there is none, in the state `failed`.
    #[serde(default)]
    pub error: Option<Error>,
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
    /// The last checks of the machine, newest first.
    #[serde(default)]
    pub checks: Vec<CheckStatus>,
    /// How often the path to it was lost and made again.
    #[serde(default)]
    pub reconnects: Reconnects,
    /// What uses and used it, by kind.
    #[serde(default)]
    pub activity: Vec<ActivityStatus>,
    /// Published ports.
    pub ports: Vec<PortStatus>,
    /// Net, while there is a machine.
    pub cost: Option<CostStatus>,
    /// If one is set, while there is a machine.
    #[serde(default)]
    pub budget: Option<BudgetStatus>,
}

/// A machine that does not answer now, as it last answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LastKnownStatus {
    /// What it was then.
    pub machine: Summary,
    /// Seconds since it answered.
    pub age_seconds: u64,
}

/// A stage of a wake.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PhaseStatus {
    /// Which one.
    #[serde(default)]
    pub phase: Option<Phase>,
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PinStatus {
    /// Seconds since it was set.
    pub age_seconds: u64,
    /// Seconds until it ends; `None` if it has no end.
    pub seconds: Option<u64>,
}

/// The path to the machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BudgetStatus {
    /// What may be spent.
    pub limit: f64,
    /// What is spent, with the volume and the hour that has begun.
    pub spent: f64,
}

/// The end of a server that this daemon has deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EndStatus {
    /// The cloud's id, where it is known.
    pub server: Option<u64>,
    /// Who ended the server.
    pub actor: Actor,
    /// Why, human-readable.
    pub because: String,
    /// Seconds since then.
    pub age_seconds: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_states_are_those_of_json() {
        for state in MachineState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.word());
        }
        let words: Vec<_> = MachineState::ALL.iter().map(|state| state.word()).collect();
        assert_eq!(words, ["absent", "waking", "up", "lost", "releasing", "failed"]);
    }
}
