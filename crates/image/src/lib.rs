//! Builds any operating system's disk image into a labelled snapshot of a cloud project.
//!
//! The cloud takes no images. So a server is made, its rescue system booted, the image written to
//! its disk by our own writer (the agent's `write-image`), read back and kept as a snapshot; the
//! server goes. The image that our own machines can be made from is prepared on a server instead
//! that runs the cloud's docker image. Everything is found again by labels: a build that was killed
//! is taken over by the next one of the same image, and a second build of the same image finds the
//! first one's snapshot. This crate knows the cloud's API and SSH; it knows nothing of arguments,
//! settings or terminals.

#![forbid(unsafe_code)]

mod build;
mod error;
mod event;
mod head;
mod labels;
mod ladder;
mod left_over;
mod lock;
mod login;
mod prepared;
mod snapshots;
mod source;
mod steps;
mod talos;
mod wall;
mod write;
mod written;

pub use agent_proto::image::{Checksum, Compression, Format, Written};
pub use build::{Built, Content, DiskImage, MachineImage, Order, build};
pub use error::{ImageError, Kind};
pub use event::{Event, Meter, Phase, Report};
pub use hetzner::Architecture;
pub use labels::{InvalidImageName, Name, Recipe};
pub use left_over::{LeftOver, left_over, remove_left_over};
pub use snapshots::{Snapshot, delete, list, surplus};
pub use source::Source;
pub use talos::{DEFAULT_FACTORY, Factory, FactoryError, InvalidVersion, Version, schematic_id};
