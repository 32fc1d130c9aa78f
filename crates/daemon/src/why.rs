//! Why there is a machine or none, and what happens next: the verdict and the machine's state as
//! text. Pure. A stable interface, as the status.

use std::time::Duration;

use lifecycle::{Cancel, Ending, Moment, Outcome, Reason, Verdict};
use serde::{Deserialize, Serialize};

use crate::state::MachineState;

/// What keeps the machine, how it would end, and what comes next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// What happens next, human-readable.
    pub next: String,
    /// What keeps the machine, strongest first.
    pub reasons: Vec<ReasonStatus>,
    /// How it would end if nothing changed, the first end first.
    #[serde(default)]
    pub endings: Vec<EndingStatus>,
    /// What the user should know in advance.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// One thing that keeps the machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReasonStatus {
    /// `command`, `build`, `transfer`, `stream`, `watch`, `port`, `recent`, `container`, `pin` or
    /// `paid_hour`.
    #[serde(default)]
    pub kind: String,
    /// Human-readable.
    pub what: String,
    /// The client, by its own name.
    #[serde(default)]
    pub client: Option<String>,
    /// Seconds since it began.
    #[serde(default)]
    pub age_seconds: Option<u64>,
    /// Seconds since bytes last passed, where that counts.
    #[serde(default)]
    pub silent_seconds: Option<u64>,
    /// It counts this much longer; `None` while it goes on.
    pub seconds: Option<u64>,
}

/// One possible end of the machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndingStatus {
    /// `idle`, `lock`, `max_lifetime` or `budget`.
    pub cause: String,
    /// Human-readable.
    pub because: String,
    /// Seconds until then.
    pub seconds: u64,
    /// Seconds until its grace period begins; 0 once it has.
    pub grace_seconds: u64,
    /// `activity`, `unlock` or `nothing`.
    pub cancelled_by: String,
}

impl Why {
    pub(crate) fn of(state: &MachineState, verdict: &Verdict, now: Moment) -> Self {
        let next = match state {
            MachineState::Lost { .. } | MachineState::Failed { again: Some(_), .. } => {
                let left = next_attempt(state, now).unwrap_or_default();
                match left.is_zero() {
                    true => "connecting again now".to_owned(),
                    false => format!(
                        "connecting again in {:.0} s; a docker command tries at once",
                        left.as_secs_f64().ceil()
                    ),
                }
            }
            MachineState::Absent { .. } | MachineState::Failed { .. } => {
                "the next docker command wakes a machine".to_owned()
            }
            MachineState::Waking => "docker commands wait until the machine is ready".to_owned(),
            MachineState::Releasing { trouble: None, .. } => {
                "the machine is being destroyed; its volume stays".to_owned()
            }
            MachineState::Releasing { .. } => {
                "dockbridge keeps trying until the machine is gone; its volume stays".to_owned()
            }
            MachineState::Up(ready) if ready.summary.id.is_none() => {
                "this host is not dockbridge's: it is only connected to".to_owned()
            }
            MachineState::Up(_) => return Self::of_machine(verdict),
        };
        Self { next, reasons: Vec::new(), endings: Vec::new(), warnings: verdict.warnings.clone() }
    }

    /// Another thing that the user should know.
    pub(crate) fn with_warning(mut self, warning: Option<String>) -> Self {
        self.warnings.extend(warning);
        self
    }

    /// For a machine that answers and that dockbridge pays for.
    pub fn of_machine(verdict: &Verdict) -> Self {
        Self {
            next: next(verdict),
            reasons: verdict.reasons.iter().map(ReasonStatus::of).collect(),
            endings: verdict.endings.iter().map(EndingStatus::of).collect(),
            warnings: verdict.warnings.clone(),
        }
    }
}

/// Time until a machine that existed is looked for again; zero while an attempt goes on.
pub(crate) fn next_attempt(state: &MachineState, now: Moment) -> Option<Duration> {
    match state {
        MachineState::Lost { again, .. } => {
            Some(again.map_or(Duration::ZERO, |again| again.since(now)))
        }
        MachineState::Failed { again, .. } => again.map(|again| again.since(now)),
        _ => None,
    }
}

fn next(verdict: &Verdict) -> String {
    let Some(ending) = verdict.first_ending() else {
        let going_on = verdict.reasons.iter().filter(|reason| reason.for_another.is_none()).count();
        return match going_on {
            1 => "kept: 1 activity in progress".to_owned(),
            _ => format!("kept: {going_on} activities in progress"),
        };
    };
    let cancel = match ending.cancelled_by {
        Cancel::Activity => "any activity cancels it",
        Cancel::Unlock => "unlocking the screen cancels it",
        Cancel::Nothing => "only a settings change prevents this",
    };
    match verdict.outcome {
        Outcome::Destroy => format!("about to be destroyed, since {}", ending.because),
        Outcome::Grace => format!(
            "destroyed in {} s, since {}; {cancel}",
            ending.in_another.as_secs(),
            ending.because
        ),
        Outcome::Keep if ending.cancelled_by == Cancel::Activity => {
            format!(
                "destroyed after another {} s without activity, the grace included",
                ending.in_another.as_secs()
            )
        }
        Outcome::Keep => format!(
            "destroyed in {} s at the latest: {}; {cancel}",
            ending.in_another.as_secs(),
            ending.because
        ),
    }
}

/// How serde writes the value.
fn word(value: impl Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

impl ReasonStatus {
    fn of(reason: &Reason) -> Self {
        let seconds = |duration: Option<Duration>| duration.map(|duration| duration.as_secs());
        Self {
            kind: word(reason.kind),
            what: reason.what.clone(),
            client: reason.client.clone(),
            age_seconds: seconds(reason.age),
            silent_seconds: seconds(reason.silent),
            seconds: seconds(reason.for_another),
        }
    }
}

impl EndingStatus {
    fn of(ending: &Ending) -> Self {
        Self {
            cause: word(ending.cause),
            because: ending.because.clone(),
            seconds: ending.in_another.as_secs(),
            grace_seconds: ending.grace_in.as_secs(),
            cancelled_by: word(ending.cancelled_by),
        }
    }
}

#[cfg(test)]
mod tests;
