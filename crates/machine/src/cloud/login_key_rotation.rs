//! Replaces this computer's login key on the machines of its owner, in all profiles. The new key is
//! admitted beside the old one, tried, and only then the old one is removed. Each part may be cut
//! off and repeated: until the last one both keys log in. It does not know where keys are kept.

use hetzner::Query;
use russh::keys::PublicKey;
use tunnel::Fingerprint;

use super::login_keys::{ADMIT, KeyScript};
use super::project::Cloud;
use crate::convert;
use crate::error::MachineError;
use crate::host_key::parse_public;
use crate::identity::{LOGIN, ROLE, admits, builds_image, login_label, owner_selector};
use crate::observed::Server;
use crate::operation::{AgentTask, Operation};

/// Removes the lines with the key on standard input from those that may log in as root. Refuses to
/// remove the last one.
const DISMISS: &str = "umask 077 && key=$(cat) && file=/root/.ssh/authorized_keys && \
    [ -n \"$key\" ] && { ! grep -qF -- \"$key\" $file || \
    { grep -vF -- \"$key\" $file >$file.new && mv $file.new $file; }; }";

impl Cloud {
    /// Admits the login key of another [`Cloud`], which the project has already, on each machine
    /// that admits this one's. Logs in with it, and returns the names of the machines.
    ///
    /// # Errors
    /// If a machine cannot be reached, or refuses the new key.
    pub async fn admit_successor(&self, next: &Self) -> Result<Vec<String>, MachineError> {
        let key = next.options.login.public_key();
        let mut names = Vec::new();
        for server in self.machines_that_admit(&self.own_login()).await? {
            let change = KeyScript { task: AgentTask::AddLoginKey, script: ADMIT };
            let line = key.to_openssh().map_err(MachineError::Key)?;
            self.change_keys(&server, change, &line).await?;
            // A server without any such label admits every key.
            if !admits(&server.labels, &Fingerprint::of(key)) {
                self.relabel(&server, |labels| labels.extend([login_label(&Fingerprint::of(key))]))
                    .await?;
            }
            if let Some(server) = self.again(&server).await? {
                next.try_login(&server).await?;
                names.push(server.name);
            }
        }
        Ok(names)
    }

    /// Removes a former login key of this computer from each machine that admits the present one,
    /// and from the project. A key without this owner's labels stays in the project.
    ///
    /// # Errors
    /// If a machine cannot be reached with the present key: the former one then stays everywhere
    /// that was not reached.
    pub async fn dismiss_predecessor(&self, former: &PublicKey) -> Result<(), MachineError> {
        let login = Fingerprint::of(former);
        if login == self.own_login() {
            return Ok(());
        }
        // Without its comment, which may differ from machine to machine.
        let whole = former.to_openssh().map_err(MachineError::Key)?;
        let key = whole.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        for server in self.machines_that_admit(&self.own_login()).await? {
            // The label first: who reads it can log in.
            let (label, _) = login_label(&login);
            self.relabel(&server, |labels| drop(labels.remove(&label))).await?;
            let change = KeyScript { task: AgentTask::RemoveLoginKey, script: DISMISS };
            self.change_keys(&server, change, &key).await?;
        }
        let owner = &self.options.identity.owner;
        let own = Query::labels(format!("{},{ROLE}={LOGIN}", owner_selector(owner)));
        let keys = self.client.ssh_keys().list(&own).await;
        let keys = keys.map_err(MachineError::cloud(Operation::ListSshKeys))?;
        let is_former = |key: &&hetzner::SshKey| {
            let is_login = key.labels.get(ROLE).is_some_and(|role| role == LOGIN);
            let found = parse_public(&key.public_key);
            owner.owns(&key.labels)
                && is_login
                && found.is_ok_and(|found| found.key_data() == former.key_data())
        };
        for key in keys.iter().filter(is_former) {
            let deleted = self.client.ssh_keys().delete(key.id).await;
            deleted.map_err(MachineError::cloud(Operation::DeleteSshKey))?;
        }
        Ok(())
    }

    /// The machines of this owner, in all profiles, that admit a login key. Machines of other
    /// computers that do not admit this one yet learn its new key from the project.
    async fn machines_that_admit(&self, login: &Fingerprint) -> Result<Vec<Server>, MachineError> {
        let owner = &self.options.identity.owner;
        let own = Query::labels(owner_selector(owner));
        let servers = self.client.servers().list(&own).await;
        let servers = servers.map_err(MachineError::cloud(Operation::ListServers))?;
        let is_machine = |server: &hetzner::Server| {
            owner.owns(&server.labels)
                && !builds_image(&server.labels)
                && admits(&server.labels, login)
        };
        Ok(servers.into_iter().filter(is_machine).map(convert::server).collect())
    }

    /// A server as it is now; `None` if it is gone.
    async fn again(&self, server: &Server) -> Result<Option<Server>, MachineError> {
        let found = self.client.servers().get(server.id).await;
        let found = found.map_err(MachineError::cloud(Operation::ReadServer))?;
        Ok(found.map(convert::server))
    }

    /// Changes the labels as they are now, since they are replaced as a whole.
    async fn relabel(
        &self,
        server: &Server,
        change: impl FnOnce(&mut hetzner::Labels),
    ) -> Result<(), MachineError> {
        let Some(mut now) = self.again(server).await? else { return Ok(()) };
        change(&mut now.labels);
        let labeled = self.client.servers().update(server.id, None, Some(&now.labels)).await;
        labeled.map(drop).map_err(MachineError::cloud(Operation::LabelServer))
    }

    /// Runs a script on a machine that changes who may log in. A machine that is gone needs none.
    async fn change_keys(
        &self,
        server: &Server,
        KeyScript { task, script }: KeyScript,
        input: &str,
    ) -> Result<(), MachineError> {
        let Some(address) = server.address else { return Ok(()) };
        let tunnel = match self.plain_login(server, address).await {
            Ok(tunnel) => tunnel,
            Err(_) if self.again(server).await?.is_none() => return Ok(()),
            Err(error) => return Err(error),
        };
        let ran = tunnel.exec(script, input.as_bytes()).await;
        tunnel.close().await;
        let message = match ran {
            Ok(output) if output.success() => return Ok(()),
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        Err(MachineError::Agent { name: server.name.clone(), task, message })
    }

    async fn try_login(&self, server: &Server) -> Result<(), MachineError> {
        let Some(address) = server.address else { return Ok(()) };
        self.plain_login(server, address).await?.close().await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn key_is_removed_whatever_its_comment_and_never_the_last_one() {
        let directory = tempfile::tempdir().unwrap();
        let script = DISMISS.replace("/root", directory.path().to_str().unwrap());
        let remove = |key: &str| {
            let mut shell = Command::new("sh");
            let mut shell = shell.args(["-c", &script]).stdin(Stdio::piped()).spawn().unwrap();
            shell.stdin.take().unwrap().write_all(key.as_bytes()).unwrap();
            shell.wait().unwrap().success()
        };
        let file = directory.path().join(".ssh/authorized_keys");
        std::fs::create_dir(file.parent().unwrap()).unwrap();
        let read = || std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, "ssh-ed25519 A one\nssh-ed25519 B two\nssh-ed25519 A\n").unwrap();
        for _ in 0..2 {
            assert!(remove("ssh-ed25519 A"));
            assert_eq!(read(), "ssh-ed25519 B two\n");
        }
        assert!(!remove("ssh-ed25519 B"), "nobody could log in any more");
        assert!(!remove(""), "it would match every line");
        assert_eq!(read(), "ssh-ed25519 B two\n");
    }
}
