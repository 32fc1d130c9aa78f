//! Published ports as the Engine API writes them.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `PortBindings` and `NetworkSettings.Ports` of the Engine API: container port, such as `80/tcp`,
/// to bindings of the host.
pub type PortMap = BTreeMap<String, Option<Vec<PortBinding>>>;

/// One binding of the Engine API. An empty host port, or `0`, asks for any free one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PortBinding {
    /// Address of the host; empty for all of both families.
    #[serde(default)]
    pub host_ip: String,
    /// Port of the host; the API allows a range.
    #[serde(default)]
    pub host_port: String,
}

/// One port in an entry of `GET /containers/json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedPort {
    #[serde(default, rename = "IP")]
    ip: String,
    private_port: u16,
    #[serde(default)]
    public_port: Option<u16>,
    #[serde(rename = "Type")]
    protocol: String,
}

/// Listed ports, in the form of `inspect`.
pub(crate) fn port_map<'a>(listed: impl Iterator<Item = &'a ListedPort>) -> PortMap {
    let mut map = PortMap::new();
    for port in listed {
        let bindings = map.entry(format!("{}/{}", port.private_port, port.protocol)).or_default();
        if let Some(public) = port.public_port {
            let binding = PortBinding { host_ip: port.ip.clone(), host_port: public.to_string() };
            bindings.get_or_insert_default().push(binding);
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_ports_have_the_form_of_inspect() {
        let listed: Vec<ListedPort> = serde_json::from_str(
            r#"[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},
                {"IP":"::","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},
                {"PrivatePort":53,"Type":"udp"}]"#,
        )
        .unwrap();
        let inspected: PortMap = serde_json::from_str(
            r#"{"53/udp":null,"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"},
                {"HostIp":"::","HostPort":"8080"}]}"#,
        )
        .unwrap();
        assert_eq!(port_map(listed.iter()), inspected);
    }
}
