//! What exists: the resources of every project, their actions and their locks. Plain data that
//! changes only in place; it knows neither HTTP nor machines, and callers pass the time in.

pub(crate) mod action;
pub(crate) mod firewall;
mod firewall_targets;
mod ids;
pub(crate) mod labels;
mod project;
pub(crate) mod records;
pub(crate) mod store;

pub(crate) use action::{Action, Progress};
pub(crate) use firewall::Firewall;
pub(crate) use ids::{Id, Ids, Resource};
pub(crate) use project::{Project, World};
pub(crate) use records::{
    AddressFacts, FreeAddress, Ipv4, Ipv6, Server, ServerStatus, Snapshot, SshKey, Volume,
};
