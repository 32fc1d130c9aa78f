//! Logs in to the server of a build: waits until it answers, logs in with the key of this build.
//! The host key of a rescue system cannot be known, so the first one that it shows is trusted. The
//! host key of a server that runs the machine image is known.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hetzner::{Architecture, Client, Server, ServerStatus};
use russh::keys::PrivateKey;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tunnel::{Agents, ConnectError, Endpoint, HostKeys, Identity, Options, Transport, Tunnel};

use crate::error::ImageError;
use crate::operation::Operation;

/// Human-readable name of the host, in errors and notes.
pub(crate) const RESCUE: &str = "the rescue system";
/// Human-readable name of the host, in errors and notes.
pub(crate) const SERVER: &str = "the server";

const SSH_PORT: u16 = 22;
/// TCP sends a lost SYN again after 1 s at the earliest; a new connection is faster.
const PROBE: Duration = Duration::from_secs(1);
const BETWEEN_PROBES: Duration = Duration::from_millis(200);
/// Between two requests whether the server still exists.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// A host to log in to.
#[derive(Debug, Clone)]
pub(crate) struct LoginTarget<'a> {
    /// [`RESCUE`] or [`SERVER`].
    pub(crate) what: &'static str,
    /// With [`HostKeys::FirstSeen`] the host key that was seen first is the only one that is
    /// accepted within one build.
    pub(crate) host_keys: HostKeys,
    pub(crate) key: &'a Arc<PrivateKey>,
    pub(crate) limit: Duration,
}

/// Logs in, as soon as the host admits this build.
pub(crate) async fn connect(
    client: &Client,
    server: &Server,
    target: &LoginTarget<'_>,
) -> Result<Tunnel, ImageError> {
    let LoginTarget { what, host_keys, key, limit } = target.clone();
    let is_known = matches!(host_keys, HostKeys::Pinned(_));
    let address = server.public_net.ipv4.as_ref().map(|address| IpAddr::V4(address.ip));
    let address = address.ok_or_else(|| ImageError::ServerGone {
        what: format!("server {} has no IPv4 address", server.id),
    })?;
    let options = Options {
        endpoint: Endpoint { host: address.to_string(), port: SSH_PORT, user: "root".to_owned() },
        host_keys,
        identity: Identity::Key(key.clone()),
        transport: Transport::Tcp,
        agent: None,
        docker_socket: Options::DOCKER_SOCKET.to_owned(),
    };
    let (begun, mut polled, mut timed_out, mut last) = (Instant::now(), None::<Instant>, 0, None);
    while begun.elapsed() < limit {
        if polled.is_none_or(|polled| polled.elapsed() > POLL_INTERVAL) {
            polled = Some(Instant::now());
            check_exists(client, server.id).await?;
        }
        let probe = TcpStream::connect(SocketAddr::new(address, SSH_PORT));
        if let Ok(Ok(_)) = timeout(PROBE, probe).await {
            let attempt_limit = machine::login_timeout(timed_out).min(limit);
            match Tunnel::connect_within(options.clone(), attempt_limit).await {
                Ok(tunnel) => return Ok(tunnel),
                Err(error @ ConnectError::HostKeyRefused { .. }) if !is_known => {
                    return Err(ImageError::Connect { what, source: Box::new(error) });
                }
                // sshd listens before all keys are in place, perhaps with a key of the image.
                Err(error) => {
                    tracing::debug!(%error, "the login failed");
                    timed_out += u32::from(matches!(error, ConnectError::TimedOut { .. }));
                    last = Some(Box::new(error));
                }
            }
        }
        sleep(BETWEEN_PROBES).await;
    }
    check_exists(client, server.id).await?;
    Err(ImageError::Silent { what, after: limit, source: last })
}

/// Fails for a server that was deleted or powered off: it will never answer.
async fn check_exists(client: &Client, id: u64) -> Result<(), ImageError> {
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
        Err(error) if error.is_unauthorized() => {
            Err(ImageError::cloud(Operation::ReadServer)(error))
        }
        Err(error) => {
            // The server may answer although the API does not.
            tracing::debug!(%error, "the cloud does not show the server");
            Ok(())
        }
    }
}

/// The agent for this architecture. It writes disks, and it is part of the machine image.
pub(crate) async fn agent(
    agents: &Agents,
    architecture: &Architecture,
) -> Result<Vec<u8>, ImageError> {
    // As `uname -m` prints it, and e_machine of the ELF specification.
    let (machine, elf) = match architecture {
        Architecture::Arm => ("aarch64", [183, 0]),
        _ => ("x86_64", [62, 0]),
    };
    let is_suitable =
        |bytes: &Vec<u8>| bytes.starts_with(b"\x7fELF\x02\x01") && bytes.get(18..20) == Some(&elf);
    let found = match agents {
        Agents::Directory(directory) => in_directory(directory, machine, is_suitable).await,
        Agents::Embedded(agents) => agents
            .iter()
            .filter(|agent| agent.arch == machine)
            .find_map(|agent| agent.unpack().ok().filter(is_suitable)),
    };
    found.ok_or_else(|| ImageError::NoAgent { agents: agents.clone(), machine })
}

async fn in_directory(
    directory: &Path,
    machine: &str,
    is_suitable: impl Fn(&Vec<u8>) -> bool,
) -> Option<Vec<u8>> {
    for name in [format!("dockbridge-agent-{machine}"), "dockbridge-agent".to_owned()] {
        let read = tokio::fs::read(directory.join(name)).await;
        if let Some(bytes) = read.ok().filter(&is_suitable) {
            return Some(bytes);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use tunnel::EmbeddedAgent;

    use super::*;

    #[tokio::test]
    async fn embedded_agent_is_found_by_its_architecture() {
        let embedded = |arch, elf: &[u8]| EmbeddedAgent {
            arch,
            compressed: zstd::encode_all(elf, 1).unwrap().leak(),
        };
        let x86 = b"\x7fELF\x02\x01............\x3e\x00 the agent";
        let agents = vec![embedded("x86_64", x86), embedded("aarch64", b"no ELF file")];
        let agents = Agents::Embedded(agents.leak());
        assert_eq!(agent(&agents, &Architecture::X86).await.unwrap(), x86);
        let error = agent(&agents, &Architecture::Arm).await.unwrap_err();
        let expected = "this build of dockbridge holds no dockbridge-agent for aarch64";
        assert_eq!(error.to_string(), expected);
    }
}
