//! What a local cloud is started with.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

/// How a local cloud is set up. [`Options::new`] has a value for everything but the state
/// directory.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the API listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The folder that everything lives in; made when missing. One local cloud per folder.
    pub state: PathBuf,
    /// What the servers are.
    pub machines: Machines,
    /// What runs containers on new servers.
    pub engine: ContainerEngine,
    /// Who may call. A read-write token is made and kept in the state folder when none is among
    /// them.
    pub tokens: Vec<Token>,
    /// How long actions take.
    pub pace: Pace,
    /// What [`Pace::Real`] draws durations from: the same seed draws the same durations for the
    /// same order of actions. Without one they differ in each run; the log has the seed.
    pub pace_seed: Option<u64>,
    /// Which server types are shown as available.
    pub stock: Stock,
    /// What a project may have and ask for.
    pub limits: Limits,
    /// Answers have the properties that were removed from the API in 2026, too: `datacenter` of
    /// servers and primary IPs, `deprecated` of server types and images. Orders may name a
    /// `datacenter`. Clients from before do not decode answers without them.
    pub removed_properties: bool,
    /// What starts sshd on the machines.
    pub sshd: Sshd,
}

impl Options {
    /// The API alone on a free port of the loopback, with its state in `state`.
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
        }
    }
}

/// What stands behind the servers of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machines {
    /// Nothing: only the API.
    None,
    /// Real Debian machines in systemd-nspawn. Needs root.
    Nspawn,
}

/// What runs containers on new servers, whatever their app image is called. All but the first are
/// derived from the first one's system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerEngine {
    /// Docker 26.1, as Debian 13 has it.
    #[default]
    #[serde(rename = "26")]
    Docker26,
    /// Docker 28.5, as Debian unstable has it.
    #[serde(rename = "28")]
    Docker28,
    /// Podman of Debian 13, run by root, with its socket at `/run/podman/podman.sock`. Docker is
    /// masked.
    Podman,
    /// Docker 26.1 as the user `u` may run it without root; it is not set up for that user. Docker
    /// of the system is masked.
    Rootless,
}

/// What starts sshd on the machines that are made from the base system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sshd {
    /// `ssh.socket`, at the first connection, as on Ubuntu from 22.10 on.
    #[default]
    Socket,
    /// `ssh.service`, at boot, as on Debian.
    Service,
}

/// How long actions take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pace {
    /// As long as the real work, and long enough to be seen running.
    #[default]
    Fast,
    /// At least as long as a duration that is drawn from what was measured at Hetzner.
    Real,
}

/// Which server types the catalogue shows as available. It decides nothing: a type that is shown as
/// unavailable can be ordered all the same, as was seen at Hetzner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stock {
    /// Every type wherever it is sold.
    Full,
    /// As captured on 2026-09-29: no CX and no CAX in Europe.
    #[default]
    Captured,
}

/// What each project may have and ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests per hour, which is also how many a full bucket holds.
    pub requests_per_hour: u32,
    /// Servers at a time; `None` is without a limit.
    pub servers: Option<u32>,
}

impl Default for Limits {
    /// Those of a new project at Hetzner, without its limit of servers.
    fn default() -> Limits {
        Limits { requests_per_hour: 3600, servers: None }
    }
}

/// A bearer token and what it opens.
#[derive(Clone)]
pub struct Token {
    /// What the caller shows.
    pub secret: String,
    /// The project whose resources it reaches; projects see nothing of each other.
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
    /// Only look.
    ReadOnly,
    /// Everything.
    ReadWrite,
}
