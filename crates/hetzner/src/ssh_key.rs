//! SSH keys that the cloud installs for root on a new server.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::creation::{Creation, Labeled};
use crate::error::Result;
use crate::exchange::take;
use crate::query::Labels;
use crate::resource::{Resource, Resources};

/// All SSH keys.
pub type SshKeys = Resources<SshKey>;

/// A public key. Changing or deleting it does not affect existing servers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SshKey {
    /// Id.
    pub id: u64,
    /// Unique in the project.
    pub name: String,
    /// MD5, in pairs of hex digits with colons; unique in the project.
    pub fingerprint: String,
    /// In OpenSSH's form.
    pub public_key: String,
    /// Labels.
    #[serde(default)]
    pub labels: Labels,
    /// Its creation.
    pub created: Timestamp,
}

impl Resource for SshKey {
    const ONE: &'static str = "ssh_key";
    const MANY: &'static str = "ssh_keys";
}

impl Labeled for SshKey {
    fn labels(&self) -> &Labels {
        &self.labels
    }
}

impl SshKeys {
    /// Stores a public key. After a lost reply it is found by its name and labels.
    pub async fn create(&self, name: &str, public_key: &str, labels: &Labels) -> Result<SshKey> {
        #[derive(Serialize)]
        struct NewSshKey<'a> {
            name: &'a str,
            public_key: &'a str,
            labels: &'a Labels,
        }
        match self.create_named(name, labels, &NewSshKey { name, public_key, labels }).await? {
            Creation::Reply(line, reply) => take(line, reply, SshKey::ONE),
            Creation::Found(key, _) => Ok(key),
        }
    }

    /// Replaces the name, or all labels.
    pub async fn update(
        &self,
        id: u64,
        name: Option<&str>,
        labels: Option<&Labels>,
    ) -> Result<SshKey> {
        self.change(id, name, labels).await
    }

    /// Deletes a key. Succeeds if it is already gone.
    pub async fn delete(&self, id: u64) -> Result<()> {
        self.erase(id).await
    }
}
