//! An order to build an image, and the result. Data only.

use std::path::PathBuf;
use std::time::Duration;

use agent_proto::image::{Checksum, Compression, Format, Written};
use hetzner::Image;
use machine::{Books, Owner};
use tunnel::Agents;

use crate::labels::Name;
use crate::source::Source;

/// An image to build.
#[derive(Debug, Clone)]
pub struct Order {
    /// The owner of the image.
    pub owner: Owner,
    /// The name of the image.
    pub name: Name,
    /// The operating system.
    pub os: Name,
    /// Its version, if it has one. The version of a machine image follows from its content.
    pub version: Option<Name>,
    /// The schematic of a Talos image.
    pub schematic: Option<String>,
    /// The architecture.
    pub architecture: hetzner::Architecture,
    /// The content.
    pub content: Content,
    /// Locations in order of preference.
    pub locations: Vec<String>,
    /// Only these server types, in this order. If empty, the type with the smallest disk, then the
    /// cheapest.
    pub server_types: Vec<String>,
    /// How long the server, or its rescue system, may take to answer.
    pub answer_timeout: Duration,
    /// The agent's binaries, one of which writes disks.
    pub agents: Agents,
    /// Directory of the locks that keep builds of one image apart.
    pub locks: PathBuf,
    /// Receives each server that is created or deleted.
    pub books: Books,
}

/// The content of an image.
#[derive(Debug, Clone)]
pub enum Content {
    /// A disk image, which the rescue system writes to the disk.
    Disk(DiskImage),
    /// The image of dockbridge's own machines, prepared on a server that runs it.
    Machine(MachineImage),
}

/// A disk image.
#[derive(Debug, Clone)]
pub struct DiskImage {
    /// The source of its bytes.
    pub source: Source,
    /// How the source is compressed.
    pub compression: Compression,
    /// The format of the decompressed source.
    pub format: Format,
    /// The expected checksum of the source.
    pub checksum: Option<Checksum>,
    /// A source that sends nothing for this long has stalled.
    pub stall_timeout: Duration,
}

/// The image of dockbridge's own machines.
#[derive(Debug, Clone)]
pub struct MachineImage {
    /// Name of the cloud's image that it starts from.
    pub base: String,
    /// How long after its boot a machine waits for the first client, in seconds.
    pub boot_lease_seconds: u64,
}

/// A built image.
#[derive(Debug, Clone)]
pub struct Built {
    /// The snapshot.
    pub image: Image,
    /// An equal snapshot existed already.
    pub existed: bool,
    /// Its version, if it has one.
    pub version: Option<Name>,
    /// What was written to the disk, for a disk image.
    pub written: Option<Written>,
}
