//! Metrics of the forwards and of the volume, in the text format of Prometheus: `GET /metrics` of
//! the control socket. A counter restarts at zero when its port is opened again.

use std::fmt::Write as _;

use agent_proto::DiskUsage;
use ports::{PortState, PortStatus, Traffic};

type Read = fn(&Traffic) -> u64;

/// Name, kind, help text and value.
const FORWARDS: [(&str, &str, &str, Read); 6] = [
    ("connections", "gauge", "Connections (UDP: clients) open now.", |traffic| {
        traffic.connections_now as u64
    }),
    ("connections_total", "counter", "Connections since the port was opened.", |traffic| {
        traffic.connections_total
    }),
    ("connections_failed_total", "counter", "Connections that ended with an error.", |traffic| {
        traffic.connections_failed
    }),
    ("sent_bytes_total", "counter", "Bytes to the container.", |traffic| traffic.bytes_in),
    ("received_bytes_total", "counter", "Bytes from the container.", |traffic| traffic.bytes_out),
    ("dropped_datagrams_total", "counter", "Datagrams that the path could not take.", |traffic| {
        traffic.datagrams_dropped
    }),
];

pub(crate) fn render(ports: &[PortStatus], disk: Option<DiskUsage>) -> String {
    let mut text = String::new();
    if let Some(disk) = disk {
        for (name, help, value) in [
            ("size", "Size of the volume's file system.", disk.total),
            ("used", "What of it is in use.", disk.used),
        ] {
            let _ = writeln!(
                text,
                "# HELP dockbridge_volume_{name}_bytes {help}\n# TYPE \
                 dockbridge_volume_{name}_bytes gauge\ndockbridge_volume_{name}_bytes {value}"
            );
        }
    }
    let mut family = |name: &str, kind: &str, help: &str, value: &dyn Fn(&PortStatus) -> u64| {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "# HELP dockbridge_forward_{name} {help}\n# TYPE dockbridge_forward_{name} {kind}"
        );
        for port in ports {
            let PortStatus { container, protocol, local, container_port, .. } = port;
            let container = escaped(container);
            let _ = writeln!(
                text,
                "dockbridge_forward_{name}{{container=\"{container}\",port=\"{container_port}\",\
                 protocol=\"{protocol}\",local=\"{local}\"}} {}",
                value(port)
            );
        }
    };
    family("up", "gauge", "Whether the port answers on this computer.", &|port| {
        u64::from(port.state == PortState::Open)
    });
    for (name, kind, help, read) in FORWARDS {
        family(name, kind, help, &|port| read(&port.traffic));
    }
    text
}

/// The name of a manual forward is any text.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
