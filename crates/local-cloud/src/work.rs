//! What actions do, in two pure functions around one effect: `begin` returns the effects for the
//! machines and sets the status while they run, `finish` records the result. Nothing here waits;
//! [`engine`] does.

mod chain;
pub(crate) mod effect;
pub(crate) mod engine;
pub(crate) mod pace;
pub(crate) mod samples;
mod servers;
mod volumes;

use std::collections::BTreeSet;

use crate::catalogue::Catalogue;
use crate::state::action::ActionError;
use crate::state::{Id, Project, Resource};
use effect::Effect;

pub(crate) use chain::{Chain, ChainFault, Late, Step, StepOutcome, Work};

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
