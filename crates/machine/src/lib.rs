//! What a machine is, and how it comes and goes: observe, plan, apply.
//!
//! The cloud is the database: all that we make carries our labels and a deterministic name, and everything here works from a fresh look. This crate knows the
//! cloud's API and the tunnel; it does not know who asks for a machine, why, or for how long.

#![forbid(unsafe_code)]

mod bootstrap;
mod cloud;
mod error;
mod host;
mod host_key;
mod identity;
mod observed;
mod patience;
mod plan;
mod provider;

pub use cloud::{Access, Cloud, CloudOptions, FileSystem, Orphan, OrphanKind, Resized, SelfDestruct, only_ssh};
pub use error::MachineError;
pub use host::Host;
pub use host_key::generate_key;
pub use identity::{DOCKBRIDGE, IMAGE_BUILDER, Identity, InvalidName, MANAGED_BY, OWNER, Owner, Profile, ROLE, owner_selector};
pub use observed::{Catalogue, Observed, Server, ServerStatus, ServerType, Volume};
pub use patience::patience;
pub use plan::{Problem, Rung, Spec, Step, plan};
pub use provider::{Consent, Destroyed, Joined, Lease, Phase, Progress, Provider, Ready, Summary, VolumeSummary};

/// An error with its causes, on one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
