//! Why there is no image, and what the person can do.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use agent_proto::image::WriteFailure;
use tunnel::ConnectError;

/// What kind of failure it is, for an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The source is not what it should be, or cannot be had.
    Source,
    /// The cloud has no server to build on.
    Stock,
    /// The person ended it.
    Interrupted,
    /// Anything else.
    Other,
}

/// A build that failed, or something else that was asked of images.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The cloud refused or does not answer.
    #[error("the cloud could not {what}")]
    Cloud {
        /// What was asked.
        what: &'static str,
        /// Its answer.
        source: Box<hetzner::Error>,
    },
    /// Everywhere out of stock.
    #[error("none of {} is in stock", tried.join(", "))]
    OutOfStock {
        /// Types and locations that were tried.
        tried: Vec<String>,
    },
    /// No server type can hold the image.
    #[error("{} for {architecture}{} is sold in {}", none_of(only), with_disk(*disk), locations.join(", "))]
    NoServerType {
        /// As the API calls it.
        architecture: String,
        /// The types that were asked for; empty for any.
        only: Vec<String>,
        /// GB.
        disk: u64,
        /// Where it was looked for.
        locations: Vec<String>,
    },
    /// Nothing to make the server from before it is overwritten.
    #[error("the cloud has no system image for {architecture}")]
    NoSystemImage {
        /// As the API calls it.
        architecture: String,
    },
    /// The same image is being built.
    #[error("this image is being built already, {by}")]
    Busy {
        /// By whom.
        by: String,
    },
    /// The lock that keeps builds apart cannot be taken.
    #[error("the lock file {} cannot be used", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A local file cannot be read.
    #[error("{} cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A local file has nothing in it.
    #[error("{} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The source is something else than a disk image.
    #[error("{origin} {what}")]
    NoImage {
        /// Its address or path.
        origin: String,
        /// What it is.
        what: String,
    },
    /// A local file is not what it should be.
    #[error("{what} has the checksum {found}, not {wanted}")]
    Checksum {
        /// The file.
        what: String,
        /// What it is.
        found: String,
        /// What it should be.
        wanted: String,
    },
    /// The agent, which also writes disks, is not there for this architecture.
    #[error("{} holds no dockbridge-agent for {machine}", folder.display())]
    NoAgent {
        /// Where it was looked for.
        folder: PathBuf,
        /// As `uname -m` says it.
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
    /// What answers is not to be used.
    #[error("no way into {what}")]
    Connect {
        /// Such as `the rescue system`.
        what: &'static str,
        /// Why.
        source: Box<ConnectError>,
    },
    /// Somebody took the server away.
    #[error("the server went away: {what}")]
    ServerGone {
        /// How it was found.
        what: String,
    },
    /// The connection broke again and again.
    #[error("the connection to {what} broke {times} times; the last time: {last}")]
    Lost {
        /// Such as `the rescue system`.
        what: &'static str,
        /// How often.
        times: u32,
        /// What was seen.
        last: String,
    },
    /// The writer could not do it.
    #[error("{message}")]
    Write {
        /// What kind of failure.
        kind: WriteFailure,
        /// In words for a person.
        message: String,
    },
    /// The server could not be made into what our machines begin as.
    #[error("the server cannot be prepared: {message}")]
    Prepare {
        /// In words for a person.
        message: String,
    },
    /// What all machines have cannot be written down.
    #[error(transparent)]
    UserData(#[from] machine::BootstrapError),
    /// There is no image to begin with.
    #[error("the cloud has no image {name:?} for {architecture}")]
    NoBaseImage {
        /// As set.
        name: String,
        /// As the API calls it.
        architecture: String,
    },
    /// The snapshot was made and cannot be used.
    #[error("snapshot {id} is {status} after it was made")]
    Snapshot {
        /// The image's id.
        id: u64,
        /// As the API calls it.
        status: String,
    },
    /// There is no such snapshot of ours.
    #[error("there is no image {id} of this owner")]
    Unknown {
        /// As it was asked for.
        id: u64,
    },
    /// The person ended it.
    #[error("interrupted")]
    Interrupted,
    /// What was made on the way could not be removed.
    #[error("{}what was made on the way could not be removed", because.as_ref().map(|because| format!("{}; in addition, ", machine::with_causes(&**because))).unwrap_or_default())]
    LeftOver {
        /// What had gone wrong before.
        because: Option<Box<ImageError>>,
        /// Why not.
        source: Box<ImageError>,
    },
}

impl ImageError {
    /// What kind it is.
    pub fn kind(&self) -> Kind {
        match self {
            ImageError::File { .. }
            | ImageError::Empty { .. }
            | ImageError::NoImage { .. }
            | ImageError::Checksum { .. } => Kind::Source,
            ImageError::Write { kind, .. } => match kind {
                WriteFailure::Source
                | WriteFailure::Checksum
                | WriteFailure::Archive
                | WriteFailure::TooBig => Kind::Source,
                WriteFailure::Disk | WriteFailure::Order => Kind::Other,
            },
            ImageError::OutOfStock { .. } | ImageError::NoServerType { .. } => Kind::Stock,
            ImageError::Interrupted => Kind::Interrupted,
            ImageError::LeftOver { because: Some(because), .. } => because.kind(),
            _ => Kind::Other,
        }
    }

    /// What the person can do, if anything.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            ImageError::Cloud { source, .. } if source.is_unauthorized() => {
                Some("the API token is not valid: make one in the cloud console")
            }
            ImageError::Cloud { source, .. } if source.is_read_only() => {
                Some("the API token may only read: make one with Read & Write in the cloud console")
            }
            ImageError::NoServerType { only, .. } if !only.is_empty() => Some(
                "name other types with `--server-type`, or none: then the one with the \
                    smallest disk is taken",
            ),
            ImageError::Busy { .. } => {
                Some("wait until it has ended: the same command then finds its snapshot")
            }
            ImageError::OutOfStock { .. } | ImageError::NoServerType { .. } => Some(
                "name other locations in `hetzner.locations`, other types with \
                    `--server-type`, or try again later",
            ),
            ImageError::NoAgent { .. } => Some(
                "`scripts/build` makes it on a computer of that architecture; \
                    DOCKBRIDGE_AGENT_DIR names the folder",
            ),
            ImageError::Silent { .. } | ImageError::Lost { .. } | ImageError::ServerGone { .. } => {
                Some("run the same command again: it takes over what is left, or begins anew")
            }
            ImageError::NoImage { .. } => Some(
                "look at what the address really sends; `qemu-img convert -O raw` makes an \
                    image of other formats; `--format raw` writes it as it is",
            ),
            ImageError::NoBaseImage { .. } => {
                Some("change `hetzner.image` in the settings: it names what the image is made from")
            }
            ImageError::Write { kind: WriteFailure::Checksum, .. }
            | ImageError::Checksum { .. } => Some(
                "compare with the checksum that the publisher gives, and fetch the image again",
            ),
            ImageError::Write { kind: WriteFailure::Source, .. } => Some(
                "a server fetches `--url` over its own line: can it be had from there? \
                    `--file` sends a file of this computer",
            ),
            ImageError::Write { kind: WriteFailure::TooBig, .. } => {
                Some("name a type with a bigger disk with `--server-type`")
            }
            ImageError::Write { kind: WriteFailure::Archive, .. } => {
                Some("is it the right file, and the right `--compression`?")
            }
            ImageError::LeftOver { .. } => {
                Some("a server that is left bills: `dockbridge sweep` lists and removes it")
            }
            _ => None,
        }
    }
}

fn none_of(types: &[String]) -> String {
    if types.is_empty() {
        "no server type".to_owned()
    } else {
        format!("none of {}", types.join(", "))
    }
}

fn with_disk(gb: u64) -> String {
    if gb == 0 { String::new() } else { format!(" with a disk of {gb} GB or more") }
}

/// Names what was asked of the cloud.
pub(crate) fn cloud(what: &'static str) -> impl FnOnce(hetzner::Error) -> ImageError {
    move |source| ImageError::Cloud { what, source: Box::new(source) }
}
