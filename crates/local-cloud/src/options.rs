//! What a local cloud is started with.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// How a local cloud is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the API listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The folder that everything lives in; made when missing. One local cloud per folder.
    pub state: PathBuf,
    /// What the servers are.
    pub machines: Machines,
    /// Who may call. When empty, one read-write token is made and kept in the state folder.
    pub tokens: Vec<Token>,
    /// How long actions take.
    pub pace: Pace,
    /// What starts sshd on the machines.
    pub sshd: Sshd,
}

/// What stands behind the servers of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machines {
    /// Nothing: only the API.
    None,
    /// Real Debian machines in systemd-nspawn. Needs root.
    Nspawn,
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
    /// At least as long as was measured at Hetzner.
    Real,
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
        f.debug_struct("Token").field("project", &self.project).field("access", &self.access).finish_non_exhaustive()
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
