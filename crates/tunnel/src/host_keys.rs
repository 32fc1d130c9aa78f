//! Which host keys are trusted, and the reasons for a refusal.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::PublicKey;
use thiserror::Error;

use crate::fingerprint::Fingerprint;
use crate::known_hosts::{CHECKED, KnownKeys, NotKnown};
use crate::options::{Endpoint, HostKeys, Pins};

/// What a host key is checked against.
pub(crate) enum Trust {
    Pinned(Vec<Fingerprint>),
    FirstSeen(Pins),
    Known { keys: KnownKeys, file: String },
    Unreadable(HostKeyRefusal),
}

/// Why a host key is refused.
#[derive(Debug, Clone, Error)]
pub(crate) enum HostKeyRefusal {
    #[error("it is not the key that this machine was given")]
    NotPinned,
    #[error("it is not the key that this host presented first")]
    NotFirst,
    #[error("{reason} in {file}")]
    NotKnown { reason: NotKnown, file: String },
    #[error("{} cannot be read", path.display())]
    Unreadable { path: PathBuf, source: Arc<io::Error> },
}

impl Trust {
    pub(crate) async fn load(host_keys: &HostKeys, endpoint: &Endpoint) -> Self {
        match host_keys {
            HostKeys::Pinned(pins) => Trust::Pinned(pins.get()),
            HostKeys::FirstSeen(pins) => Trust::FirstSeen(pins.clone()),
            HostKeys::KnownHosts(path) => {
                match tokio::fs::read(path).await.or_else(empty_if_missing) {
                    Ok(bytes) => {
                        let keys = KnownKeys::of(
                            &endpoint.host,
                            endpoint.port,
                            &String::from_utf8_lossy(&bytes),
                        );
                        Trust::Known { keys, file: path.display().to_string() }
                    }
                    Err(error) => Trust::Unreadable(unreadable(path, error)),
                }
            }
            HostKeys::KnownHostsOf { alias, files } => {
                let mut keys = KnownKeys::default();
                for path in files {
                    match tokio::fs::read(path).await.or_else(empty_if_missing) {
                        Ok(bytes) => {
                            let text = String::from_utf8_lossy(&bytes);
                            keys = keys.and(match alias {
                                Some(name) => KnownKeys::named(name, &text),
                                None => KnownKeys::of(&endpoint.host, endpoint.port, &text),
                            });
                        }
                        Err(error) => {
                            return Trust::Unreadable(unreadable(path, error));
                        }
                    }
                }
                let names: Vec<String> =
                    files.iter().map(|path| path.display().to_string()).collect();
                Trust::Known { keys, file: names.join(", ") }
            }
        }
    }

    /// Why no key of the host could be checked, if so. In that case nothing is sent.
    pub(crate) fn cannot_check(&self, endpoint: &Endpoint) -> Option<String> {
        let Trust::Known { keys, file } = self else { return None };
        let kinds = keys.only_unchecked()?;
        Some(format!(
            "{file} has only its {kinds} key, and dockbridge checks Ed25519 and ECDSA keys. Log in \
             once with `{}`, compare the fingerprint and confirm it: that adds the missing line",
            with_checked_kinds(endpoint)
        ))
    }

    pub(crate) fn judge(&self, presented: &PublicKey) -> Result<(), HostKeyRefusal> {
        match self {
            Trust::Pinned(pinned) if pinned.contains(&Fingerprint::of(presented)) => Ok(()),
            Trust::Pinned(_) => Err(HostKeyRefusal::NotPinned),
            Trust::FirstSeen(pins) if pins.is_or_becomes(Fingerprint::of(presented)) => Ok(()),
            Trust::FirstSeen(_) => Err(HostKeyRefusal::NotFirst),
            Trust::Known { keys, file } => keys
                .judge(presented)
                .map_err(|reason| HostKeyRefusal::NotKnown { reason, file: file.clone() }),
            Trust::Unreadable(refusal) => Err(refusal.clone()),
        }
    }
}

fn unreadable(path: &Path, error: io::Error) -> HostKeyRefusal {
    HostKeyRefusal::Unreadable { path: path.to_owned(), source: Arc::new(error) }
}

/// A missing file knows no host: ssh creates it with the first login.
fn empty_if_missing(error: io::Error) -> io::Result<Vec<u8>> {
    if error.kind() == io::ErrorKind::NotFound { Ok(Vec::new()) } else { Err(error) }
}

/// The host has no key of the requested kinds.
pub(crate) fn not_offered(endpoint: &Endpoint, asked: &[String], offered: &[String]) -> String {
    let is_checked =
        |kind: &&String| CHECKED.iter().any(|checked| checked.as_str() == kind.as_str());
    match offered.iter().find(is_checked) {
        Some(_) => format!(
            "only its {} key is known, and it offers {}. Log in once with `{}`, compare the \
             fingerprint and confirm it: that adds the missing line",
            asked.join(", "),
            offered.join(", "),
            with_checked_kinds(endpoint)
        ),
        None => format!(
            "it offers only {}, and dockbridge checks Ed25519 and ECDSA keys. `ssh-keygen -A` on \
             the host makes one, and sshd offers it after a restart",
            offered.join(", ")
        ),
    }
}

fn with_checked_kinds(endpoint: &Endpoint) -> String {
    let port = if endpoint.port == 22 { String::new() } else { format!("-p {} ", endpoint.port) };
    let Endpoint { user, host, .. } = endpoint;
    format!("ssh -o HostKeyAlgorithms=ssh-ed25519,ecdsa-sha2-nistp256 {port}{user}@{host}")
}
