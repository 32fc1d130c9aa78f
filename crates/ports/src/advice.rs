//! What a container asks for, and advice on an engine's refusal of it.

use std::net::IpAddr;

use engine::{ContainerInspect, PortBinding, PortMap};

use crate::publication::{Here, Publication, publications};

/// The ports that a container publishes, which are fixed when it is created.
#[derive(Debug, Clone)]
pub struct Asked {
    pub(crate) id: String,
    pub(crate) name: String,
    /// The publications with a fixed number.
    pub(crate) publications: Vec<Publication>,
    /// The bindings as sent to the engine.
    pub(crate) exposes: PortMap,
    /// Whether the engine chooses numbers when the container starts.
    pub(crate) chooses: bool,
    pub(crate) removes_itself: bool,
}

impl Asked {
    pub(crate) fn of(inspected: &ContainerInspect, here: Here) -> Self {
        let published = inspected.host_config.publishes();
        let bindings =
            inspected.host_config.port_bindings.clone().filter(|_| published).unwrap_or_default();
        let is_open = |binding: &PortBinding| !matches!(binding.host_port.parse::<u16>(), Ok(1..));
        Self {
            id: inspected.id.clone(),
            name: inspected.name().to_owned(),
            chooses: (published && inspected.host_config.publish_all_ports)
                || bindings.values().flatten().flatten().any(is_open),
            publications: publications(&bindings, here, None),
            exposes: bindings,
            removes_itself: inspected.host_config.auto_remove,
        }
    }
}

impl Asked {
    /// What the user can do about an engine's refusal, if it concerns an address of the machine.
    pub fn advice(&self, refusal: &str) -> Option<String> {
        let is_taken = refusal.contains("address already in use");
        if !is_taken && !refusal.contains("cannot assign requested address") {
            return None;
        }
        let bindings = self.exposes.iter().flat_map(|(inside, bindings)| {
            bindings.iter().flatten().map(move |binding| (inside, binding))
        });
        let mut matching = bindings.filter(|(_, binding)| names(refusal, &binding.host_port));
        let (inside, PortBinding { host_ip, host_port }) = matching.next()?;
        let (inside, protocol) = inside.split_once('/').unwrap_or((inside, "tcp"));
        let suffix = if protocol == "udp" { "/udp" } else { "" };
        let host = match host_ip.parse::<IpAddr>() {
            Ok(address) if address.is_unspecified() => String::new(),
            Ok(address @ IpAddr::V6(_)) => format!("[{address}]:"),
            Ok(address) => format!("{address}:"),
            Err(_) => String::new(),
        };
        let by_hand =
            format!("`dockbridge ports add {host}{host_port}:{}:{inside}{suffix}`", self.name);
        Some(match is_taken {
            true => format!(
                "The machine itself uses port {host_port}, for its SSH server, its name service or \
                    a container in its own network; this computer does not. Publish \
                 another port, or start the container without this one and forward it: {by_hand}"
            ),
            false => format!(
                "The machine has no address {host_ip}. Publish without an address, or start the \
                    container without this port and forward it: {by_hand}"
            ),
        })
    }
}

/// Whether an engine's message names this port of the host: `0.0.0.0:22: bind: …` or
/// `0.0.0.0:22:172.17.0.2:80/tcp: …`.
fn names(refusal: &str, port: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|next: char| next.is_ascii_digit());
    let colon = format!(":{port}");
    !port.is_empty()
        && refusal.match_indices(&colon).any(|(at, _)| ends(&refusal[at + colon.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_the_machine_uses_is_recognized_in_the_engines_message() {
        let ports: PortMap = serde_json::from_str(
            r#"{"53/udp":[{"HostIp":"127.0.0.1","HostPort":"53"}],
                "80/tcp":[{"HostIp":"","HostPort":"22"}],
                "81/tcp":[{"HostIp":"192.0.2.9","HostPort":"8080"}]}"#,
        )
        .unwrap();
        let asked = Asked {
            id: String::new(),
            name: "web".into(),
            publications: Vec::new(),
            exposes: ports,
            chooses: false,
            removes_itself: false,
        };
        let advice = |words: &str| asked.advice(words);
        for words in [
            "Error starting userland proxy: listen tcp4 0.0.0.0:22: bind: address already in use",
            "failed to bind host port for 0.0.0.0:22:172.17.0.2:80/tcp: address already in use",
            "failed to bind host port 0.0.0.0:22/tcp: address already in use",
        ] {
            let advice = advice(words).unwrap();
            assert!(
                advice.contains("machine itself uses port 22")
                    && advice.ends_with("`dockbridge ports add 22:web:80`"),
                "{advice}"
            );
        }
        let datagrams = advice("listen udp4 127.0.0.1:53: bind: address already in use").unwrap();
        assert!(
            datagrams.ends_with("`dockbridge ports add 127.0.0.1:53:web:53/udp`"),
            "{datagrams}"
        );
        let address =
            advice("listen tcp4 192.0.2.9:8080: bind: cannot assign requested address").unwrap();
        assert!(
            address.starts_with("The machine has no address 192.0.2.9")
                && address.ends_with("add 192.0.2.9:8080:web:81`"),
            "{address}"
        );
        for words in [
            "Bind for 0.0.0.0:22 failed: port is already allocated",
            "listen tcp4 0.0.0.0:220: bind: address already in use",
        ] {
            assert_eq!(advice(words), None, "{words}");
        }
    }
}
