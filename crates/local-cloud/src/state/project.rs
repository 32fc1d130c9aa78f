//! All projects, and the resources, actions and locks of each.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::action::{Action, Progress};
use super::firewall::Firewall;
use super::ids::{Id, Ids, Resource};
use super::records::{FreeAddress, Server, Snapshot, SshKey, Volume};

/// Number of finished actions that a project keeps. Hetzner keeps them for long; clients that wait
/// for one ask within minutes.
const KEPT_ACTIONS: usize = 2000;

/// All projects.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct World {
    pub(crate) ids: Ids,
    pub(crate) projects: BTreeMap<String, Project>,
}

/// The resources of one project.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Project {
    pub(crate) servers: BTreeMap<Id, Server>,
    /// Deleted ones, for the bill.
    #[serde(default)]
    pub(crate) past_servers: Vec<Server>,
    pub(crate) volumes: BTreeMap<Id, Volume>,
    pub(crate) ssh_keys: BTreeMap<Id, SshKey>,
    pub(crate) snapshots: BTreeMap<Id, Snapshot>,
    pub(crate) firewalls: BTreeMap<Id, Firewall>,
    /// Those of servers are with their servers.
    #[serde(default)]
    pub(crate) addresses: BTreeMap<Id, FreeAddress>,
    pub(crate) actions: BTreeMap<Id, Action>,
    /// Resources that actions work on, with the running action. Not saved, because nothing runs
    /// when the state is loaded.
    #[serde(skip)]
    pub(crate) locks: BTreeMap<Resource, Id>,
}

impl World {
    pub(crate) fn new(first_id: Id) -> World {
        World { ids: Ids::starting_at(first_id), projects: BTreeMap::new() }
    }
}

impl Project {
    /// Records a new action.
    pub(crate) fn record(
        &mut self,
        id: Id,
        command: &'static str,
        resources: &[Resource],
        now: Timestamp,
    ) {
        self.actions.insert(id, Action::asked(id, command, resources, now));
        while self.actions.len() > KEPT_ACTIONS {
            let Some(oldest) =
                self.actions.values().find(|a| a.progress != Progress::Running).map(|a| a.id)
            else {
                break;
            };
            self.actions.remove(&oldest);
        }
    }

    /// Whether an action works on it; any other action is refused.
    pub(crate) fn is_locked(&self, resource: Resource) -> bool {
        self.locks.contains_key(&resource)
    }

    /// The property `locked` of a server. Recorded answers say `false` while `create_server` runs,
    /// though other actions are already refused, so it does not indicate that a server is
    /// starting.
    pub(crate) fn shows_locked(&self, server: Id) -> bool {
        let action = self.locks.get(&Resource::Server(server)).and_then(|id| self.actions.get(id));
        action.is_some_and(|a| !matches!(a.command.as_str(), "create_server" | "start_server"))
    }

    pub(crate) fn volumes_of(&self, server: Id) -> Vec<Id> {
        self.volumes.values().filter(|v| v.server == Some(server)).map(|v| v.id).collect()
    }
}
