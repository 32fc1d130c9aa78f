//! What the system's `ssh` needs to log in to a machine, also while its host key is being replaced.

use std::time::Duration;

use tokio::time::sleep;
use tunnel::ConnectError;

use super::diagnosis::refused;
use super::project::Cloud;
use crate::bootstrap::{HOST_KEY_SCRIPT, RUN_DIRECTORY};
use crate::error::MachineError;
use crate::host_key::parse_public;

/// The host key can change at most once between two observations.
const MOST_OBSERVATIONS: u32 = 3;
const RESTART_OF_SSHD: Duration = Duration::from_millis(500);

/// What the system's `ssh` needs to log in to a machine.
#[derive(Debug, Clone)]
pub struct Access {
    /// The machine's address.
    pub address: std::net::IpAddr,
    /// Host keys that it may present, in OpenSSH's public form, read over a connection that was
    /// checked against the pinned fingerprints: the current key, and the next one while it is being
    /// replaced.
    pub host_keys: Vec<String>,
}

impl Cloud {
    /// How to log in to the machine; `None` if no machine exists.
    pub async fn access(&self) -> Result<Option<Access>, MachineError> {
        let mut attempts = 0;
        let (observed, tunnel, address) = loop {
            let observed = self.observe().await?;
            let Some((server, address)) =
                observed.servers.first().and_then(|server| Some((server, server.address?)))
            else {
                return Ok(None);
            };
            attempts += 1;
            match self.plain_login(server, address).await {
                Ok(tunnel) => break (observed, tunnel, address),
                // The host key was replaced between the observation and the login.
                Err(MachineError::HostKey { .. }) if attempts < MOST_OBSERVATIONS => {}
                // sshd is started again at the end of a boot, while docker answers already.
                Err(MachineError::Connect { source, .. })
                    if attempts < MOST_OBSERVATIONS
                        && matches!(*source, ConnectError::Protocol { .. }) =>
                {
                    sleep(RESTART_OF_SSHD).await;
                }
                Err(error) => return Err(error),
            }
        };
        // First the key that sshd presents: it may be replaced before the last command, which
        // prints the next key or the one that has replaced it. The key file may contain the new key
        // while sshd still presents the old one. `echo`, because the file of the first key, as
        // cloud-init writes it, ends without a newline.
        let keys = format!(
            "{{ ssh-keyscan -T 5 -t ed25519 127.0.0.1 2>/dev/null | cut -d ' ' -f 2-; \
            cat /etc/ssh/ssh_host_ed25519_key.pub; echo; mkdir -p {RUN_DIRECTORY}; \
            {HOST_KEY_SCRIPT} prepare; }} || true"
        );
        let output = tunnel.exec(&keys, b"").await;
        tunnel.close().await;
        let text = match (output, observed.servers.first()) {
            (Ok(output), _) => String::from_utf8_lossy(&output.stdout).into_owned(),
            (Err(error), Some(server)) => return Err(refused(server, error)),
            (Err(_), None) => return Ok(None),
        };
        let mut host_keys: Vec<String> = Vec::new();
        for line in text.lines() {
            // Without the comment.
            let key = line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
            if parse_public(&key).is_ok() && !host_keys.contains(&key) {
                host_keys.push(key);
            }
        }
        Ok(Some(Access { address, host_keys }))
    }
}
