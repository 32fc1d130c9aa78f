//! What the daemon is doing, as one value that all its parts can watch.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use api::{CheckKind, Error};
use jiff::Timestamp;
use lifecycle::{Billing, Moment, Tenure};
use machine::{Phase, Ready, Summary};

use crate::checks::CheckHistory;
use crate::disk_usage::VolumeUsage;
use crate::end::End;
use crate::last_state::LastKnown;
use crate::losses::Losses;

/// Containers have 30 s to stop; docker, the file system and the cloud's actions take the rest. A
/// release that takes longer costs one more hour.
const LONGEST_ORDERLY_RELEASE: Duration = Duration::from_secs(90);

/// The machine's state.
#[derive(Debug, Clone)]
pub(crate) enum MachineState {
    /// There is none, and no request waits for one.
    Absent {
        /// Why the last one ended.
        because: Option<String>,
    },
    /// A wake goes on.
    Waking,
    /// It answers.
    Up(Arc<Ready>),
    /// The path to it is lost.
    Lost {
        /// Human-readable.
        reason: String,
        /// The error of the last attempt to connect.
        trouble: Option<String>,
        /// When the next attempt begins; `None` while one goes on.
        again: Option<Moment>,
    },
    /// It is being taken down.
    Releasing {
        /// Human-readable.
        because: String,
        /// What went wrong so far.
        trouble: Option<String>,
    },
    /// There is none although a request or the user wanted one.
    Failed {
        /// Why, with what to do.
        error: Box<Error>,
        /// When a machine that existed before is looked for again.
        again: Option<Moment>,
    },
}

impl MachineState {
    /// The state without what belongs to it.
    pub(crate) fn kind(&self) -> api::MachineState {
        match self {
            MachineState::Absent { .. } => api::MachineState::Absent,
            MachineState::Waking => api::MachineState::Waking,
            MachineState::Up(_) => api::MachineState::Up,
            MachineState::Lost { .. } => api::MachineState::Lost,
            MachineState::Releasing { .. } => api::MachineState::Releasing,
            MachineState::Failed { .. } => api::MachineState::Failed,
        }
    }

    /// Why the machine is in this state.
    pub(crate) fn detail(&self) -> Option<Cow<'_, str>> {
        match self {
            MachineState::Absent { because } => because.as_deref().map(Cow::Borrowed),
            MachineState::Lost { reason, .. } => Some(Cow::Borrowed(reason)),
            MachineState::Releasing { because, .. } => Some(Cow::Borrowed(because)),
            MachineState::Failed { error, .. } => Some(Cow::Owned(error.to_string())),
            MachineState::Waking | MachineState::Up(_) => None,
        }
    }

    /// What went wrong since the machine is in this state.
    pub(crate) fn trouble(&self) -> Option<&str> {
        match self {
            MachineState::Lost { trouble, .. } | MachineState::Releasing { trouble, .. } => {
                trouble.as_deref()
            }
            _ => None,
        }
    }
}

/// The machine's state with what belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct DaemonState {
    pub(crate) machine: MachineState,
    /// Since when the machine is in this state.
    pub(crate) since: Moment,
    /// The number of the last attempt to get a machine that has ended, well or not.
    pub(crate) attempts: u64,
    /// Why that attempt failed; `None` if it did not.
    pub(crate) failure: Option<Error>,
    /// The stages of the last or present wake.
    pub(crate) phases: Vec<TimedPhase>,
    /// The agent's last report.
    pub(crate) report: Option<agent_proto::MachineReport>,
    /// When that report came.
    pub(crate) reported: Option<Moment>,
    /// The server that is known, and by what its life is counted. It stays while the path to it is
    /// lost.
    pub(crate) tenure: Option<(Option<u64>, Tenure)>,
    /// The machine as it last answered this daemon or a former one, until its end is known.
    pub(crate) last_known: Option<LastKnown>,
    /// The last server that this daemon has deleted.
    pub(crate) last_end: Option<End>,
    /// The last checks of the machine.
    pub(crate) checks: CheckHistory,
    /// The losses of the path to it.
    pub(crate) losses: Losses,
}

/// A stage of a wake.
#[derive(Debug, Clone)]
pub(crate) struct TimedPhase {
    pub(crate) phase: Phase,
    pub(crate) detail: Option<String>,
    pub(crate) began: Moment,
    pub(crate) ended: Option<Moment>,
}

impl DaemonState {
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            machine: MachineState::Absent { because: None },
            since: now,
            attempts: 0,
            failure: None,
            phases: Vec::new(),
            report: None,
            reported: None,
            tenure: None,
            last_known: None,
            last_end: None,
            checks: CheckHistory::default(),
            losses: Losses::default(),
        }
    }

    pub(crate) fn enter(&mut self, machine: MachineState, now: Moment) {
        let (from, to) = (self.machine.kind(), machine.kind());
        match (from, to) {
            (api::MachineState::Up, api::MachineState::Lost) => {
                let reason = machine.detail().unwrap_or_default();
                self.checks.failed(CheckKind::Path, &reason, now);
            }
            (_, api::MachineState::Up) => self.checks.passed(CheckKind::Connect, None, now),
            _ => {}
        }
        self.losses.follow((from, to), machine.detail().as_deref(), now);
        self.machine = machine;
        self.since = now;
        if !matches!(self.machine, MachineState::Up(_)) {
            (self.report, self.reported) = (None, None);
        }
        // A client that follows the next wake must not take the last one's stages for it.
        if matches!(self.machine, MachineState::Absent { .. }) {
            self.phases.clear();
            self.tenure = None;
        }
    }

    /// A machine answers. For one that answered before, its time goes on.
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

    /// How full the machine's volume is, by its last report.
    pub(crate) fn volume_usage(&self) -> Option<VolumeUsage> {
        let MachineState::Up(ready) = &self.machine else { return None };
        VolumeUsage::of(
            self.report.as_ref()?.disk,
            ready.summary.volume.as_ref().map(|volume| volume.size),
        )
    }

    /// By what the machine's life is counted; without a machine, from now.
    pub(crate) fn tenure(&self, now: Moment) -> Tenure {
        self.tenure.map_or_else(|| Tenure::free(now), |(_, tenure)| tenure)
    }

    /// An attempt to get a machine has ended.
    pub(crate) fn attempted(&mut self, failure: Option<Error>) {
        self.attempts += 1;
        self.failure = failure;
    }

    /// The error of the last attempt to connect to a lost machine, and when the next one begins.
    /// The machine stays lost since when it was.
    pub(crate) fn still_lost(&mut self, error: Option<String>, next: Option<Moment>) {
        if let MachineState::Lost { trouble, again, .. } = &mut self.machine {
            *trouble = error.or(trouble.take());
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
