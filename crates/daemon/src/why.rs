//! Why there is a machine or none, and what happens next: the verdict and the machine's state as
//! text, without warnings. Pure.

use std::time::Duration;

use api::{EndingCause, EndingStatus, ReasonKind, ReasonStatus, Why};
use lifecycle::{Cancel, Cause, Ending, Moment, Outcome, Reason, Verdict};

use crate::state::MachineState;

pub(crate) fn why_of(state: &MachineState, verdict: &Verdict, now: Moment) -> Why {
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
        MachineState::Up(_) => return why_of_machine(verdict),
    };
    Why { next, reasons: Vec::new(), endings: Vec::new(), warnings: Vec::new() }
}

/// For a machine that answers and that dockbridge pays for.
pub(crate) fn why_of_machine(verdict: &Verdict) -> Why {
    Why {
        next: next(verdict),
        reasons: verdict.reasons.iter().map(reason_status).collect(),
        endings: verdict.endings.iter().map(ending_status).collect(),
        warnings: Vec::new(),
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

fn reason_status(reason: &Reason) -> ReasonStatus {
    let seconds = |duration: Option<Duration>| duration.map(|duration| duration.as_secs());
    ReasonStatus {
        kind: match reason.kind {
            lifecycle::ReasonKind::Command => ReasonKind::Command,
            lifecycle::ReasonKind::Build => ReasonKind::Build,
            lifecycle::ReasonKind::Transfer => ReasonKind::Transfer,
            lifecycle::ReasonKind::Stream => ReasonKind::Stream,
            lifecycle::ReasonKind::Watch => ReasonKind::Watch,
            lifecycle::ReasonKind::Port => ReasonKind::Port,
            lifecycle::ReasonKind::Recent => ReasonKind::Recent,
            lifecycle::ReasonKind::Container => ReasonKind::Container,
            lifecycle::ReasonKind::Pin => ReasonKind::Pin,
            lifecycle::ReasonKind::PaidHour => ReasonKind::PaidHour,
        },
        what: reason.what.clone(),
        client: reason.client.clone(),
        age_seconds: seconds(reason.age),
        silent_seconds: seconds(reason.silent),
        seconds: seconds(reason.for_another),
    }
}

fn ending_status(ending: &Ending) -> EndingStatus {
    EndingStatus {
        cause: match ending.cause {
            Cause::Idle => EndingCause::Idle,
            Cause::Lock => EndingCause::Lock,
            Cause::MaxLifetime => EndingCause::MaxLifetime,
            Cause::Budget => EndingCause::Budget,
        },
        because: ending.because.clone(),
        seconds: ending.in_another.as_secs(),
        grace_seconds: ending.grace_in.as_secs(),
        cancelled_by: match ending.cancelled_by {
            Cancel::Activity => api::Cancel::Activity,
            Cancel::Unlock => api::Cancel::Unlock,
            Cancel::Nothing => api::Cancel::Nothing,
        },
    }
}

#[cfg(test)]
mod tests;
