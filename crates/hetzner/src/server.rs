//! Servers.

use std::fmt;
use std::net::Ipv4Addr;

use jiff::Timestamp;
use reqwest::Method;
use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use crate::action::Action;
use crate::creation::{Creation, Labeled};
use crate::error::{Error, Result};
use crate::exchange::Request;
use crate::image::Image;
use crate::location::Location;
use crate::query::{Labels, Query};
use crate::resource::{Resource, Resources, gone_is_none, path};
use crate::server_type::ServerType;

/// All servers.
pub type Servers = Resources<Server>;

/// A server. It is billed until it is deleted, whether it runs or not.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Server {
    /// Id.
    pub id: u64,
    /// Host name, unique in the project.
    pub name: String,
    /// Its status.
    pub status: ServerStatus,
    /// Its creation, where its billed hours start.
    pub created: Timestamp,
    /// Its public addresses.
    pub public_net: PublicNet,
    /// Its type.
    pub server_type: ServerType,
    /// Its location.
    pub location: Location,
    /// Its image, if the image still exists.
    pub image: Option<Image>,
    /// Whether the rescue system boots next.
    #[serde(default)]
    pub rescue_enabled: bool,
    /// An action runs on it.
    #[serde(default)]
    pub locked: bool,
    /// What the API refuses for it.
    #[serde(default)]
    pub protection: ServerProtection,
    /// Labels.
    #[serde(default)]
    pub labels: Labels,
    /// Ids of the attached volumes.
    #[serde(default)]
    pub volumes: Vec<u64>,
}

open_enum! {
    /// The status of a server.
    ServerStatus {
        Running = "running",
        Initializing = "initializing",
        Starting = "starting",
        Stopping = "stopping",
        Off = "off",
        Deleting = "deleting",
        Migrating = "migrating",
        Rebuilding = "rebuilding",
        Unknown = "unknown",
    }
}

/// The public addresses of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct PublicNet {
    /// IPv4.
    pub ipv4: Option<Ipv4>,
    /// IPv6.
    pub ipv6: Option<Ipv6>,
    /// Its firewalls.
    #[serde(default)]
    pub firewalls: Vec<AppliedFirewall>,
}

/// A public IPv4 address.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Ipv4 {
    /// Id of the primary IP.
    pub id: Option<u64>,
    /// The address.
    pub ip: Ipv4Addr,
}

/// A public IPv6 network.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Ipv6 {
    /// Id of the primary IP.
    pub id: Option<u64>,
    /// The network, such as `2001:db8::/64`.
    pub ip: String,
}

/// A firewall of a server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AppliedFirewall {
    /// Id of the firewall.
    pub id: u64,
    /// `applied` or `pending`.
    pub status: String,
}

/// What the API refuses for a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct ServerProtection {
    /// Deletion.
    #[serde(default)]
    pub delete: bool,
    /// Rebuilding.
    #[serde(default)]
    pub rebuild: bool,
}

/// A server to create.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct NewServer {
    /// Host name (RFC 1123), unique in the project.
    pub name: String,
    /// Name (or id) of the server type.
    pub server_type: String,
    /// Name (or id) of the image; snapshots have only an id.
    pub image: String,
    /// Name of the location; without one the cloud chooses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Ids of the keys for root. Without any, a password is mailed to the account's owner.
    pub ssh_keys: Vec<u64>,
    /// Ids of volumes at the same location to attach.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<u64>,
    /// Ids of the firewalls that apply from the start.
    #[serde(serialize_with = "as_firewalls", skip_serializing_if = "Vec::is_empty")]
    pub firewalls: Vec<u64>,
    /// For cloud-init, at most 32 KiB. Every process on the server can read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_data: Option<String>,
    /// Labels. They also identify the server after a lost reply.
    pub labels: Labels,
    /// Whether it is started after its creation.
    pub start_after_create: bool,
    /// Which public addresses it gets.
    pub public_net: NewPublicNet,
}

/// Which public addresses a server gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct NewPublicNet {
    /// IPv4, which costs extra.
    pub enable_ipv4: bool,
    /// IPv6.
    pub enable_ipv6: bool,
}

impl Default for NewPublicNet {
    fn default() -> Self {
        Self { enable_ipv4: true, enable_ipv6: true }
    }
}

impl Default for NewServer {
    fn default() -> Self {
        Self {
            name: String::new(),
            server_type: String::new(),
            image: String::new(),
            location: None,
            ssh_keys: Vec::new(),
            volumes: Vec::new(),
            firewalls: Vec::new(),
            user_data: None,
            labels: Labels::new(),
            start_after_create: true,
            public_net: NewPublicNet::default(),
        }
    }
}

/// Shows only the length of the user data, which may contain the first host key.
impl fmt::Debug for NewServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewServer")
            .field("name", &self.name)
            .field("server_type", &self.server_type)
            .field("image", &self.image)
            .field("location", &self.location)
            .field("ssh_keys", &self.ssh_keys)
            .field("volumes", &self.volumes)
            .field("firewalls", &self.firewalls)
            .field("user_data_bytes", &self.user_data.as_ref().map(String::len))
            .field("labels", &self.labels)
            .field("start_after_create", &self.start_after_create)
            .field("public_net", &self.public_net)
            .finish()
    }
}

fn as_firewalls<S: Serializer>(ids: &[u64], serializer: S) -> std::result::Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Reference {
        firewall: u64,
    }
    let mut list = serializer.serialize_seq(Some(ids.len()))?;
    for id in ids {
        list.serialize_element(&Reference { firewall: *id })?;
    }
    list.end()
}

/// A server that is being created.
#[derive(Debug, Clone, Deserialize)]
pub struct CreatedServer {
    /// The server; its addresses are already known.
    pub server: Server,
    /// Its creation.
    pub action: Action,
    /// Further actions: starting it, attaching volumes, applying firewalls.
    #[serde(default)]
    pub next_actions: Vec<Action>,
}

impl CreatedServer {
    /// All actions, in order.
    pub fn actions(&self) -> Vec<Action> {
        std::iter::once(&self.action).chain(&self.next_actions).cloned().collect()
    }
}

/// A snapshot that is being created.
#[derive(Debug, Clone, Deserialize)]
pub struct CreatedImage {
    /// The image.
    pub image: Image,
    /// Its creation.
    pub action: Action,
}

impl Resource for Server {
    const ONE: &'static str = "server";
    const MANY: &'static str = "servers";
}

impl Labeled for Server {
    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn is_leaving(&self) -> bool {
        self.status == ServerStatus::Deleting
    }
}

impl Servers {
    /// Creates a server. After a lost reply it is found by its name and labels.
    pub async fn create(&self, new: &NewServer) -> Result<CreatedServer> {
        match self.create_named(&new.name, &new.labels, new).await? {
            Creation::Reply(line, reply) => {
                serde_json::from_value(reply).map_err(|source| Error::Decode { line, source })
            }
            Creation::Found(server, lost) => {
                let (action, next_actions) =
                    self.creating_actions(server.id, "create_server", lost).await?;
                Ok(CreatedServer { server, action, next_actions })
            }
        }
    }

    /// Deletes a server; `None` if it is already gone. Volumes are detached and stay.
    pub async fn delete(&self, id: u64) -> Result<Option<Action>> {
        gone_is_none(
            self.client.ask(Request::new(Method::DELETE, path::<Server>(id)), "action").await,
        )
    }

    /// The actions that run on a server now.
    pub async fn running_actions(&self, id: u64) -> Result<Vec<Action>> {
        let query = Query { status: vec!["running".into()], ..Query::default() };
        self.actions_of(id, &query).await
    }

    /// Powers a server on.
    pub async fn power_on(&self, id: u64) -> Result<Action> {
        self.press(id, "poweron").await
    }

    /// Powers a server off, without its system.
    pub async fn power_off(&self, id: u64) -> Result<Action> {
        self.press(id, "poweroff").await
    }

    /// Asks the system to power off (ACPI). The server may still run when the action has succeeded.
    pub async fn shutdown(&self, id: u64) -> Result<Action> {
        self.press(id, "shutdown").await
    }

    /// Asks the system to reboot.
    pub async fn reboot(&self, id: u64) -> Result<Action> {
        self.press(id, "reboot").await
    }

    /// Boots the rescue system next, with these keys for root. The cloud forgets this after 60 min.
    pub async fn enable_rescue(&self, id: u64, ssh_keys: &[u64]) -> Result<Action> {
        self.act(id, "enable_rescue", &json!({ "type": "linux64", "ssh_keys": ssh_keys })).await
    }

    /// Overwrites the disk with an image, sets other user-data and starts the server. Id and
    /// addresses stay. The SSH keys of its creation may be installed again.
    pub async fn rebuild(&self, id: u64, image: u64, user_data: &str) -> Result<Action> {
        self.act(id, "rebuild", &json!({ "image": image.to_string(), "user_data": user_data }))
            .await
    }

    /// Makes a snapshot of the disk, best while the server is off. The image exists at once, and is
    /// complete after the action: a copy of a full disk takes an hour.
    pub async fn create_image(
        &self,
        id: u64,
        description: &str,
        labels: &Labels,
    ) -> Result<CreatedImage> {
        let request =
            Request::new(Method::POST, format!("{}/actions/create_image", path::<Server>(id)));
        let request = request
            .body(&json!({ "type": "snapshot", "description": description, "labels": labels }))?;
        let reply = self.client.send(&request).await?;
        serde_json::from_value(reply).map_err(|source| Error::Decode { line: request.line, source })
    }

    /// Replaces the name, or all labels.
    pub async fn update(
        &self,
        id: u64,
        name: Option<&str>,
        labels: Option<&Labels>,
    ) -> Result<Server> {
        self.change(id, name, labels).await
    }

    async fn press(&self, id: u64, action: &str) -> Result<Action> {
        self.act(id, action, &Value::Object(Default::default())).await
    }
}
