//! The login keys of one owner's computers. Each computer has its own key, and a machine's labels
//! name the keys that it admits. A new machine admits every key that the owner has in the project.
//! A computer that a running machine admits already adds new keys to it. A computer reads the
//! labels before it logs in, so it never takes a machine for broken that only does not know its key
//! yet.

use std::collections::BTreeSet;
use std::time::Duration;

use hetzner::Query;
use tokio::time::sleep;
use tunnel::Fingerprint;

use super::logins::Login;
use super::project::Cloud;
use crate::causes::with_causes;
use crate::error::MachineError;
use crate::host_key::parse_public;
use crate::identity::{
    DOCKBRIDGE, LOGIN, MANAGED_BY, OWNER, ROLE, admits, login_key_name, login_label, owner_selector,
};
use crate::observed::Server;
use crate::operation::{AgentTask, Operation};
use crate::provider::Ready;

/// How often a computer that uses a machine lists the login keys of its owner. Each list is one of
/// the 3,600 requests that a project has in an hour.
const ADMITS_EVERY: Duration = Duration::from_secs(75);

/// A script on a machine that changes who may log in there.
pub(super) struct KeyScript {
    pub(super) task: AgentTask,
    pub(super) script: &'static str,
}

/// Adds the key on standard input to the keys that may log in as root, once.
pub(super) const ADMIT: &str = "umask 077 && key=$(cat) && file=/root/.ssh/authorized_keys && \
    mkdir -p /root/.ssh && touch $file && \
    { grep -qxF -- \"$key\" $file || { [ -z \"$(tail -c1 $file)\" ] || echo >>$file; \
    printf '%s\\n' \"$key\" >>$file; }; }";

impl Cloud {
    /// The fingerprint of this computer's login key.
    pub(super) fn own_login(&self) -> Fingerprint {
        Fingerprint::of(self.options.login.public_key())
    }

    /// Remembers the keys of this owner's other computers, out of all keys in the project.
    pub(super) fn learn_logins(&self, keys: &[hetzner::SshKey]) {
        self.logins.learn(self.others_of(keys));
    }

    fn others_of(&self, keys: &[hetzner::SshKey]) -> Vec<Login> {
        let (owner, own) = (&self.options.identity.owner, self.own_login());
        keys.iter()
            .filter(|key| owner.owns(&key.labels))
            .filter(|key| key.labels.get(ROLE).is_some_and(|role| role == LOGIN))
            .filter_map(|key| Some(Login { id: key.id, key: parse_public(&key.public_key).ok()? }))
            .filter(|login| login.fingerprint() != own)
            .collect()
    }

    /// Stores this computer's login key in the project, where the owner's other computers find it.
    pub async fn register_login_key(&self) -> Result<(), MachineError> {
        match self.find_login_key().await? {
            Some(_) => Ok(()),
            None => self.new_login_key().await.map(drop),
        }
    }

    /// The id of the new key. Fails with a uniqueness error if another process of this computer was
    /// faster.
    pub(super) async fn new_login_key(&self) -> Result<u64, MachineError> {
        let owner = &self.options.identity.owner;
        let labels = [
            (MANAGED_BY, DOCKBRIDGE.to_owned()),
            (OWNER, owner.to_string()),
            (ROLE, LOGIN.to_owned()),
        ];
        let labels = labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let public = self.options.login.public_key().to_openssh().map_err(MachineError::Key)?;
        let name = login_key_name(owner, &self.own_login());
        let created = self.client.ssh_keys().create(&name, &public, &labels).await;
        created.map(|key| key.id).map_err(MachineError::cloud(Operation::StoreLoginKey))
    }

    /// Fails if the server's labels do not admit this computer. Asked before anything is sent to
    /// the server. A server without such labels is from an older version, and admits every key.
    pub(super) async fn is_admitted(&self, server: &Server) -> Result<(), MachineError> {
        let own = self.own_login();
        if admits(&server.labels, &own) {
            return Ok(());
        }
        // A computer that the machine admits finds the key there, and adds it.
        self.register_login_key().await?;
        Err(MachineError::OtherComputer { name: server.name.clone(), login: own })
    }

    /// Admits other computers of this owner while the machine is used from here.
    pub(super) async fn admit_others(&self, ready: &Ready) {
        let Some(id) = ready.summary.id else { return std::future::pending().await };
        let mut admitted = BTreeSet::new();
        loop {
            sleep(ADMITS_EVERY).await;
            if let Err(error) = self.admit_new(ready, id, &mut admitted).await {
                let error = with_causes(&error);
                tracing::warn!(error, "another computer's login key was not added");
            }
        }
    }

    async fn admit_new(
        &self,
        ready: &Ready,
        id: u64,
        admitted: &mut BTreeSet<Fingerprint>,
    ) -> Result<(), MachineError> {
        let owner = &self.options.identity.owner;
        let own = Query::labels(format!("{},{ROLE}={LOGIN}", owner_selector(owner)));
        let keys = self.client.ssh_keys().list(&own).await;
        let keys = keys.map_err(MachineError::cloud(Operation::ListSshKeys))?;
        let unknown = |login: &Login| !admitted.contains(&login.fingerprint());
        let new: Vec<Login> = self.others_of(&keys).into_iter().filter(unknown).collect();
        for login in new {
            self.admit(ready, id, &login).await?;
            admitted.insert(login.fingerprint());
        }
        Ok(())
    }

    /// Adds the key, then the label: a computer that reads the label can log in.
    async fn admit(&self, ready: &Ready, id: u64, login: &Login) -> Result<(), MachineError> {
        let servers = self.client.servers();
        let server = servers.get(id).await.map_err(MachineError::cloud(Operation::ReadServer))?;
        let Some(server) = server else { return Ok(()) };
        if admits(&server.labels, &login.fingerprint()) {
            return Ok(());
        }
        let failed = |message: String| MachineError::Agent {
            name: server.name.clone(),
            task: AgentTask::AddLoginKey,
            message,
        };
        // Serialized from the parsed key, so that nothing but a key gets into the file.
        let line = login.key.to_openssh().map_err(MachineError::Key)?;
        let added = ready.tunnel.exec(ADMIT, line.as_bytes()).await;
        match added {
            Ok(output) if output.success() => {}
            Ok(output) => return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned())),
            Err(error) => return Err(failed(error.to_string())),
        }
        // Read once more, since labels are replaced as a whole and adding the key took time.
        let server = servers.get(id).await.map_err(MachineError::cloud(Operation::ReadServer))?;
        let Some(mut server) = server else { return Ok(()) };
        let (label, value) = login_label(&login.fingerprint());
        server.labels.insert(label, value);
        let labeled = servers.update(id, None, Some(&server.labels)).await;
        labeled.map_err(MachineError::cloud(Operation::LabelServer))?;
        let login = login.fingerprint();
        tracing::info!(%login, "another computer of this owner may log in now");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_added_once_and_on_a_line_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let script = ADMIT.replace("/root", directory.path().to_str().unwrap());
        let add = |key: &str| {
            use std::io::Write as _;
            let mut shell = std::process::Command::new("sh");
            let mut shell =
                shell.args(["-c", &script]).stdin(std::process::Stdio::piped()).spawn().unwrap();
            shell.stdin.take().unwrap().write_all(key.as_bytes()).unwrap();
            assert!(shell.wait().unwrap().success());
        };
        let file = directory.path().join(".ssh/authorized_keys");
        let read = || std::fs::read_to_string(&file).unwrap();
        add("ssh-ed25519 A a");
        assert_eq!(read(), "ssh-ed25519 A a\n");
        std::fs::write(&file, "ssh-ed25519 A a\nssh-ed25519 B b").unwrap();
        for _ in 0..2 {
            add("ssh-ed25519 C c");
            assert_eq!(read(), "ssh-ed25519 A a\nssh-ed25519 B b\nssh-ed25519 C c\n");
        }
        add("ssh-ed25519 B b");
        assert_eq!(read().lines().count(), 3);
    }
}
