//! Firewalls of servers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::action::Action;
use crate::creation::{Creation, Labeled};
use crate::error::{Error, Result};
use crate::query::Labels;
use crate::resource::{Resource, Resources};

/// All firewalls.
pub type Firewalls = Resources<Firewall>;

/// Rules and the servers that they apply to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Firewall {
    /// Id.
    pub id: u64,
    /// Unique in the project.
    pub name: String,
    /// Labels.
    #[serde(default)]
    pub labels: Labels,
    /// Its creation.
    pub created: Timestamp,
    /// Without an inbound rule all inbound traffic is dropped. Without an outbound rule all
    /// outbound traffic is admitted.
    #[serde(default)]
    pub rules: Vec<FirewallRule>,
    /// What the rules apply to.
    #[serde(default)]
    pub applied_to: Vec<FirewallTarget>,
}

/// Traffic that a firewall admits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallRule {
    /// Seen from the server.
    pub direction: Direction,
    /// Protocol.
    pub protocol: Protocol,
    /// `80` or `80-85`; only with tcp and udp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// CIDR ranges, for inbound rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source_ips: Vec<String>,
    /// CIDR ranges, for outbound rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destination_ips: Vec<String>,
    /// Human-readable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

open_enum! {
    /// Direction of traffic, seen from the server.
    Direction {
        In = "in",
        Out = "out",
    }
}

open_enum! {
    /// Protocols that rules can name.
    Protocol {
        Tcp = "tcp",
        Udp = "udp",
        Icmp = "icmp",
        Esp = "esp",
        Gre = "gre",
    }
}

open_enum! {
    /// How a firewall selects its servers.
    TargetKind {
        Server = "server",
        LabelSelector = "label_selector",
    }
}

/// What a firewall is applied to: one server, or all that a label selector matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallTarget {
    /// The kind of target.
    #[serde(rename = "type")]
    pub kind: TargetKind,
    /// The server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerReference>,
    /// The selector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
}

/// A server by its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerReference {
    /// Id.
    pub id: u64,
}

/// A label selector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelSelector {
    /// Such as `role=machine`.
    pub selector: String,
}

impl FirewallTarget {
    /// One server.
    pub fn server(id: u64) -> Self {
        Self {
            kind: TargetKind::Server,
            server: Some(ServerReference { id }),
            label_selector: None,
        }
    }

    /// All servers that a label selector matches, including future ones.
    pub fn label_selector(selector: impl Into<String>) -> Self {
        let selector = LabelSelector { selector: selector.into() };
        Self { kind: TargetKind::LabelSelector, server: None, label_selector: Some(selector) }
    }
}

/// A firewall to create.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct NewFirewall {
    /// Unique in the project.
    pub name: String,
    /// Rules.
    pub rules: Vec<FirewallRule>,
    /// Labels. They also identify the firewall after a lost reply.
    pub labels: Labels,
    /// What it is applied to at its creation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub apply_to: Vec<FirewallTarget>,
}

/// A firewall that was created, and is being applied.
#[derive(Debug, Clone, Deserialize)]
pub struct CreatedFirewall {
    /// The firewall.
    pub firewall: Firewall,
    /// The actions that apply it.
    #[serde(default)]
    pub actions: Vec<Action>,
}

impl Resource for Firewall {
    const ONE: &'static str = "firewall";
    const MANY: &'static str = "firewalls";
}

impl Labeled for Firewall {
    fn labels(&self) -> &Labels {
        &self.labels
    }
}

impl Firewalls {
    /// Creates a firewall. After a lost reply it is found by its name and labels.
    pub async fn create(&self, new: &NewFirewall) -> Result<CreatedFirewall> {
        match self.create_named(&new.name, &new.labels, new).await? {
            Creation::Reply(line, reply) => {
                serde_json::from_value(reply).map_err(|source| Error::Decode { line, source })
            }
            Creation::Found(firewall, _) => {
                let mut actions = self.actions(firewall.id).await?;
                actions.retain(Action::is_running);
                Ok(CreatedFirewall { firewall, actions })
            }
        }
    }

    /// Replaces all rules.
    pub async fn set_rules(&self, firewall: u64, rules: &[FirewallRule]) -> Result<Vec<Action>> {
        self.act_on_many(firewall, "set_rules", &json!({ "rules": rules })).await
    }

    /// Applies a firewall to further targets.
    pub async fn apply(&self, firewall: u64, targets: &[FirewallTarget]) -> Result<Vec<Action>> {
        self.act_on_many(firewall, "apply_to_resources", &json!({ "apply_to": targets })).await
    }

    /// Removes a firewall from targets.
    pub async fn remove(&self, firewall: u64, targets: &[FirewallTarget]) -> Result<Vec<Action>> {
        self.act_on_many(firewall, "remove_from_resources", &json!({ "remove_from": targets }))
            .await
    }

    /// Replaces the name, or all labels.
    pub async fn update(
        &self,
        firewall: u64,
        name: Option<&str>,
        labels: Option<&Labels>,
    ) -> Result<Firewall> {
        self.change(firewall, name, labels).await
    }

    /// Deletes a firewall that is applied to nothing. Succeeds if it is already gone.
    pub async fn delete(&self, firewall: u64) -> Result<()> {
        self.erase(firewall).await
    }
}
