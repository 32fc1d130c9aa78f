//! What exists: the resources of every project, their actions and their locks. Plain data that
//! changes only in place; it knows neither HTTP nor machines, and callers pass the time in.

pub(crate) mod action;
pub(crate) mod firewall;
pub(crate) mod labels;
pub(crate) mod records;
pub(crate) mod store;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub(crate) use action::{Action, Progress};
pub(crate) use firewall::Firewall;
pub(crate) use records::{
    AddressFacts, FreeAddress, Ipv4, Ipv6, Server, ServerStatus, Snapshot, SshKey, Volume,
};

/// The API's ids: unique over all kinds and never reused.
pub(crate) type Id = u64;

/// Number of finished actions that a project keeps. Hetzner keeps them for long; clients that wait
/// for one ask within minutes.
const KEPT_ACTIONS: usize = 2000;

/// All projects.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct World {
    pub(crate) ids: Ids,
    pub(crate) projects: BTreeMap<String, Project>,
}

/// Generates ids.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ids {
    next: Id,
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

/// A resource that actions work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Resource {
    Server(Id),
    Volume(Id),
    Image(Id),
    Firewall(Id),
}

impl Resource {
    pub(crate) fn id(self) -> Id {
        match self {
            Resource::Server(id)
            | Resource::Volume(id)
            | Resource::Image(id)
            | Resource::Firewall(id) => id,
        }
    }

    /// The name in an action's `resources`.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Resource::Server(_) => "server",
            Resource::Volume(_) => "volume",
            Resource::Image(_) => "image",
            Resource::Firewall(_) => "firewall",
        }
    }
}

impl Ids {
    pub(crate) fn starting_at(next: Id) -> Ids {
        Ids { next }
    }

    pub(crate) fn take(&mut self) -> Id {
        let id = self.next;
        self.next += 1;
        id
    }
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
