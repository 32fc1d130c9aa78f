//! Login: with one key, or with the keys that OpenSSH would offer. Keys of an agent that belong to
//! the named files come first, then the files, then the agent's other keys.

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::client::{AuthResult, Handle, Handler};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Algorithm, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use tokio::net::UnixStream;

use crate::error::ConnectError;
use crate::fingerprint::Fingerprint;
use crate::options::{Endpoint, Identity};

/// sshd disconnects after six refused keys by default (`MaxAuthTries`).
const MAX_KEYS: usize = 5;

const RSA: &str = "is an RSA key, which dockbridge does not use: make another with `ssh-keygen -t \
                   ed25519` and copy it to the host with `ssh-copy-id`";

/// The keys of one login attempt.
pub(crate) enum Keys {
    One(Arc<PrivateKey>),
    Several(Offer),
}

/// Several keys, and a message for each that cannot be used.
pub(crate) struct Offer {
    agent: Option<AgentClient<UnixStream>>,
    keys: Vec<(String, Key)>,
    unusable: Vec<String>,
}

enum Key {
    Agent(PublicKey),
    File(Arc<PrivateKey>),
}

impl Keys {
    pub(crate) async fn load(
        identity: &Identity,
        endpoint: &Endpoint,
    ) -> Result<Self, ConnectError> {
        match identity {
            Identity::Key(key) => Ok(Keys::One(key.clone())),
            Identity::File(path) => Ok(Keys::One(
                read(path)
                    .await
                    .map_err(|source| ConnectError::Identity { path: path.clone(), source })?,
            )),
            Identity::Offered { files, agent, only_files } => {
                let offer = Offer::collect(files, agent.as_deref(), *only_files).await;
                if offer.keys.is_empty() {
                    let mut tried = offer.unusable;
                    if tried.is_empty() {
                        let hint = "there is none: `ssh-keygen -t ed25519` makes one, \
                                    `ssh-copy-id` copies it to the host";
                        tried.push(hint.to_owned());
                    }
                    return Err(ConnectError::NoKeyAccepted { endpoint: endpoint.clone(), tried });
                }
                Ok(Keys::Several(offer))
            }
        }
    }
}

impl Offer {
    async fn collect(files: &[PathBuf], socket: Option<&Path>, only_files: bool) -> Self {
        let (mut keys, mut unusable) = (Vec::new(), Vec::new());
        let mut agent = None;
        let mut held: Vec<PublicKey> = Vec::new();
        if let Some(socket) = socket {
            match agent_at(socket).await {
                Ok((client, public)) => (agent, held) = (Some(client), public),
                Err(error) => unusable
                    .push(format!("the agent at {} does not answer: {error}", socket.display())),
            }
        }
        for path in files {
            let public = public_half(path).await;
            if let Some(public) = public.as_ref().filter(|public| is_rsa(public)) {
                unusable.push(format!("{} ({}) {RSA}", path.display(), public.algorithm()));
                continue;
            }
            if let Some(at) = public
                .and_then(|public| held.iter().position(|key| key.key_data() == public.key_data()))
            {
                let name = format!("{} of the agent", path.display());
                keys.push((name, Key::Agent(held.remove(at))));
                continue;
            }
            match read(path).await {
                Ok(key) => keys.push((path.display().to_string(), Key::File(key))),
                Err(error) if is_missing(&*error) => {}
                Err(error) => unusable.push(format!("{} {error}", path.display())),
            }
        }
        for key in held.into_iter().filter(|_| !only_files) {
            match is_rsa(&key) {
                true => unusable.push(format!("the agent's key {} {RSA}", Fingerprint::of(&key))),
                false => keys
                    .push((format!("the agent's key {}", Fingerprint::of(&key)), Key::Agent(key))),
            }
        }
        keys.truncate(MAX_KEYS);
        Self { agent, keys, unusable }
    }
}

/// Offers one key after the other until one is accepted.
pub(crate) async fn log_in<H: Handler>(
    handle: &mut Handle<H>,
    endpoint: &Endpoint,
    keys: Keys,
) -> Result<(), ConnectError> {
    let failed = |source: Box<dyn StdError + Send + Sync>| ConnectError::Protocol {
        endpoint: endpoint.clone(),
        doing: "logging in",
        source,
    };
    let mut offer = match keys {
        Keys::One(key) => {
            let fingerprint = Fingerprint::of(key.public_key());
            let proof = PrivateKeyWithHashAlg::new(key, None);
            return match handle
                .authenticate_publickey(endpoint.user.as_str(), proof)
                .await
                .map_err(|error| failed(Box::new(error)))?
            {
                AuthResult::Success => Ok(()),
                AuthResult::Failure { .. } => {
                    let endpoint = endpoint.clone();
                    Err(ConnectError::LoginRefused { endpoint, key: fingerprint })
                }
            };
        }
        Keys::Several(offer) => offer,
    };
    let mut tried = Vec::new();
    for (name, key) in offer.keys {
        let user = endpoint.user.as_str();
        let result = match key {
            Key::File(key) => {
                let proof = PrivateKeyWithHashAlg::new(key, None);
                handle
                    .authenticate_publickey(user, proof)
                    .await
                    .map_err(|error| failed(Box::new(error)))?
            }
            Key::Agent(key) => {
                let Some(agent) = &mut offer.agent else { continue };
                match handle.authenticate_publickey_with(user, key, None, agent).await {
                    Ok(result) => result,
                    Err(error) => {
                        tried.push(format!("{name} cannot sign ({error})"));
                        continue;
                    }
                }
            }
        };
        match result {
            AuthResult::Success => return Ok(()),
            AuthResult::Failure { .. } => tried.push(format!("{name} is not accepted")),
        }
    }
    tried.extend(offer.unusable);
    Err(ConnectError::NoKeyAccepted { endpoint: endpoint.clone(), tried })
}

async fn agent_at(
    socket: &Path,
) -> Result<(AgentClient<UnixStream>, Vec<PublicKey>), russh::keys::Error> {
    let mut client = AgentClient::connect_uds(socket).await?;
    let held = client.request_identities().await?;
    let plain = held.into_iter().filter_map(|identity| match identity {
        AgentIdentity::PublicKey { key, .. } => Some(key),
        AgentIdentity::Certificate { .. } => None,
    });
    Ok((client, plain.collect()))
}

/// The public half of `id_x` is `id_x.pub`. `IdentityFile` may also name the public half itself,
/// for a key that only the agent has.
async fn public_half(path: &Path) -> Option<PublicKey> {
    let beside = PathBuf::from(format!("{}.pub", path.display()));
    for path in [path, &beside] {
        let text = tokio::fs::read_to_string(path).await.unwrap_or_default();
        if let Ok(key) = PublicKey::from_openssh(text.trim()) {
            return Some(key);
        }
    }
    None
}

fn is_rsa(key: &PublicKey) -> bool {
    matches!(key.algorithm(), Algorithm::Rsa { .. } | Algorithm::Dsa)
}

fn is_missing(error: &(dyn StdError + Send + Sync + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}

async fn read(path: &Path) -> Result<Arc<PrivateKey>, Box<dyn StdError + Send + Sync>> {
    let text = tokio::fs::read_to_string(path).await?;
    let key = match russh::keys::decode_secret_key(&text, None) {
        Ok(key) => key,
        Err(russh::keys::Error::KeyIsEncrypted) => {
            let message = "is locked by a passphrase: `ssh-add` adds it to an agent";
            return Err(io::Error::new(io::ErrorKind::Unsupported, message).into());
        }
        Err(_) if text.contains("BEGIN RSA PRIVATE KEY") => {
            return Err(io::Error::new(io::ErrorKind::Unsupported, RSA).into());
        }
        Err(error) => return Err(error.into()),
    };
    if matches!(key.algorithm(), Algorithm::Rsa { .. } | Algorithm::Dsa) {
        return Err(io::Error::new(io::ErrorKind::Unsupported, RSA).into());
    }
    Ok(Arc::new(key))
}
