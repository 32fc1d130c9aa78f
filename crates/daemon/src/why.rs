//! Why there is a machine or none, and what happens next: the verdict and the supervisor's state in
//! words. Pure. A stable interface, as the status.

use std::time::Duration;

use lifecycle::{Cancel, Ending, Moment, Outcome, Reason, Verdict};
use serde::{Deserialize, Serialize};

use crate::state::State;

/// What keeps the machine, how it would end, and what comes next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// What happens next, in words for a person.
    pub next: String,
    /// What keeps the machine, strongest first.
    pub reasons: Vec<ReasonStatus>,
    /// How it would end if nothing changed, first first.
    #[serde(default)]
    pub endings: Vec<EndingStatus>,
    /// What a person should know before it comes to that.
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
    /// In words for a person.
    pub what: String,
    /// Whose it is, as the client calls itself.
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

/// One way in which the machine may end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndingStatus {
    /// `idle`, `lock`, `max_lifetime` or `budget`.
    pub cause: String,
    /// In words for a person.
    pub because: String,
    /// Until then.
    pub seconds: u64,
    /// Until its grace begins; 0 once it has.
    pub grace_seconds: u64,
    /// `activity`, `unlock` or `nothing`.
    pub cancelled_by: String,
}

impl Why {
    pub(crate) fn of(state: &State, verdict: &Verdict, now: Moment) -> Self {
        let next = match state {
            State::Lost { .. } | State::Failed { again: Some(_), .. } => {
                let left = next_attempt(state, now).unwrap_or_default();
                match left.is_zero() {
                    true => "connecting again now".to_owned(),
                    false => format!(
                        "connecting again in {:.0} s; a docker command tries at once",
                        left.as_secs_f64().ceil()
                    ),
                }
            }
            State::Absent { .. } | State::Failed { .. } => {
                "the next docker command wakes a machine".to_owned()
            }
            State::Waking => "docker commands wait until the machine is ready".to_owned(),
            State::Releasing { trouble: None, .. } => {
                "the machine is being destroyed; its volume stays".to_owned()
            }
            State::Releasing { .. } => {
                "tried again until the machine is gone; its volume stays".to_owned()
            }
            State::Up(ready) if ready.summary.id.is_none() => {
                "this host is not ours: it is only connected to".to_owned()
            }
            State::Up(_) => return Self::of_machine(verdict),
        };
        Self { next, reasons: Vec::new(), endings: Vec::new(), warnings: verdict.warnings.clone() }
    }

    /// Another thing that a person should know.
    pub(crate) fn with_warning(mut self, warning: Option<String>) -> Self {
        self.warnings.extend(warning);
        self
    }

    /// Of a machine that answers and is ours.
    pub fn of_machine(verdict: &Verdict) -> Self {
        Self {
            next: next(verdict),
            reasons: verdict.reasons.iter().map(ReasonStatus::of).collect(),
            endings: verdict.endings.iter().map(EndingStatus::of).collect(),
            warnings: verdict.warnings.clone(),
        }
    }
}

/// Until a machine that was there is looked for again; nothing is left while an attempt goes on.
pub(crate) fn next_attempt(state: &State, now: Moment) -> Option<Duration> {
    match state {
        State::Lost { again, .. } => Some(again.map_or(Duration::ZERO, |again| again.since(now))),
        State::Failed { again, .. } => again.map(|again| again.since(now)),
        _ => None,
    }
}

fn next(verdict: &Verdict) -> String {
    let Some(ending) = verdict.first_ending() else {
        let going_on = verdict.reasons.iter().filter(|reason| reason.for_another.is_none()).count();
        return match going_on {
            1 => "kept while one thing goes on".to_owned(),
            _ => format!("kept while {going_on} things go on"),
        };
    };
    let cancel = match ending.cancelled_by {
        Cancel::Activity => "any activity cancels it",
        Cancel::Unlock => "unlocking the screen cancels it",
        Cancel::Nothing => "nothing but other settings cancels it",
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

/// The word that serde has for it.
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
