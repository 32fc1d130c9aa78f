//! What actions do, in three pure parts around one effect: `begin` says what the machines have to
//! do and changes the status on the way, `finish` writes down what came of it. Nothing in here
//! waits; [`engine`] does.

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
    /// The device may come later than the action's success.
    Attach {
        volume: Id,
        server: Id,
        late: Option<Late>,
        /// The machine mounts it.
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
    /// Was done when it was asked for; only the action takes its time.
    Nothing,
}

/// One action of a chain; without an id nobody is told of it.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) action: Option<Id>,
    pub(crate) work: Work,
}

/// Actions that run one after the other under one set of locks. A failed one fails those behind it.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    pub(crate) project: String,
    pub(crate) steps: Vec<Step>,
    pub(crate) holds: Vec<Resource>,
    pub(crate) mishap: Mishap,
}

/// What goes wrong with a chain on order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Mishap {
    #[default]
    None,
    /// The first action ends in an error without anything being done.
    First,
    /// The attachments do.
    Attachments,
    /// Nothing moves for so long.
    Hangs(Duration),
    /// The server is made, its start ends in an error, and the server stays off. What is behind the
    /// start is done all the same.
    NotStarted,
    /// The start ends in success, and the server stays off.
    LeftOff,
    /// The server is shown off for so long: for the first half its making still runs, for the
    /// second half the start has not begun.
    StartsLate(Duration),
}

/// What becomes of one step of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    IsDone,
    /// Succeeds without anything being done.
    IsSkipped,
    /// Fails without anything being done, with the steps behind it.
    Fails(ActionError),
    /// Fails without anything being done; the steps behind it are done.
    FailsAlone(ActionError),
}

impl Mishap {
    /// The fate of the step at this place of a chain.
    pub(crate) fn fate(self, at: usize, work: &Work) -> Fate {
        let failed = || Fate::Fails(ActionError::failed("Action failed"));
        match (self, work) {
            (Mishap::First, _) if at == 0 => failed(),
            (Mishap::Attachments, Work::Attach { .. }) => failed(),
            // As in reports of servers that were made and stayed off.
            (Mishap::NotStarted, Work::Start(_)) => {
                Fate::FailsAlone(ActionError::new("unknown_error", "Unknown Error"))
            }
            (Mishap::LeftOff, Work::Start(_)) => Fate::IsSkipped,
            _ => Fate::IsDone,
        }
    }
}

/// A device that comes after its attachment has succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Late {
    pub(crate) by: Duration,
    /// Until then, another disk stands under its name.
    pub(crate) stranger: bool,
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

    /// Called once for every begun or skipped work, with what came of it; a snapshot's effect gives
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

/// Brings the firewalls of all servers to what their targets say: a label selector reaches servers
/// that got their labels later. Servers that an action works on are left for the next time.
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
                mishap: Mishap::None,
            });
        }
    }
    chains
}
