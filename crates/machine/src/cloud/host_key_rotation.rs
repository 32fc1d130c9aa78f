//! Replaces the first host key of a machine. That key came with the user-data, which any process on
//! the machine could read; the new one never leaves the machine. sshd may present either of them
//! during the change, and both are accepted, so the change may be cut off anywhere.

use tunnel::Fingerprint;

use super::project::Cloud;
use crate::bootstrap::{HOST_KEY_SCRIPT, RUN_DIRECTORY};
use crate::error::MachineError;
use crate::host_key::parse_public;
use crate::identity::{HOST_KEY, NEXT_HOST_KEY, SETTLED};
use crate::operation::{AgentTask, Operation};
use crate::provider::Ready;

impl Cloud {
    pub(super) async fn replace_host_key(&self, ready: &Ready) -> Result<(), MachineError> {
        let Some(id) = ready.summary.id else { return Ok(()) };
        let servers = self.client.servers();
        let read = servers.get(id).await.map_err(MachineError::cloud(Operation::ReadServer))?;
        let Some(server) = read else { return Ok(()) };
        let name = &server.name;
        let printed = host_key_script(ready, name, "prepare", AgentTask::MakeHostKey).await?;
        let next = parse_public(&printed).map_err(|error| MachineError::Agent {
            name: name.clone(),
            task: AgentTask::MakeHostKey,
            message: error.to_string(),
        })?;
        let fingerprint = Fingerprint::of(&next);
        let next = fingerprint.to_label();
        let mut labels = server.labels;
        if labels.get(HOST_KEY) == Some(&next) && !labels.contains_key(NEXT_HOST_KEY) {
            ready.tunnel.trust_only(fingerprint);
            return Ok(());
        }
        let failed = || MachineError::cloud(Operation::LabelServer);
        labels.insert(NEXT_HOST_KEY.to_owned(), next.clone());
        servers.update(id, None, Some(&labels)).await.map_err(failed())?;
        // Large transfers open connections of their own, now and later.
        ready.tunnel.trust_also(fingerprint);
        host_key_script(ready, name, "commit", AgentTask::ReplaceHostKey).await?;
        ready.tunnel.trust_only(fingerprint);
        labels.remove(NEXT_HOST_KEY);
        labels.insert(HOST_KEY.to_owned(), next);
        labels.insert(SETTLED.to_owned(), "yes".to_owned());
        servers.update(id, None, Some(&labels)).await.map_err(failed())?;
        Ok(())
    }
}

/// Runs `host-key.sh` on the machine and returns its output.
async fn host_key_script(
    ready: &Ready,
    name: &str,
    verb: &str,
    task: AgentTask,
) -> Result<String, MachineError> {
    let command = format!("mkdir -p {RUN_DIRECTORY} && {HOST_KEY_SCRIPT} {verb}");
    let message = match ready.tunnel.exec(&command, b"").await {
        Ok(output) if output.status == Some(0) => {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    Err(MachineError::Agent { name: name.to_owned(), task, message })
}
