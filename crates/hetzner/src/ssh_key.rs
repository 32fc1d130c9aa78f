//! SSH keys that a server's root gets when it is created.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::creation::{Creation, Labelled};
use crate::error::Result;
use crate::exchange::take;
use crate::resource::{Labels, Resource, Resources};

/// All SSH keys.
pub type SshKeys = Resources<SshKey>;

/// A public key. Changing or deleting it changes no existing server.
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
    /// When it was made.
    pub created: Timestamp,
}

impl Resource for SshKey {
    const ONE: &'static str = "ssh_key";
    const MANY: &'static str = "ssh_keys";
}

impl Labelled for SshKey {
    fn labels(&self) -> &Labels {
        &self.labels
    }
}

impl SshKeys {
    /// Stores a public key. A lost reply is recovered by the name if the key carries all these
    /// labels.
    pub async fn create(&self, name: &str, public_key: &str, labels: &Labels) -> Result<SshKey> {
        #[derive(Serialize)]
        struct NewSshKey<'a> {
            name: &'a str,
            public_key: &'a str,
            labels: &'a Labels,
        }
        match self.create_named(name, labels, &NewSshKey { name, public_key, labels }).await? {
            Creation::Reply(operation, reply) => take(operation, reply, SshKey::ONE),
            Creation::Found(key, _) => Ok(key),
        }
    }

    /// Replaces name or labels (the whole set).
    pub async fn update(
        &self,
        id: u64,
        name: Option<&str>,
        labels: Option<&Labels>,
    ) -> Result<SshKey> {
        self.change(id, name, labels).await
    }

    /// Deletes a key; one that is gone already is fine.
    pub async fn delete(&self, id: u64) -> Result<()> {
        self.erase(id).await
    }
}
