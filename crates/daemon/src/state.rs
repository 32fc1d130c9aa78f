//! What the daemon is doing, as one value that everybody can watch.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lifecycle::{Billing, Moment, Tenure};
use machine::{Phase, Ready, Summary};

use crate::end::End;
use crate::fill::Fill;
use crate::remembered::LastKnown;

/// Containers have 30 s to stop; docker, the file system and the cloud's actions take the rest.
/// What takes longer costs an hour once.
const LONGEST_ORDERLY_RELEASE: Duration = Duration::from_secs(90);

/// The daemon's state.
#[derive(Debug, Clone)]
pub(crate) enum State {
    /// No machine, and nobody asked for one.
    Absent {
        /// Why the last one went.
        because: Option<String>,
    },
    /// On the way to one.
    Waking,
    /// It answers.
    Up(Arc<Ready>),
    /// The path to it is lost.
    Lost {
        /// In words for a person.
        reason: String,
        /// What came of the last attempt to find it again.
        trouble: Option<String>,
        /// When the next attempt begins; `None` while one goes on.
        again: Option<Moment>,
    },
    /// It is being taken down.
    Releasing {
        /// In words for a person.
        because: String,
        /// What went wrong so far.
        trouble: Option<String>,
    },
    /// There is none although somebody asked.
    Failed {
        /// In words for a person, with what to do.
        message: String,
        /// When it is looked for although nobody asks, because it was there before.
        again: Option<Moment>,
    },
}

impl State {
    /// A word for programs.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            State::Absent { .. } => "absent",
            State::Waking => "waking",
            State::Up(_) => "up",
            State::Lost { .. } => "lost",
            State::Releasing { .. } => "releasing",
            State::Failed { .. } => "failed",
        }
    }
}

/// The state with what belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct Situation {
    /// The state.
    pub(crate) state: State,
    /// Since when.
    pub(crate) since: Moment,
    /// The number of the last attempt to get a machine that has ended, well or not.
    pub(crate) attempts: u64,
    /// Why that attempt failed; `None` if it did not.
    pub(crate) failure: Option<String>,
    /// The stages of the last or present way to a machine.
    pub(crate) phases: Vec<TimedPhase>,
    /// What the agent said last.
    pub(crate) report: Option<agent_proto::MachineReport>,
    /// The server that we know, and what its life is counted by. It stays while the path to it is
    /// lost.
    pub(crate) tenure: Option<(Option<u64>, Tenure)>,
    /// The machine as it answered last, by this daemon or a former one, until its end is known.
    pub(crate) last_known: Option<LastKnown>,
    /// The last server that this daemon has deleted.
    pub(crate) last_end: Option<End>,
}

/// A stage on the way to a machine.
#[derive(Debug, Clone)]
pub(crate) struct TimedPhase {
    pub(crate) phase: Phase,
    pub(crate) detail: Option<String>,
    pub(crate) began: Moment,
    pub(crate) ended: Option<Moment>,
}

impl Situation {
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            state: State::Absent { because: None },
            since: now,
            attempts: 0,
            failure: None,
            phases: Vec::new(),
            report: None,
            tenure: None,
            last_known: None,
            last_end: None,
        }
    }

    pub(crate) fn enter(&mut self, state: State, now: Moment) {
        self.state = state;
        self.since = now;
        if !matches!(self.state, State::Up(_)) {
            self.report = None;
        }
        // Whoever follows the next way to a machine is not to take the last one's stages for it.
        if matches!(self.state, State::Absent { .. }) {
            self.phases.clear();
            self.tenure = None;
        }
    }

    /// A machine answers. One that was there before goes on with the time that it has had.
    pub(crate) fn meet(&mut self, machine: &Summary, wall: Timestamp, now: Moment) {
        if self.tenure.is_some_and(|(known, _)| known == machine.id) {
            return;
        }
        let age = machine.created.map_or(0, |created| wall.as_second().saturating_sub(created));
        let billing = machine.billed_unit_seconds.map(|seconds| Billing {
            unit: Duration::from_secs(seconds),
            release_takes: LONGEST_ORDERLY_RELEASE,
        });
        let tenure = Tenure {
            since: now,
            age: Duration::from_secs(u64::try_from(age).unwrap_or(0)),
            billing,
            budget: None,
        };
        self.tenure = Some((machine.id, tenure));
    }

    /// How full the volume of the machine is, by its last word.
    pub(crate) fn fill(&self) -> Option<Fill> {
        let State::Up(ready) = &self.state else { return None };
        Fill::of(
            self.report.as_ref()?.disk,
            ready.summary.volume.as_ref().map(|volume| volume.size),
        )
    }

    /// What the machine's life is counted by; of none, from now.
    pub(crate) fn tenure(&self, now: Moment) -> Tenure {
        self.tenure.map_or_else(|| Tenure::free(now), |(_, tenure)| tenure)
    }

    /// An attempt to get a machine has ended.
    pub(crate) fn attempted(&mut self, failure: Option<String>) {
        self.attempts += 1;
        self.failure = failure;
    }

    /// What came of the last attempt to find a lost machine, and when the next one begins. It stays
    /// lost since when it was.
    pub(crate) fn still_lost(&mut self, came_of_it: Option<String>, next: Option<Moment>) {
        if let State::Lost { trouble, again, .. } = &mut self.state {
            *trouble = came_of_it.or(trouble.take());
            *again = next;
        }
    }

    /// A stage begins, and with it the former ends. The same stage with another detail goes on.
    pub(crate) fn phase(&mut self, phase: Phase, detail: Option<String>, now: Moment) {
        if let Some(last) = self.phases.last_mut().filter(|last| last.ended.is_none()) {
            if last.phase == phase {
                last.detail = detail.or(last.detail.take());
                return;
            }
            last.ended = Some(now);
        }
        self.phases.push(TimedPhase { phase, detail, began: now, ended: None });
    }

    pub(crate) fn phases_end(&mut self, now: Moment) {
        if let Some(last) = self.phases.last_mut() {
            last.ended.get_or_insert(now);
        }
    }
}
