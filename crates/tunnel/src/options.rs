//! Options of a tunnel: its endpoint, the trusted host keys, the login.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use crate::agents::Agents;
use crate::fingerprint::Fingerprint;

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

/// How the host's identity is checked. A key that is not known beforehand is refused, with one
/// exception.
#[derive(Debug, Clone)]
pub enum HostKeys {
    /// Trusts the first presented key, and from then on no other. Only for a host whose key cannot
    /// be known, such as a cloud's rescue system, which generates one at boot: a man in the middle
    /// at that moment is trusted. Not for a host that receives a secret.
    FirstSeen(Pins),
    /// One of these keys.
    Pinned(Pins),
    /// A key that this file in OpenSSH's `known_hosts` format lists for the host and port.
    KnownHosts(PathBuf),
    /// A key that one of several `known_hosts` files lists, as `ssh_config` names them. All files
    /// count alike.
    KnownHostsOf {
        /// The host's name in the files, without a port (`HostKeyAlias`); `None` for the endpoint's
        /// host and port.
        alias: Option<String>,
        /// The files. A missing file counts as empty.
        files: Vec<PathBuf>,
    },
}

/// The transport to the SSH server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Transport {
    /// A TCP connection.
    #[default]
    Tcp,
    /// A command whose standard input and output are connected to the server, like `ProxyCommand`
    /// and `ProxyJump` of `ssh_config`. The first word is the program.
    Command(Vec<String>),
}

/// A host's keys. Clones share them, so that a tunnel whose host changes its key can make further
/// connections.
#[derive(Debug, Clone, Default)]
pub struct Pins(Arc<RwLock<Vec<Fingerprint>>>);

impl Pins {
    pub(crate) fn get(&self) -> Vec<Fingerprint> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the host has this key. The first key becomes the host's.
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

    pub(crate) fn replace_with(&self, key: Fingerprint) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = vec![key];
    }
}

impl From<Vec<Fingerprint>> for Pins {
    fn from(keys: Vec<Fingerprint>) -> Self {
        Self(Arc::new(RwLock::new(keys)))
    }
}

/// The login key. Public-key login only; RSA keys are not supported.
#[derive(Clone)]
pub enum Identity {
    /// A key in memory.
    Key(Arc<russh::keys::PrivateKey>),
    /// An unencrypted private key file, in OpenSSH's format or PKCS#8.
    File(PathBuf),
    /// The keys that OpenSSH would offer: those of an agent and of several files, some of which may
    /// be missing.
    Offered {
        /// Private keys, in order. The public half may be beside one as `.pub`.
        files: Vec<PathBuf>,
        /// The agent's socket.
        agent: Option<PathBuf>,
        /// Use only those of the agent's keys that belong to one of the files (`IdentitiesOnly`).
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

/// How to upload the agent to the machine.
#[derive(Debug, Clone)]
pub struct AgentPlan {
    /// Where its binaries are.
    pub binaries: Agents,
    /// The directory on the machine that keeps the agent. `~/` at its start is the login's home.
    pub directory: String,
    /// A directory on the machine that may contain the agent already, because its image was built
    /// with it; see [`crate::installed_agent`].
    pub installed: Option<String>,
    /// Also start the resident agent: dockbridge created the machine.
    pub resident: bool,
}

/// The options of a [`crate::Tunnel`].
#[derive(Debug, Clone)]
pub struct Options {
    /// The machine.
    pub endpoint: Endpoint,
    /// The trusted host keys.
    pub host_keys: HostKeys,
    /// The login key.
    pub identity: Identity,
    /// The transport to the SSH server.
    pub transport: Transport,
    /// How to upload the agent; `None` uses plain SSH channels only.
    pub agent: Option<AgentPlan>,
    /// The Docker socket's path on the machine, usually [`Options::DOCKER_SOCKET`].
    pub docker_socket: String,
}

impl Options {
    /// dockerd's default socket.
    pub const DOCKER_SOCKET: &str = "/var/run/docker.sock";
}
