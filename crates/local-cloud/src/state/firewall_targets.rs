//! Which firewalls apply to a server, and the resulting rules.

use std::collections::BTreeSet;

use super::firewall::{Direction, Target, parse_ports};
use super::ids::Id;
use super::labels::Selector;
use super::project::Project;
use crate::hypervisor::InboundRule;

impl Project {
    /// The firewalls that should apply to a server.
    pub(crate) fn wanted_firewalls(&self, server: Id) -> BTreeSet<Id> {
        let Some(server) = self.servers.get(&server) else { return BTreeSet::new() };
        let reaches = |target: &Target| match target {
            Target::Server(id) => *id == server.id,
            Target::Selector(text) => {
                Selector::parse(text).is_ok_and(|s| s.matches(&server.labels))
            }
        };
        self.firewalls.values().filter(|f| f.targets.iter().any(reaches)).map(|f| f.id).collect()
    }

    /// What the machine must admit under these firewalls; `None` without any firewall.
    pub(crate) fn inbound_rules(&self, firewalls: &BTreeSet<Id>) -> Option<Vec<InboundRule>> {
        if firewalls.is_empty() {
            return None;
        }
        let rules = firewalls.iter().filter_map(|id| self.firewalls.get(id)).flat_map(|f| &f.rules);
        let inbound = rules.filter(|r| r.direction == Direction::In);
        let admitted = inbound.map(|r| InboundRule {
            protocol: r.protocol.name().to_owned(),
            ports: r.port.as_deref().and_then(parse_ports),
            sources: r.source_ips.clone(),
        });
        Some(admitted.collect())
    }

    /// The wanted firewalls whose current rules are not in force, and the firewalls in force that
    /// are not wanted.
    pub(crate) fn firewall_differences(&self, server: Id) -> (Vec<Id>, Vec<Id>) {
        let Some(record) = self.servers.get(&server) else { return (Vec::new(), Vec::new()) };
        let wanted = self.wanted_firewalls(server);
        let in_force = |id: &Id| {
            record.firewalls.get(id).copied().flatten()
                == self.firewalls.get(id).map(|f| f.revision)
        };
        let missing = wanted.iter().copied().filter(|id| !in_force(id)).collect();
        let surplus = record.firewalls.keys().copied().filter(|id| !wanted.contains(id)).collect();
        (missing, surplus)
    }
}
