//! What a machine is, and how it comes and goes: observe, plan, apply.
//!
//! The cloud is the database: all that we make carries our labels and a deterministic name, and
//! everything here works from a fresh look. This crate knows the cloud's API and the tunnel; it
//! does not know who asks for a machine, why, or for how long.

#![forbid(unsafe_code)]

mod behalf;
mod books;
mod bootstrap;
mod choice;
mod cloud;
mod error;
mod host;
mod host_key;
mod identity;
mod observed;
mod patience;
mod plan;
mod port_window;
mod provider;
mod reach;
mod wakes;

pub use behalf::{Actor, Behalf};
pub use books::{Billed, Books, Posting};
pub use bootstrap::{
    BootstrapError, Furnishing, LIBRARY_DIRECTORY, RUN_DIRECTORY, builder_user_data,
};
pub use choice::{Candidate, Choice, Kind, choose};
pub use cloud::{
    Access, Cloud, CloudOptions, FileSystem, Orphan, OrphanKind, Owned, PortCheck, Resized,
    SelfDestruct, Standing, Stored, only_ssh, standing,
};
pub use error::MachineError;
pub use hetzner::{Change, ChangeResult};
pub use host::Host;
pub use host_key::{HostKey, generate_key};
pub use identity::{
    DOCKBRIDGE, IMAGE, IMAGE_BUILDER, Identity, InvalidName, MACHINE_IMAGE, MANAGED_BY, OWNER,
    Owner, Profile, ROLE, owner_selector,
};
pub use observed::{
    Catalogue, LONGEST_BOOT, Observed, Offer, Server, ServerStatus, ServerType, Volume, is_young,
};
pub use patience::patience;
pub use plan::{ImageSetting, Problem, Rung, Spec, Step, plan};
pub use port_window::PortWindows;
pub use provider::{
    Consent, Destroyed, Joined, Lease, Observer, Phase, Provider, Ready, Summary, UsedImage,
    VolumeSummary,
};
pub use reach::{CloudSays, Elsewhere, Hold, Knock, Login, Seen, Verdict, judge, may_remove};
pub use wakes::{Chosen, History, Stage, Wake, Wakes};

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
