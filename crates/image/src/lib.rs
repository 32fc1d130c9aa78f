//! Builds a disk image of any operating system into a labeled snapshot of a cloud project.
//!
//! The cloud accepts no images. So a build creates a server, boots its rescue system, writes the
//! image to its disk with dockbridge's own writer (the agent's `write-image`), reads the disk back,
//! makes a snapshot and deletes the server. The image of dockbridge's own machines is prepared on a
//! server that runs the cloud's docker image instead. Everything is found again by labels: a build
//! takes over from a killed build of the same image, and a second build of the same image finds the
//! snapshot of the first. This crate knows the cloud's API and SSH. It does not know arguments,
//! settings or terminals.

#![forbid(unsafe_code)]

mod build;
mod build_server;
mod builder;
mod disk_image;
mod error;
mod event;
mod firewall;
mod labels;
mod ladder;
mod lifetime;
mod lock;
mod login;
mod machine_image;
mod operation;
mod order;
mod orphans;
mod prices;
mod snapshots;
mod sniff;
mod source;
mod talos;
mod writer;

pub use agent_proto::image::{Checksum, Compression, Format, WriteFailure, Written};
pub use build::build;
pub use error::{BusyBuild, FailureKind, ImageError};
pub use event::{Event, Meter, Phase, Report};
pub use hetzner::Architecture;
pub use labels::{InvalidImageName, Name, Recipe};
pub use operation::Operation;
pub use order::{Built, Content, DiskImage, MachineImage, Order};
pub use orphans::{orphans, remove_orphan};
pub use snapshots::{Snapshot, delete, list, surplus};
pub use source::Source;
pub use talos::{
    DEFAULT_FACTORY, Factory, FactoryError, FactoryRequest, InvalidVersion, Version, schematic_id,
};
