//! The way into the server of a build: wait until it answers, log in with the key of this build. A
//! rescue system's host key cannot be known: the one that it shows first is trusted. That of a
//! server which we prepare is ours.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hetzner::{Architecture, Client, Server, ServerStatus};
use russh::keys::PrivateKey;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tunnel::{ConnectError, Endpoint, HostKeys, Identity, Options, Route, Tunnel};

use crate::error::{ImageError, cloud};

const SSH_PORT: u16 = 22;
/// A SYN that is lost while a server boots is sent again after a second at the earliest; we are
/// faster.
const PROBE: Duration = Duration::from_secs(1);
const BETWEEN_PROBES: Duration = Duration::from_millis(200);
/// Between two looks whether the server is there at all.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What is entered.
#[derive(Debug, Clone)]
pub(crate) struct Door<'a> {
    /// Such as `the rescue system`.
    pub(crate) what: &'static str,
    /// With [`HostKeys::FirstSeen`] the host key that was seen first is the only one that is
    /// accepted within one build.
    pub(crate) host_keys: HostKeys,
    pub(crate) key: &'a Arc<PrivateKey>,
    pub(crate) limit: Duration,
}

/// Logs in, as soon as that is possible.
pub(crate) async fn connect(
    client: &Client,
    server: &Server,
    door: &Door<'_>,
) -> Result<Tunnel, ImageError> {
    let Door { what, host_keys, key, limit } = door.clone();
    let is_known = matches!(host_keys, HostKeys::Pinned(_));
    let Some(address) = server.public_net.ipv4.as_ref().map(|address| IpAddr::V4(address.ip))
    else {
        return Err(ImageError::ServerGone {
            what: format!("server {} has no IPv4 address", server.id),
        });
    };
    let options = Options {
        endpoint: Endpoint { host: address.to_string(), port: SSH_PORT, user: "root".to_owned() },
        host_keys,
        identity: Identity::Key(key.clone()),
        route: Route::Direct,
        agent: None,
        docker_socket: Options::DOCKER_SOCKET.to_owned(),
    };
    let (begun, mut looked, mut timed_out, mut last) = (Instant::now(), None::<Instant>, 0, None);
    while begun.elapsed() < limit {
        if looked.is_none_or(|looked| looked.elapsed() > LOOK_AGAIN) {
            looked = Some(Instant::now());
            is_there(client, server.id).await?;
        }
        if let Ok(Ok(_)) =
            timeout(PROBE, TcpStream::connect(SocketAddr::new(address, SSH_PORT))).await
        {
            let patience = machine::login_timeout(timed_out).min(limit);
            match Tunnel::connect_within(options.clone(), patience).await {
                Ok(tunnel) => return Ok(tunnel),
                Err(error @ ConnectError::HostKeyRefused { .. }) if !is_known => {
                    return Err(ImageError::Connect { what, source: Box::new(error) });
                }
                // sshd listens before all is in place, perhaps with a key of the image's.
                Err(error) => {
                    tracing::debug!(%error, "not yet");
                    timed_out += u32::from(matches!(error, ConnectError::TimedOut { .. }));
                    last = Some(Box::new(error));
                }
            }
        }
        sleep(BETWEEN_PROBES).await;
    }
    is_there(client, server.id).await?;
    Err(ImageError::Silent { what, after: limit, source: last })
}

/// A server that was deleted or powered off will never answer.
async fn is_there(client: &Client, id: u64) -> Result<(), ImageError> {
    match client.servers().get(id).await {
        Ok(None) => {
            Err(ImageError::ServerGone { what: format!("server {id} does not exist any more") })
        }
        Ok(Some(server))
            if matches!(
                server.status,
                ServerStatus::Off | ServerStatus::Deleting | ServerStatus::Stopping
            ) =>
        {
            Err(ImageError::ServerGone { what: format!("server {id} is {}", server.status) })
        }
        Ok(Some(_)) => Ok(()),
        Err(error) if error.is_unauthorized() => Err(cloud("look at the server")(error)),
        Err(error) => {
            // The server may answer although the API does not.
            tracing::debug!(%error, "the server cannot be looked at");
            Ok(())
        }
    }
}

/// The agent for this kind of machine: it writes disks, and it is part of our own image.
pub(crate) async fn agent(
    folder: &Path,
    architecture: &Architecture,
) -> Result<Vec<u8>, ImageError> {
    // As `uname -m` says it, and e_machine of the ELF specification.
    let (machine, elf) = match architecture {
        Architecture::Arm => ("aarch64", [183, 0]),
        _ => ("x86_64", [62, 0]),
    };
    for name in [format!("dockbridge-agent-{machine}"), "dockbridge-agent".to_owned()] {
        if let Ok(bytes) = tokio::fs::read(folder.join(name)).await
            && bytes.starts_with(b"\x7fELF\x02\x01")
            && bytes.get(18..20) == Some(&elf)
        {
            return Ok(bytes);
        }
    }
    Err(ImageError::NoAgent { folder: folder.to_owned(), machine })
}
