//! Services of a swarm.

use serde::Deserialize;

/// The parts of an entry of `GET /services` that dockbridge uses.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Service {
    /// The id.
    #[serde(rename = "ID")]
    pub id: String,
    spec: Spec,
    #[serde(default)]
    endpoint: Endpoint,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Spec {
    name: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Endpoint {
    #[serde(default)]
    ports: Option<Vec<ServicePort>>,
}

/// A port that a service publishes.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServicePort {
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// Port of the tasks' containers.
    pub target_port: u16,
    /// Port of the host; 0 if there is none.
    #[serde(default)]
    pub published_port: u16,
    #[serde(default)]
    publish_mode: String,
}

impl Service {
    /// The name.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Ports that the ingress network forwards to one of the tasks. Ports in host mode are those of
    /// the tasks' containers.
    pub fn ingress_ports(&self) -> impl Iterator<Item = &ServicePort> {
        self.endpoint.ports.iter().flatten().filter(|port| port.publish_mode != "host")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_in_host_mode_are_no_ingress_ports() {
        let service: Service = serde_json::from_str(
            r#"{"ID":"q1","Spec":{"Name":"web"},"Endpoint":{"Ports":[
                {"Protocol":"tcp","TargetPort":80,"PublishedPort":8080,"PublishMode":"ingress"},
                {"Protocol":"tcp","TargetPort":81,"PublishedPort":8081,"PublishMode":"host"},
                {"Protocol":"udp","TargetPort":53,"PublishedPort":30000}]}}"#,
        )
        .unwrap();
        assert_eq!((service.id.as_str(), service.name()), ("q1", "web"));
        assert!(service.ingress_ports().map(|port| port.published_port).eq([8080, 30000]));
        let portless = r#"{"ID":"q1","Spec":{"Name":"web"},"Endpoint":{}}"#;
        let portless: Service = serde_json::from_str(portless).unwrap();
        assert_eq!(portless.ingress_ports().count(), 0);
    }
}
