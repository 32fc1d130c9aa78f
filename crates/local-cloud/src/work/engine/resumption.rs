//! Resumes the work of a saved state.

use std::sync::Arc;

use jiff::Timestamp;

use super::Engine;
use crate::state::{Id, Project, Resource, ServerStatus, World};
use crate::work::effect::Effect;
use crate::work::{Chain, ChainFault, Step, Work, settle_firewalls};

impl Engine {
    /// Resumes after the state was loaded: passes addresses and attachments to the hypervisor
    /// again, and ends interrupted creations and removals.
    pub(crate) async fn resume(self: &Arc<Self>) {
        let names: Vec<String> = self.world().projects.keys().cloned().collect();
        for name in names {
            let (attachments, chains) = self.unfinished(&name);
            for effect in attachments {
                // `perform` logs the error. The rest of the cloud is usable without this volume.
                let _ = self.perform(effect).await;
            }
            for chain in chains {
                Box::pin(Arc::clone(self).run(chain)).await;
            }
        }
    }

    fn unfinished(&self, name: &str) -> (Vec<Effect>, Vec<Chain>) {
        let mut world = self.world();
        let World { ids, projects } = &mut *world;
        let project = projects.entry(name.to_owned()).or_default();
        let servers: Vec<Id> = project.servers.keys().copied().collect();
        for server in servers {
            self.refresh_address(project, server);
        }
        let attached = project.volumes.values().filter(|v| v.available);
        let attachments = attached
            .filter_map(|v| v.server.map(|server| Effect::Attach { volume: v.id, server }))
            .collect();
        let alone = |work: Work| Chain {
            project: name.to_owned(),
            steps: vec![Step { action: None, work }],
            holds: Vec::new(),
            chain_fault: ChainFault::None,
        };
        let doomed = project
            .servers
            .values()
            .filter(|s| s.status == ServerStatus::Deleting)
            .map(|s| alone(Work::DeleteServer(s.id)));
        let unmade = project
            .volumes
            .values()
            .filter(|v| !v.available)
            .map(|v| alone(Work::CreateVolume(v.id)));
        let mut chains: Vec<Chain> = doomed.chain(unmade).collect();
        let now = Timestamp::now();
        chains.extend(settle_firewalls(
            name,
            project,
            |project: &mut Project, command, resources: &[Resource]| {
                let id = ids.take();
                project.record(id, command, resources, now);
                id
            },
        ));
        (attachments, chains)
    }
}
