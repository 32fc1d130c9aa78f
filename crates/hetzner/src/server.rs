//! Servers.

use std::fmt;
use std::net::Ipv4Addr;

use jiff::Timestamp;
use reqwest::Method;
use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use crate::action::Action;
use crate::creation::{Creation, Labelled};
use crate::error::{Error, Result};
use crate::exchange::Request;
use crate::image::Image;
use crate::location::Location;
use crate::resource::{Labels, Query, Resource, Resources, gone_is_none, path};
use crate::server_type::ServerType;

/// All servers.
pub type Servers = Resources<Server>;

/// A server. It is paid for until it is deleted, whether it runs or not.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Server {
    /// Id.
    pub id: u64,
    /// Host name, unique in the project.
    pub name: String,
    /// How it stands.
    pub status: ServerStatus,
    /// When it was made: its paid hours begin here.
    pub created: Timestamp,
    /// Its public addresses.
    pub public_net: PublicNet,
    /// What it is.
    pub server_type: ServerType,
    /// Where it is.
    pub location: Location,
    /// What it was made from, if that still exists.
    pub image: Option<Image>,
    /// Whether the rescue system is what boots next.
    #[serde(default)]
    pub rescue_enabled: bool,
    /// An action runs on it.
    #[serde(default)]
    pub locked: bool,
    /// What is refused.
    #[serde(default)]
    pub protection: ServerProtection,
    /// Labels.
    #[serde(default)]
    pub labels: Labels,
    /// Ids of the volumes that are attached.
    #[serde(default)]
    pub volumes: Vec<u64>,
}

open_enum! {
    /// How a server stands.
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
    /// What stands before it.
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

/// A firewall before a server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AppliedFirewall {
    /// Id of the firewall.
    pub id: u64,
    /// `applied` or `pending`.
    pub status: String,
}

/// What is refused for a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct ServerProtection {
    /// Deletion.
    #[serde(default)]
    pub delete: bool,
    /// Rebuilding.
    #[serde(default)]
    pub rebuild: bool,
}

/// A server to be made.
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
    /// Ids of volumes at the same location to be attached.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<u64>,
    /// Ids of the firewalls that stand before it from the start.
    #[serde(serialize_with = "as_firewalls", skip_serializing_if = "Vec::is_empty")]
    pub firewalls: Vec<u64>,
    /// For cloud-init, at most 32 KiB. Every process on the server can read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_data: Option<String>,
    /// Labels; they also tell our own server from others when a reply is lost.
    pub labels: Labels,
    /// Whether it is started at once.
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

/// User data is told by its length only: a first host key may be in it.
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

/// A server that is being made.
#[derive(Debug, Clone, Deserialize)]
pub struct CreatedServer {
    /// The server; its addresses are known already.
    pub server: Server,
    /// Its making.
    pub action: Action,
    /// What follows: starting, attaching, applying the firewall.
    #[serde(default)]
    pub next_actions: Vec<Action>,
}

impl CreatedServer {
    /// All that is to be waited for, in order.
    pub fn actions(&self) -> Vec<Action> {
        std::iter::once(&self.action).chain(&self.next_actions).cloned().collect()
    }
}

/// A snapshot that is being made.
#[derive(Debug, Clone, Deserialize)]
pub struct CreatedImage {
    /// The image.
    pub image: Image,
    /// Its making.
    pub action: Action,
}

impl Resource for Server {
    const ONE: &'static str = "server";
    const MANY: &'static str = "servers";
}

impl Labelled for Server {
    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn is_leaving(&self) -> bool {
        self.status == ServerStatus::Deleting
    }
}

impl Servers {
    /// Makes a server. A lost reply is recovered by the name if the server carries all labels.
    pub async fn create(&self, new: &NewServer) -> Result<CreatedServer> {
        match self.create_named(&new.name, &new.labels, new).await? {
            Creation::Reply(operation, reply) => {
                serde_json::from_value(reply).map_err(|source| Error::Decode { operation, source })
            }
            Creation::Found(server, lost) => {
                let (action, next_actions) =
                    self.creating_actions(server.id, "create_server", lost).await?;
                Ok(CreatedServer { server, action, next_actions })
            }
        }
    }

    /// Deletes a server; `None` if it is gone already. Volumes are detached and stay.
    pub async fn delete(&self, id: u64) -> Result<Option<Action>> {
        gone_is_none(
            self.client.ask(Request::new(Method::DELETE, path::<Server>(id)), "action").await,
        )
    }

    /// What is being done to a server now. One request; a server has few actions at a time.
    pub async fn running_actions(&self, id: u64) -> Result<Vec<Action>> {
        let query = Query { status: vec!["running".into()], ..Query::default() };
        self.actions_of(id, &query).await
    }

    /// Starts a server.
    pub async fn power_on(&self, id: u64) -> Result<Action> {
        self.press(id, "poweron").await
    }

    /// Pulls the plug.
    pub async fn power_off(&self, id: u64) -> Result<Action> {
        self.press(id, "poweroff").await
    }

    /// Presses the power button. That the action succeeds does not mean that the server is off.
    pub async fn shutdown(&self, id: u64) -> Result<Action> {
        self.press(id, "shutdown").await
    }

    /// Asks the system to start again.
    pub async fn reboot(&self, id: u64) -> Result<Action> {
        self.press(id, "reboot").await
    }

    /// Lets the rescue system boot next, with these keys for root; it forgets that after 60
    /// minutes.
    pub async fn enable_rescue(&self, id: u64, ssh_keys: &[u64]) -> Result<Action> {
        self.act(id, "enable_rescue", &json!({ "type": "linux64", "ssh_keys": ssh_keys })).await
    }

    /// Makes the disk anew from an image, with other user-data; id and addresses stay, and it is
    /// started. The keys that it was made with may come back.
    pub async fn rebuild(&self, id: u64, image: u64, user_data: &str) -> Result<Action> {
        self.act(id, "rebuild", &json!({ "image": image.to_string(), "user_data": user_data }))
            .await
    }

    /// Makes a snapshot of the disk; off is best. The image exists at once, and is complete when
    /// the action has succeeded: a copy of a full disk takes an hour.
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
        serde_json::from_value(reply)
            .map_err(|source| Error::Decode { operation: request.operation, source })
    }

    /// Replaces name or labels (the whole set).
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
