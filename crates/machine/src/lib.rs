//! What a machine is, and how it is created and deleted: observe, plan, apply.
//!
//! The cloud is the database: everything that dockbridge creates carries its labels and a
//! deterministic name, and everything here works from a fresh observation. This crate knows the
//! cloud's API and the tunnel. It does not know who asks for a machine, why, or for how long.

#![forbid(unsafe_code)]

mod behalf;
mod books;
mod boot_history;
mod bootstrap;
mod causes;
mod cloud;
mod code;
mod convert;
mod error;
mod host;
mod host_key;
mod identity;
mod image_choice;
mod ladder;
mod lease;
mod login_timeout;
mod observed;
mod operation;
mod plan;
mod port_window;
mod price;
mod problem;
mod provider;
mod reach;
mod spec;

pub use api::{Actor, Phase, ServerStatus, Summary, UsedImage, VolumeSummary};
pub use behalf::Behalf;
pub use books::{Billed, Books, Posting};
pub use boot_history::{BootHistory, Chosen, History, Stage, Wake};
pub use bootstrap::{
    BaseFiles, BootstrapError, LIBRARY_DIRECTORY, RUN_DIRECTORY, builder_user_data,
};
pub use causes::with_causes;
pub use cloud::{
    Access, ApiAccess, Cloud, CloudOptions, FileSystem, NextMachine, Orphan, OrphanKind, PortCheck,
    Resized, SelfDestruct, only_ssh, standing,
};
pub use code::cloud_code;
pub use error::{AfterCallOff, MachineError};
pub use hetzner::{ApiUse, Change, ChangeResult};
pub use host::Host;
pub use host_key::{HostKey, generate_key};
pub use identity::{
    DOCKBRIDGE, IMAGE, IMAGE_BUILDER, Identity, InvalidName, MACHINE_IMAGE, MANAGED_BY, OWNER,
    Owner, Profile, ROLE, owner_selector,
};
pub use image_choice::{Candidate, ImageChoice, ImageKind, choose};
pub use ladder::Rung;
pub use lease::Lease;
pub use login_timeout::login_timeout;
pub use observed::{
    Catalogue, LONGEST_BOOT, Observed, Offer, Server, ServerType, Volume, is_off_for_good, is_young,
};
pub use operation::{AgentTask, Operation};
pub use plan::{Step, plan};
pub use port_window::PortWindows;
pub use problem::Problem;
pub use provider::{Consent, Destroyed, Joined, Observer, Provider, Ready};
pub use reach::{CloudSays, Elsewhere, Hold, Knock, Login, Seen, Verdict, judge, may_remove};
pub use spec::{ImageSetting, Spec};
