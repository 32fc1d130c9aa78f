//! The service `org.freedesktop.secrets` on the session bus (Secret Service API 0.2), which GNOME
//! Keyring, KWallet and KeePassXC provide. Secrets pass as they are, in a session of the algorithm
//! `plain`: the bus is a socket of this user alone, and libsecret offers the same.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use serde::Serialize;
use tokio::time::timeout;
use zbus::{Connection, DynamicType, Message, OwnedObjectPath, OwnedVariant, Variant, connection};

use super::{Attributes, KeyringError};

const SERVICE: &str = "org.freedesktop.secrets";
const ROOT: &str = "/org/freedesktop/secrets";
const SERVICE_INTERFACE: &str = "org.freedesktop.Secret.Service";
const COLLECTION_INTERFACE: &str = "org.freedesktop.Secret.Collection";
const ITEM_INTERFACE: &str = "org.freedesktop.Secret.Item";
const PROMPT_INTERFACE: &str = "org.freedesktop.Secret.Prompt";
const IS_LOCKED: &str = "org.freedesktop.Secret.Error.IsLocked";
/// In place of an object that does not exist.
const NONE: &str = "/";
/// The bus may have to start the service first.
const LONGEST_CALL: Duration = Duration::from_secs(5);

/// Session, parameters of the algorithm, value, and type of the value.
type Secret = (OwnedObjectPath, Vec<u8>, Vec<u8>, String);

/// The keyring of the user's session.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    address: Option<String>,
}

impl Keyring {
    /// Uses another bus than the session's.
    pub fn at(address: impl Into<String>) -> Self {
        Self { address: Some(address.into()) }
    }

    /// Stores a secret, in place of one with the same attributes. Programs that list secrets show
    /// the label.
    ///
    /// # Errors
    /// If there is no keyring, or it is locked.
    pub fn store(
        &self,
        label: &str,
        attributes: &Attributes<'_>,
        secret: &[u8],
    ) -> Result<(), KeyringError> {
        blocking(async {
            let session = self.open().await?;
            let collection = session.default_collection().await?;
            session.unlock(&collection).await?;
            session.create(&collection, label, attributes, secret).await
        })
    }

    /// The secret with these attributes; `None` if there is none.
    ///
    /// # Errors
    /// If there is no keyring, or it is locked.
    pub fn read(&self, attributes: &Attributes<'_>) -> Result<Option<Vec<u8>>, KeyringError> {
        blocking(async {
            let session = self.open().await?;
            let Some(item) = session.find(attributes).await? else { return Ok(None) };
            let reply =
                session.call(item.as_str(), ITEM_INTERFACE, "GetSecret", &(&session.path,)).await?;
            let (_, _, value, _): Secret = reply.body().deserialize().map_err(refused)?;
            Ok(Some(value))
        })
    }

    /// Removes the secret with these attributes. Returns whether there was one.
    ///
    /// # Errors
    /// If there is no keyring, or it is locked.
    pub fn remove(&self, attributes: &Attributes<'_>) -> Result<bool, KeyringError> {
        blocking(async {
            let session = self.open().await?;
            let Some(item) = session.find(attributes).await? else { return Ok(false) };
            let reply = session.call(item.as_str(), ITEM_INTERFACE, "Delete", &()).await?;
            let prompt: OwnedObjectPath = reply.body().deserialize().map_err(refused)?;
            session.is_done(prompt).await?;
            Ok(true)
        })
    }

    async fn open(&self) -> Result<Session, KeyringError> {
        let bus = match &self.address {
            Some(address) => connection::Builder::address(address.as_str()).build().await,
            None => Connection::session().await,
        };
        let bus = bus.map_err(KeyringError::Absent)?;
        let reply = bus
            .call_method(
                Some(SERVICE),
                ROOT,
                Some(SERVICE_INTERFACE),
                "OpenSession",
                &("plain", Variant::from("")),
            )
            .await
            .map_err(KeyringError::Absent)?;
        let (_, path): (OwnedVariant, OwnedObjectPath) =
            reply.body().deserialize().map_err(refused)?;
        Ok(Session { bus, path })
    }
}

/// Runs on a thread of its own: callers may be tasks, which cannot wait for another one.
fn blocking<T: Send>(
    work: impl Future<Output = Result<T, KeyringError>> + Send,
) -> Result<T, KeyringError> {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            timeout(LONGEST_CALL, work).await.map_err(|_| KeyringError::Silent(LONGEST_CALL))?
        })
    };
    thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|panic| resume_unwind(panic))
}

fn refused(error: zbus::Error) -> KeyringError {
    match &error {
        zbus::Error::MethodError(name, ..) if name.as_str() == IS_LOCKED => KeyringError::Locked,
        _ => KeyringError::Refused(error),
    }
}

/// A session with the service. It ends with the connection.
struct Session {
    bus: Connection,
    path: OwnedObjectPath,
}

impl Session {
    async fn call<B>(
        &self,
        path: &str,
        interface: &str,
        method: &str,
        body: &B,
    ) -> Result<Message, KeyringError>
    where
        B: Serialize + DynamicType + Sync,
    {
        self.bus
            .call_method(Some(SERVICE), path, Some(interface), method, body)
            .await
            .map_err(refused)
    }

    async fn default_collection(&self) -> Result<OwnedObjectPath, KeyringError> {
        let reply = self.call(ROOT, SERVICE_INTERFACE, "ReadAlias", &("default",)).await?;
        let path: OwnedObjectPath = reply.body().deserialize().map_err(refused)?;
        match path.as_str() {
            NONE => Err(KeyringError::NoCollection),
            _ => Ok(path),
        }
    }

    /// Unlocks a collection or an item if that needs no dialog.
    async fn unlock(&self, object: &OwnedObjectPath) -> Result<(), KeyringError> {
        let reply = self.call(ROOT, SERVICE_INTERFACE, "Unlock", &(vec![object],)).await?;
        let (_, prompt): (Vec<OwnedObjectPath>, OwnedObjectPath) =
            reply.body().deserialize().map_err(refused)?;
        self.is_done(prompt).await
    }

    /// A request that a dialog would go on with is ended.
    async fn is_done(&self, prompt: OwnedObjectPath) -> Result<(), KeyringError> {
        if prompt.as_str() == NONE {
            return Ok(());
        }
        // A dialog that was never shown does no harm.
        let _ = self.call(prompt.as_str(), PROMPT_INTERFACE, "Dismiss", &()).await;
        Err(KeyringError::Locked)
    }

    async fn create(
        &self,
        collection: &OwnedObjectPath,
        label: &str,
        attributes: &Attributes<'_>,
        secret: &[u8],
    ) -> Result<(), KeyringError> {
        let attributes: BTreeMap<&str, &str> = attributes.iter().copied().collect();
        let properties = BTreeMap::from([
            ("org.freedesktop.Secret.Item.Label", Variant::from(label)),
            ("org.freedesktop.Secret.Item.Attributes", Variant::from(attributes)),
        ]);
        let secret: Secret =
            (self.path.clone(), Vec::new(), secret.to_vec(), "text/plain".to_owned());
        let body = (properties, secret, true);
        let reply =
            self.call(collection.as_str(), COLLECTION_INTERFACE, "CreateItem", &body).await?;
        let (_, prompt): (OwnedObjectPath, OwnedObjectPath) =
            reply.body().deserialize().map_err(refused)?;
        self.is_done(prompt).await
    }

    /// The item with these attributes, unlocked.
    async fn find(
        &self,
        attributes: &Attributes<'_>,
    ) -> Result<Option<OwnedObjectPath>, KeyringError> {
        let attributes: BTreeMap<&str, &str> = attributes.iter().copied().collect();
        let reply = self.call(ROOT, SERVICE_INTERFACE, "SearchItems", &(attributes,)).await?;
        let (unlocked, locked): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) =
            reply.body().deserialize().map_err(refused)?;
        if let Some(item) = unlocked.into_iter().next() {
            return Ok(Some(item));
        }
        let Some(item) = locked.into_iter().next() else { return Ok(None) };
        self.unlock(&item).await?;
        Ok(Some(item))
    }
}
