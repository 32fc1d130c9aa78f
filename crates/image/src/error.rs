//! Why an image could not be built, listed or deleted. The edge (`dockbridge/failure.rs`) chooses
//! the hints for users.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use agent_proto::image::WriteFailure;
use api::Code;
use tunnel::{Agents, ConnectError};

use crate::operation::Operation;

/// The kind of a failure, for an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The source is not as expected, or cannot be fetched.
    Source,
    /// The cloud has no server to build on.
    Stock,
    /// The user interrupted it.
    Interrupted,
    /// Any other failure.
    Other,
}

/// A failed build, or another failed request about images.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The cloud refused or does not answer.
    #[error("the cloud could not {operation}")]
    Cloud {
        /// The request.
        operation: Operation,
        /// The failed call.
        source: Box<hetzner::Error>,
    },
    /// The cloud has none of the server types in stock.
    #[error("none of {} is in stock", tried.join(", "))]
    OutOfStock {
        /// Types and locations that were tried.
        tried: Vec<String>,
    },
    /// No server type can hold the image.
    #[error(
        "{} for {architecture}{} is sold in {}",
        none_of(only),
        with_disk(*disk),
        locations.join(", ")
    )]
    NoServerType {
        /// As the API names it.
        architecture: String,
        /// The requested types; empty for any.
        only: Vec<String>,
        /// Size of the disk, in GB.
        disk: u64,
        /// The searched locations.
        locations: Vec<String>,
    },
    /// The cloud has no image to create a server from, before it is overwritten.
    #[error("the cloud has no system image for {architecture}")]
    NoSystemImage {
        /// As the API names it.
        architecture: String,
    },
    /// The same image is being built.
    #[error("this image is being built already, {0}")]
    Busy(BusyBuild),
    /// The lock that keeps builds apart cannot be taken.
    #[error("the lock file {} cannot be used", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A local file cannot be read.
    #[error("{} cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A local file is empty.
    #[error("{} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The source is no disk image.
    #[error("{origin} {what}")]
    NoImage {
        /// Its address or path.
        origin: String,
        /// What it is, as a predicate.
        what: String,
    },
    /// A local file has another checksum than expected.
    #[error("{what} has the checksum {found}, not {wanted}")]
    Checksum {
        /// The file.
        what: String,
        /// Its checksum.
        found: String,
        /// The expected checksum.
        wanted: String,
    },
    /// The agent, which also writes disks, is missing for this architecture.
    #[error("{agents} holds no dockbridge-agent for {machine}")]
    NoAgent {
        /// Where it was searched.
        agents: Agents,
        /// The architecture, as `uname -m` prints it.
        machine: &'static str,
    },
    /// A key could not be made.
    #[error("an SSH key cannot be made")]
    Key(#[source] russh::keys::ssh_key::Error),
    /// The server of the build does not answer.
    #[error("{what} did not answer within {} s", after.as_secs())]
    Silent {
        /// Such as `the rescue system`.
        what: &'static str,
        /// The limit.
        after: Duration,
        /// The last attempt.
        source: Option<Box<ConnectError>>,
    },
    /// The host that answers cannot be used.
    #[error("cannot log in to {what}")]
    Connect {
        /// Such as `the rescue system`.
        what: &'static str,
        /// The failed attempt.
        source: Box<ConnectError>,
    },
    /// The server was deleted or powered off during the build.
    #[error("the server went away: {what}")]
    ServerGone {
        /// Its state, human-readable.
        what: String,
    },
    /// The connection broke several times.
    #[error("the connection to {what} broke {times} times; the last time: {last}")]
    Lost {
        /// Such as `the rescue system`.
        what: &'static str,
        /// How often.
        times: u32,
        /// The last reason.
        last: String,
    },
    /// The writer failed.
    #[error("{message}")]
    Write {
        /// The kind of failure.
        kind: WriteFailure,
        /// Human-readable.
        message: String,
    },
    /// The server could not be turned into a machine image.
    #[error("the server cannot be prepared: {message}")]
    Prepare {
        /// Human-readable.
        message: String,
    },
    /// The user-data of the server could not be made.
    #[error(transparent)]
    UserData(#[from] machine::BootstrapError),
    /// The image to start from does not exist.
    #[error("the cloud has no image {name:?} for {architecture}")]
    NoBaseImage {
        /// The name in the settings.
        name: String,
        /// As the API names it.
        architecture: String,
    },
    /// The snapshot was made and cannot be used.
    #[error("snapshot {id} is {status} after it was made")]
    Snapshot {
        /// The image's id.
        id: u64,
        /// As the API names it.
        status: String,
    },
    /// This owner has no such snapshot.
    #[error("there is no image {id} of this owner")]
    Unknown {
        /// The requested id.
        id: u64,
    },
    /// The user interrupted it.
    #[error("interrupted")]
    Interrupted,
    /// The server, firewall or key of the build could not be removed.
    #[error(
        "{}the server, firewall or key of the build could not be removed",
        because.as_deref().map(in_addition).unwrap_or_default()
    )]
    NotCleanedUp {
        /// The error before it.
        because: Option<Box<ImageError>>,
        /// The failed removal.
        source: Box<ImageError>,
    },
}

/// Where the same image is being built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusyBuild {
    /// By another process of this computer.
    OnThisComputer,
    /// By another computer, on this server.
    OnAnotherComputer(u64),
    /// Perhaps: a server that is not dockbridge's has the builder's name.
    NameInUse(u64),
    /// By an earlier build, whose server stays locked.
    Locked(u64),
}

impl fmt::Display for BusyBuild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BusyBuild::OnThisComputer => f.write_str("by another dockbridge on this computer"),
            BusyBuild::OnAnotherComputer(server) => {
                write!(f, "on server {server} by another computer")
            }
            BusyBuild::NameInUse(server) => write!(f, "or server {server} has its name by chance"),
            BusyBuild::Locked(server) => write!(f, "and server {server} stays locked"),
        }
    }
}

impl ImageError {
    /// The kind of the failure.
    pub fn kind(&self) -> FailureKind {
        match self {
            ImageError::File { .. }
            | ImageError::Empty { .. }
            | ImageError::NoImage { .. }
            | ImageError::Checksum { .. } => FailureKind::Source,
            ImageError::Write { kind, .. } => match kind {
                WriteFailure::Source
                | WriteFailure::Checksum
                | WriteFailure::Archive
                | WriteFailure::TooBig => FailureKind::Source,
                WriteFailure::Disk | WriteFailure::Order => FailureKind::Other,
            },
            ImageError::OutOfStock { .. } | ImageError::NoServerType { .. } => FailureKind::Stock,
            ImageError::Interrupted => FailureKind::Interrupted,
            ImageError::NotCleanedUp { because: Some(because), .. } => because.kind(),
            _ => FailureKind::Other,
        }
    }

    /// The code of this error.
    pub fn code(&self) -> Code {
        match self {
            ImageError::Cloud { source, .. } => machine::cloud_code(source),
            ImageError::OutOfStock { .. } => Code::OutOfStock,
            ImageError::NoServerType { .. } => Code::ServerTypeNotSold,
            ImageError::NoSystemImage { .. } | ImageError::NoBaseImage { .. } => Code::ImageUnknown,
            ImageError::Busy(_) => Code::ImageBusy,
            ImageError::Lock { .. } => Code::FileNotWritten,
            ImageError::File { .. } | ImageError::Empty { .. } => Code::ImageFile,
            ImageError::NoImage { .. } => Code::ImageFormat,
            ImageError::Checksum { .. } => Code::ImageChecksum,
            ImageError::NoAgent { .. } => Code::AgentMissing,
            ImageError::Key(_) => Code::KeyNotMade,
            ImageError::Silent { .. }
            | ImageError::Connect { .. }
            | ImageError::ServerGone { .. }
            | ImageError::Lost { .. } => Code::BuilderLost,
            ImageError::Write { kind, .. } => match kind {
                WriteFailure::Source => Code::ImageDownload,
                WriteFailure::Checksum => Code::ImageChecksum,
                WriteFailure::Archive => Code::ImageFormat,
                WriteFailure::TooBig => Code::ImageTooBig,
                WriteFailure::Disk | WriteFailure::Order => Code::ImageFailed,
            },
            ImageError::Prepare { .. } => Code::ImageFailed,
            ImageError::UserData(_) => Code::MachineNotMade,
            ImageError::Snapshot { .. } => Code::ImageUnusable,
            ImageError::Unknown { .. } => Code::ImageMissing,
            ImageError::Interrupted => Code::Interrupted,
            ImageError::NotCleanedUp { .. } => Code::BuilderStays,
        }
    }

    /// Wraps the failure of a call to the cloud.
    pub(crate) fn cloud(operation: Operation) -> impl FnOnce(hetzner::Error) -> Self {
        move |source| ImageError::Cloud { operation, source: Box::new(source) }
    }
}

fn none_of(types: &[String]) -> String {
    match types {
        [] => "no server type".to_owned(),
        types => format!("none of {}", types.join(", ")),
    }
}

fn with_disk(gb: u64) -> String {
    if gb == 0 { String::new() } else { format!(" with a disk of {gb} GB or more") }
}

fn in_addition(because: &ImageError) -> String {
    format!("{}; in addition, ", machine::with_causes(because))
}
