//! Where a tunnel leads, whom it trusts and who it is.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use crate::Fingerprint;

/// An SSH server and the user to log in as.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Host name or address.
    pub host: String,
    /// Port of sshd.
    pub port: u16,
    /// Login name.
    pub user: String,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "{}@[{}]:{}", self.user, self.host, self.port)
        } else {
            write!(f, "{}@{}:{}", self.user, self.host, self.port)
        }
    }
}

/// How the host proves who it is. A key that is not known beforehand is refused, with one
/// exception.
#[derive(Debug, Clone)]
pub enum HostKeys {
    /// The first key that it presents, and from then on no other. Only for a host whose key nobody
    /// can know, such as a cloud's rescue system, which makes one as it boots: who stands in
    /// between at that moment is believed. Not for anything that is told a secret.
    FirstSeen(Pins),
    /// One of these keys.
    Pinned(Pins),
    /// A key that this file in OpenSSH's `known_hosts` form has for the host and port.
    KnownHosts(PathBuf),
    /// The same with several files, as `ssh_config` names them. The last line that fits counts as
    /// much as the first.
    KnownHostsOf {
        /// Name by which the files know the host, without a port (`HostKeyAlias`); `None` for host
        /// and port of the endpoint.
        alias: Option<String>,
        /// The files. One that is missing is empty.
        files: Vec<PathBuf>,
    },
}

/// How packets get to the SSH server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Route {
    /// By TCP.
    #[default]
    Direct,
    /// By a command whose standard input and output are connected to the server, as `ProxyCommand`
    /// and `ProxyJump` of `ssh_config` have it. The first word is the program.
    Command(Vec<String>),
}

/// Keys of a host. Clones share them, so that a tunnel whose host changes its key goes on making
/// connections.
#[derive(Debug, Clone, Default)]
pub struct Pins(Arc<RwLock<Vec<Fingerprint>>>);

impl Pins {
    pub(crate) fn get(&self) -> Vec<Fingerprint> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first one to ask is given its key; whether this is it.
    pub(crate) fn is_or_becomes(&self, key: Fingerprint) -> bool {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if keys.is_empty() {
            keys.push(key);
        }
        keys.contains(&key)
    }

    pub(crate) fn add(&self, key: Fingerprint) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(key);
    }

    pub(crate) fn be_only(&self, key: Fingerprint) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = vec![key];
    }
}

impl From<Vec<Fingerprint>> for Pins {
    fn from(keys: Vec<Fingerprint>) -> Self {
        Self(Arc::new(RwLock::new(keys)))
    }
}

/// Who logs in. Public keys only; RSA keys are not supported.
#[derive(Clone)]
pub enum Identity {
    /// A key in memory.
    Key(Arc<russh::keys::PrivateKey>),
    /// An unencrypted private key file, in OpenSSH's form or PKCS#8.
    File(PathBuf),
    /// What OpenSSH would offer: the keys of an agent and several files, some of which may be
    /// missing.
    Offered {
        /// Private keys, in order. The public half may stand beside one as `.pub`.
        files: Vec<PathBuf>,
        /// Socket of an agent.
        agent: Option<PathBuf>,
        /// Of the agent's keys only those that belong to one of the files (`IdentitiesOnly`).
        only_files: bool,
    },
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Identity::Key(_) => f.write_str("Key(..)"),
            Identity::File(path) => f.debug_tuple("File").field(path).finish(),
            Identity::Offered { files, agent, .. } => {
                f.debug_struct("Offered").field("files", files).field("agent", agent).finish()
            }
        }
    }
}

/// How to bring the agent to the machine.
#[derive(Debug, Clone)]
pub struct AgentPlan {
    /// Folder that holds `dockbridge-agent-<arch>` (as `uname -m` says it), or `dockbridge-agent`.
    pub binaries: PathBuf,
    /// Folder on the machine that keeps it. `~/` at its front is the login's home.
    pub directory: String,
    /// Folder on the machine that may hold it already, because its image was made with it; see
    /// [`crate::installed_agent`].
    pub installed: Option<String>,
    /// The machine is ours: start the resident agent, too.
    pub resident: bool,
}

/// All that a [`crate::Tunnel`] needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// The machine.
    pub endpoint: Endpoint,
    /// Whom to trust.
    pub host_keys: HostKeys,
    /// Who we are.
    pub identity: Identity,
    /// How packets get there.
    pub route: Route,
    /// How to bring the agent; `None` uses plain SSH channels only.
    pub agent: Option<AgentPlan>,
    /// The Docker socket's path on the machine, usually [`Options::DOCKER_SOCKET`].
    pub docker_socket: String,
}

impl Options {
    /// Where dockerd listens unless told otherwise.
    pub const DOCKER_SOCKET: &str = "/var/run/docker.sock";
}
