//! The servers' firewalls, outside the machines: one nft table per local cloud, on the path from
//! the host to them. It filters packets from the host itself (output) and forwarded packets, from
//! a neighbor or from elsewhere (forward). Replies to a machine's own connections are admitted.
//!
//! Not covered: outbound rules, and IPv6 (machines have link-local addresses only, and the bridge
//! isolates them). If the host's own firewall drops forwarded packets, machines cannot reach each
//! other whatever the rules here say.

use std::fmt::Write;
use std::net::Ipv4Addr;

use super::claim::Slot;
use super::disk::Rule;
use super::network;
use super::tool::{failure, feed, run};
use crate::hypervisor::Failure;

/// Replaces the table in one transaction: no packet meets half of it.
pub(super) async fn apply(slot: Slot, servers: &[(Ipv4Addr, Vec<Rule>)]) -> Result<(), Failure> {
    let script = script(slot, servers, network::host_routes())?;
    feed("set the firewall", "nft", &["-f", "-"], &script).await.map(drop)
}

/// Removes the table.
pub(super) async fn remove(slot: Slot) -> Result<(), Failure> {
    // Adding first makes the deletion succeed whether the table existed or not.
    let table = slot.table();
    feed(
        "remove the firewall",
        "nft",
        &["-f", "-"],
        &format!("table inet {table}\ndelete table inet {table}\n"),
    )
    .await
    .map(drop)
}

/// Slots whose table exists.
pub(super) async fn slots() -> Vec<Slot> {
    let tables =
        run("look for firewalls", "nft", &["list", "tables", "inet"]).await.unwrap_or_default();
    tables
        .lines()
        .filter_map(|line| Slot::of(line.strip_prefix("table inet ")?.trim(), "dockbridge_"))
        .collect()
}

fn script(
    slot: Slot,
    servers: &[(Ipv4Addr, Vec<Rule>)],
    host_routes: bool,
) -> Result<String, Failure> {
    let (table, bridge) = (slot.table(), slot.bridge());
    let network = format!("{}/24", slot.address(0));
    let mut chains = String::new();
    let mut guarded = Vec::new();
    for (address, rules) in servers {
        let chain = format!("server_{}", address.octets()[3]);
        guarded.push(format!("{address} : jump {chain}"));
        let _ = writeln!(chains, "  chain {chain} {{");
        for rule in rules {
            for line in matches(rule)? {
                let _ = writeln!(chains, "    {line} accept");
            }
        }
        let _ = writeln!(chains, "    drop\n  }}");
    }
    let dispatch = if guarded.is_empty() {
        String::new()
    } else {
        format!("    ip daddr vmap {{ {} }}\n", guarded.join(", "))
    };
    // If the host is a router, machines reach what it reaches, with its address; otherwise they
    // get an error at once instead of a timeout.
    let outside = if host_routes {
        format!(
            "  chain outside {{\n    type nat hook postrouting priority srcnat;\n    ip saddr \
             {network} oifname != \"{bridge}\" masquerade\n  }}\n"
        )
    } else {
        String::new()
    };
    let refuse = if host_routes {
        String::new()
    } else {
        format!(
            "    iifname \"{bridge}\" oifname != \"{bridge}\" reject with icmp net-unreachable\n"
        )
    };
    Ok(format!(
        "table inet {table}\ndelete table inet {table}\ntable inet {table} {{\n  chain output {{\n \
         type filter hook output priority filter;\n    oifname \"{bridge}\" jump inbound\n  }}\n  \
         chain forward {{\n    type filter hook forward priority filter;\n{refuse}    oifname \
         \"{bridge}\" jump inbound\n  }}\n  chain inbound {{\n    ct state established,related \
         accept\n{dispatch}  }}\n{chains}{outside}}}\n"
    ))
}

/// The nft matches of a rule; one per source, none when all sources are IPv6. Everything is parsed
/// and formatted again, so that none of the client's text reaches nft.
fn matches(rule: &Rule) -> Result<Vec<String>, Failure> {
    let ports = match rule.ports {
        Some((first, last)) if first == last => format!(" th dport {first}"),
        Some((first, last)) => format!(" th dport {first}-{last}"),
        None => String::new(),
    };
    let protocol = match rule.protocol.as_str() {
        known @ ("tcp" | "udp" | "icmp" | "esp" | "gre") => known,
        other => return Err(failure("set the firewall", format!("unknown protocol {other}"))),
    };
    let ports = if matches!(protocol, "tcp" | "udp") { ports } else { String::new() };
    let mut lines = Vec::new();
    for source in &rule.sources {
        if let Some((address, length)) = ipv4(source)? {
            lines.push(format!("ip saddr {address}/{length} meta l4proto {protocol}{ports}"));
        }
    }
    Ok(lines)
}

/// `None` for IPv6.
fn ipv4(source: &str) -> Result<Option<(Ipv4Addr, u8)>, Failure> {
    let bad = || failure("set the firewall", format!("not an address range: {source}"));
    let (address, length) = source.split_once('/').unwrap_or((source, ""));
    match address.parse::<std::net::IpAddr>().map_err(|_| bad())? {
        std::net::IpAddr::V6(_) => Ok(None),
        std::net::IpAddr::V4(address) => {
            let length = if length.is_empty() {
                32
            } else {
                length.parse().ok().filter(|bits| *bits <= 32).ok_or_else(bad)?
            };
            Ok(Some((address, length)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(protocol: &str, ports: Option<(u16, u16)>, sources: &[&str]) -> Rule {
        Rule {
            protocol: protocol.to_owned(),
            ports,
            sources: sources.iter().map(|source| (*source).to_owned()).collect(),
        }
    }

    #[test]
    fn what_no_rule_admits_is_dropped() {
        let ssh = rule("tcp", Some((22, 22)), &["0.0.0.0/0", "::/0"]);
        let text = script(Slot(3), &[(Ipv4Addr::new(10, 213, 3, 9), vec![ssh])], false).unwrap();
        assert!(text.contains("ip daddr vmap { 10.213.3.9 : jump server_9 }"), "{text}");
        assert!(
            text.contains("    ip saddr 0.0.0.0/0 meta l4proto tcp th dport 22 accept\n    drop\n"),
            "{text}"
        );
        assert!(!text.contains("masquerade"), "{text}");
    }

    #[test]
    fn without_firewalls_nothing_is_dropped() {
        let text = script(Slot(3), &[], true).unwrap();
        assert!(
            !text.contains("drop") && !text.contains("vmap") && text.contains("masquerade"),
            "{text}"
        );
    }

    #[test]
    fn text_that_is_no_address_never_reaches_nft() {
        assert!(matches(&rule("tcp", None, &["0.0.0.0/0 accept; drop"])).is_err());
        assert!(matches(&rule("tcp accept", None, &["0.0.0.0/0"])).is_err());
        assert!(matches(&rule("udp", Some((1, 2)), &["10.0.0.0/33"])).is_err());
        assert_eq!(
            matches(&rule("icmp", None, &["10.0.0.1"])).unwrap(),
            ["ip saddr 10.0.0.1/32 meta l4proto icmp"]
        );
        assert_eq!(
            matches(&rule("udp", Some((1, 2)), &["fe80::/10"])).unwrap(),
            Vec::<String>::new()
        );
    }
}
