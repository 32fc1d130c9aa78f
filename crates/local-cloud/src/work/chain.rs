//! Chains of actions, the work of each, and the faults that tests inject into them.

use std::time::Duration;

use crate::hypervisor::Rescue;
use crate::state::action::ActionError;
use crate::state::{Id, Resource};

/// The work of one action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Work {
    CreateServer {
        server: Id,
        start_follows: bool,
    },
    Start(Id),
    Stop(Id),
    SetRescue {
        server: Id,
        rescue: Option<Rescue>,
    },
    Shutdown(Id),
    Reboot(Id),
    Reset(Id),
    Rebuild {
        server: Id,
        image: Id,
    },
    ChangeType {
        server: Id,
        server_type: Id,
        disk: Option<u64>,
    },
    CreateImage {
        server: Id,
        image: Id,
    },
    DeleteServer(Id),
    CreateVolume(Id),
    /// The device may appear later than the action's success.
    Attach {
        volume: Id,
        server: Id,
        late: Option<Late>,
        /// Whether the machine mounts it.
        automount: bool,
    },
    Detach(Id),
    Resize {
        volume: Id,
        size: u64,
    },
    ApplyFirewall {
        firewall: Id,
        server: Id,
        revision: u64,
    },
    RemoveFirewall {
        firewall: Id,
        server: Id,
    },
    /// The request did it already; only the action takes time.
    Nothing,
}

/// One action of a chain; without an id it is invisible to clients.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) action: Option<Id>,
    pub(crate) work: Work,
}

/// Actions that run one after the other under one set of locks. If one fails, those after it fail.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    pub(crate) project: String,
    pub(crate) steps: Vec<Step>,
    pub(crate) holds: Vec<Resource>,
    pub(crate) chain_fault: ChainFault,
}

/// An injected fault of a chain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ChainFault {
    #[default]
    None,
    /// The first action fails, with no effect.
    First,
    /// The attachments fail, with no effect.
    Attachments,
    /// Nothing makes progress for this long.
    Hangs(Duration),
    /// The server is created, its start fails, and it stays off. The steps after the start still
    /// run.
    NotStarted,
    /// The start succeeds, but the server stays off.
    LeftOff,
    /// The server is shown as off for this long: for the first half its creation still runs, for
    /// the second half its start has not begun.
    StartsLate(Duration),
}

/// What happens to one step of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StepOutcome {
    IsDone,
    /// Succeeds with no effect.
    IsSkipped,
    /// Fails with no effect, with the steps after it.
    Fails(ActionError),
    /// Fails with no effect; the steps after it still run.
    FailsAlone(ActionError),
}

impl ChainFault {
    /// What happens to the step at this position of a chain.
    pub(crate) fn step_outcome(self, at: usize, work: &Work) -> StepOutcome {
        let failed = || StepOutcome::Fails(ActionError::failed("Action failed"));
        match (self, work) {
            (ChainFault::First, _) if at == 0 => failed(),
            (ChainFault::Attachments, Work::Attach { .. }) => failed(),
            // As reported for servers that were created but stayed off.
            (ChainFault::NotStarted, Work::Start(_)) => {
                StepOutcome::FailsAlone(ActionError::new("unknown_error", "Unknown Error"))
            }
            (ChainFault::LeftOff, Work::Start(_)) => StepOutcome::IsSkipped,
            _ => StepOutcome::IsDone,
        }
    }
}

/// A device that appears after its attachment has succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Late {
    pub(crate) by: Duration,
    /// Whether another disk has its name until then.
    pub(crate) wrong_disk: bool,
}
