//! Options of a local cloud.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

/// How to set up a local cloud. [`Options::new`] has a default for everything but the state
/// directory.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the API listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Directory for all files; created if missing. One local cloud per directory.
    pub state: PathBuf,
    /// The kind of machines.
    pub machines: Machines,
    /// The container engine of new servers.
    pub engine: ContainerEngine,
    /// Who may call. If none of them can write, a read-write token is created and kept in the
    /// state directory.
    pub tokens: Vec<Token>,
    /// How long actions take.
    pub pace: Pace,
    /// Seed of [`Pace::Real`]'s durations: the same seed repeats the same durations for the same
    /// order of actions. Without one they differ in each run; the log contains the seed.
    pub pace_seed: Option<u64>,
    /// Which server types are shown as available.
    pub stock: Stock,
    /// What a project may have and request.
    pub limits: Limits,
    /// Answers also have the properties that the API removed in 2026: `datacenter` of servers and
    /// primary IPs, `deprecated` of server types and images. Orders may name a `datacenter`. Older
    /// clients cannot decode answers without them.
    pub removed_properties: bool,
    /// What starts sshd on the machines.
    pub sshd: Sshd,
    /// Machines of arm types run arm64 programs by emulation, and say that they are arm64.
    /// Otherwise they have the architecture of this host.
    pub emulate_arm64: bool,
}

impl Options {
    /// Only the API, on a free port of the loopback, with its state in `state`.
    pub fn new(state: impl Into<PathBuf>) -> Options {
        Options {
            listen: ([127, 0, 0, 1], 0).into(),
            state: state.into(),
            machines: Machines::None,
            engine: ContainerEngine::default(),
            tokens: Vec::new(),
            pace: Pace::default(),
            pace_seed: None,
            stock: Stock::default(),
            limits: Limits::default(),
            removed_properties: false,
            sshd: Sshd::default(),
            emulate_arm64: false,
        }
    }
}

/// What is behind the servers of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machines {
    /// Nothing: only the API.
    None,
    /// Real Debian machines in systemd-nspawn. Needs root.
    Nspawn,
}

/// The container engine of new servers, whatever their app image is called. All but the first are
/// derived from the first one's system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerEngine {
    /// Docker 26.1 of Debian 13.
    #[default]
    #[serde(rename = "26")]
    Docker26,
    /// Docker 28.5 of Debian unstable.
    #[serde(rename = "28")]
    Docker28,
    /// Podman of Debian 13, run by root, with its socket at `/run/podman/podman.sock`. Docker is
    /// masked.
    Podman,
    /// Docker 26.1 for the user `u` to run without root; it is not set up for that user. The
    /// system's docker is masked.
    Rootless,
}

/// What starts sshd on machines created from the base system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sshd {
    /// `ssh.socket`, at the first connection, as on Ubuntu since 22.10.
    #[default]
    Socket,
    /// `ssh.service`, at boot, as on Debian.
    Service,
}

/// How long actions take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pace {
    /// As long as the work takes, and long enough to be seen running.
    #[default]
    Fast,
    /// At least as long as a random duration from the spread measured at Hetzner.
    Real,
}

/// Which server types the catalogue shows as available. It has no effect on orders: as at Hetzner,
/// a type shown as unavailable can still be ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stock {
    /// Every type wherever it is sold.
    Full,
    /// As captured on 2026-09-29: no CX and no CAX in Europe.
    #[default]
    Captured,
}

/// Limits of each project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests per hour, which is also the size of a full bucket.
    pub requests_per_hour: u32,
    /// Servers at a time; `None` for no limit.
    pub servers: Option<u32>,
}

impl Default for Limits {
    /// Those of a new project at Hetzner, without its limit of servers.
    fn default() -> Limits {
        Limits { requests_per_hour: 3600, servers: None }
    }
}

/// A bearer token and what it grants.
#[derive(Clone)]
pub struct Token {
    /// The token itself.
    pub secret: String,
    /// The project whose resources it reaches; projects are isolated from each other.
    pub project: String,
    /// What it may do there.
    pub access: Access,
}

impl Token {
    /// A token for `project`.
    pub fn new(secret: impl Into<String>, project: impl Into<String>, access: Access) -> Token {
        Token { secret: secret.into(), project: project.into(), access }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("project", &self.project)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Only GET requests.
    ReadOnly,
    /// Everything.
    ReadWrite,
}
