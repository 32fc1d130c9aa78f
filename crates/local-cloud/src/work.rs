//! What actions do, in two pure functions around one effect: `begin` returns the effects for the
//! machines and sets the status while they run, `finish` records the result. Nothing here waits;
//! [`engine`] does.

pub(crate) mod effect;
pub(crate) mod engine;
pub(crate) mod pace;
pub(crate) mod samples;
mod servers;
mod volumes;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::catalogue::Catalogue;
use crate::hypervisor::Rescue;
use crate::state::action::ActionError;
use crate::state::{Id, Project, Resource};
use effect::Effect;

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

impl Work {
    /// Called when the action's turn comes.
    pub(crate) fn begin(
        &self,
        project: &mut Project,
        catalogue: &Catalogue,
    ) -> Result<Vec<Effect>, ActionError> {
        match *self {
            Work::ApplyFirewall { firewall, server, .. } => {
                let mut firewalls = firewalls_of(project, server);
                firewalls.insert(firewall);
                Ok(vec![Effect::SetFirewall(server, project.inbound_rules(&firewalls))])
            }
            Work::RemoveFirewall { firewall, server } => {
                let mut firewalls = firewalls_of(project, server);
                firewalls.remove(&firewall);
                Ok(vec![Effect::SetFirewall(server, project.inbound_rules(&firewalls))])
            }
            Work::Nothing => Ok(Vec::new()),
            Work::CreateVolume(_) | Work::Attach { .. } | Work::Detach(_) | Work::Resize { .. } => {
                volumes::begin(self, project)
            }
            _ => servers::begin(self, project, catalogue),
        }
    }

    /// Called once for each started or skipped work, with its result; a snapshot's effect returns
    /// its size.
    pub(crate) fn finish(
        &self,
        project: &mut Project,
        catalogue: &Catalogue,
        result: Result<Option<u64>, &ActionError>,
    ) {
        match *self {
            Work::ApplyFirewall { firewall, server, revision } => {
                if let (Ok(_), Some(server)) = (result, project.servers.get_mut(&server)) {
                    server.firewalls.insert(firewall, Some(revision));
                }
            }
            Work::RemoveFirewall { firewall, server } => {
                if let (Ok(_), Some(server)) = (result, project.servers.get_mut(&server)) {
                    server.firewalls.remove(&firewall);
                }
            }
            Work::Nothing => {}
            Work::CreateVolume(_) | Work::Attach { .. } | Work::Detach(_) | Work::Resize { .. } => {
                volumes::finish(self, project, result.is_ok())
            }
            _ => servers::finish(self, project, catalogue, result),
        }
    }
}

fn firewalls_of(project: &Project, server: Id) -> BTreeSet<Id> {
    project.servers.get(&server).map(|s| s.firewalls.keys().copied().collect()).unwrap_or_default()
}

/// Updates the firewalls of all servers to match their targets: a label selector also reaches
/// servers that got their labels later. Servers that an action works on are left for the next
/// call.
pub(crate) fn settle_firewalls(
    name: &str,
    project: &mut Project,
    mut action: impl FnMut(&mut Project, &'static str, &[Resource]) -> Id,
) -> Vec<Chain> {
    let mut chains = Vec::new();
    let idle: Vec<Id> = project
        .servers
        .values()
        .filter(|s| s.made && !project.is_locked(Resource::Server(s.id)))
        .map(|s| s.id)
        .collect();
    for server in idle {
        let (missing, surplus) = project.firewall_differences(server);
        let mut steps = Vec::new();
        for firewall in missing {
            let Some(revision) = project.firewalls.get(&firewall).map(|f| f.revision) else {
                continue;
            };
            if let Some(record) = project.servers.get_mut(&server) {
                record.firewalls.entry(firewall).or_insert(None);
            }
            let id = action(
                project,
                "apply_firewall",
                &[Resource::Server(server), Resource::Firewall(firewall)],
            );
            steps.push(Step {
                action: Some(id),
                work: Work::ApplyFirewall { firewall, server, revision },
            });
        }
        for firewall in surplus {
            let id = action(
                project,
                "remove_firewall",
                &[Resource::Server(server), Resource::Firewall(firewall)],
            );
            steps.push(Step { action: Some(id), work: Work::RemoveFirewall { firewall, server } });
        }
        if let Some(first) = steps.first().and_then(|s| s.action) {
            project.locks.insert(Resource::Server(server), first);
            chains.push(Chain {
                project: name.to_owned(),
                steps,
                holds: vec![Resource::Server(server)],
                chain_fault: ChainFault::None,
            });
        }
    }
    chains
}
