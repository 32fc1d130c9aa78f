//! Firewalls: their rules and their targets. `firewall_targets` derives the rules of one server.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::Id;
use super::labels::Labels;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Firewall {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) created: Timestamp,
    pub(crate) labels: Labels,
    pub(crate) rules: Vec<Rule>,
    /// Counts the changes of the rules.
    pub(crate) revision: u64,
    pub(crate) targets: BTreeSet<Target>,
}

/// A rule as the client sent it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) direction: Direction,
    pub(crate) protocol: Protocol,
    #[serde(default)]
    pub(crate) port: Option<String>,
    #[serde(default)]
    pub(crate) source_ips: Vec<String>,
    #[serde(default)]
    pub(crate) destination_ips: Vec<String>,
    #[serde(default)]
    pub(crate) description: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    In,
    Out,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    Tcp,
    Udp,
    Icmp,
    Esp,
    Gre,
}

/// What a firewall applies to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    Server(Id),
    /// All servers with matching labels, now and later.
    Selector(String),
}

impl Protocol {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Icmp => "icmp",
            Protocol::Esp => "esp",
            Protocol::Gre => "gre",
        }
    }

    pub(crate) fn has_ports(self) -> bool {
        matches!(self, Protocol::Tcp | Protocol::Udp)
    }
}

/// `80` or `80-85`.
pub(crate) fn parse_ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first >= 1 && first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_one_or_a_range() {
        assert_eq!(parse_ports("22"), Some((22, 22)));
        assert_eq!(parse_ports("80-85"), Some((80, 85)));
        for bad in ["", "0", "85-80", "70000", "a", "1-2-3", "-"] {
            assert_eq!(parse_ports(bad), None, "{bad:?}");
        }
    }
}
