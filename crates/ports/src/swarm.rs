//! Services of a swarm: their ports belong to no container, because the machine's ingress network
//! forwards them to one of the tasks.
//!
//! The table treats a service as a container of its own. Ports that a service publishes in host
//! mode are those of its tasks' containers.

use engine::{PortBinding, PortMap, Service};

use crate::publication::{Container, Here, publications};

/// The service as the table's container. The ingress network has each number in both families.
pub(crate) fn as_container(service: &Service, here: Here) -> Container {
    let mut ports = PortMap::new();
    for port in service.ingress_ports() {
        let bindings = ports
            .entry(format!("{}/{}", port.target_port, port.protocol))
            .or_default()
            .get_or_insert_default();
        let host_port = port.published_port.to_string();
        bindings.extend(
            ["0.0.0.0", "::"]
                .map(|host| PortBinding { host_ip: host.to_owned(), host_port: host_port.clone() }),
        );
    }
    // It sorts after all container ids, which are hexadecimal, so that a container's name comes
    // first.
    let id = format!("service {}", service.id);
    Container {
        id,
        name: service.name().to_owned(),
        publications: publications(&ports, here, None),
        address: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ingress_ports_of_a_service_answer_here_and_host_mode_ports_belong_to_its_tasks() {
        let service = r#"{"ID":"q1","Spec":{"Name":"web"},"Endpoint":{"Ports":[
            {"Protocol":"tcp","TargetPort":80,"PublishedPort":18203,"PublishMode":"ingress"},
            {"Protocol":"tcp","TargetPort":81,"PublishedPort":18204,"PublishMode":"host"},
            {"Protocol":"udp","TargetPort":53,"PublishedPort":30000}]}}"#;
        let service: Service = serde_json::from_str(service).unwrap();
        let here = Here { bind: std::net::Ipv4Addr::LOCALHOST.into(), has: |_| false };
        let container = as_container(&service, here);
        let described = container
            .publications
            .iter()
            .map(|one| format!("{} -> {} ({})", one.wanted, one.remote, one.inside));
        assert_eq!(
            described.collect::<Vec<_>>(),
            [
                "127.0.0.1:18203 -> 127.0.0.1:18203 (80)",
                "127.0.0.1:30000/udp -> 127.0.0.1:30000 (53)"
            ]
        );
        assert!(
            serde_json::from_str::<Service>(r#"{"ID":"q1","Spec":{"Name":"web"},"Endpoint":{}}"#)
                .is_ok()
        );
    }
}
