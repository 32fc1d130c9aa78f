//! What holds at the moment of a scrape, as metrics. Pure. A family without a value has its
//! description all the same, so that the reference has it.

use std::fmt;

use agent_proto::DiskUsage;
use machine::ApiUse;
use ports::{PortState, PortStatus, Traffic};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::history::Sums;

/// What holds at one moment.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) state: api::MachineState,
    pub(super) ports: Vec<PortStatus>,
    pub(super) disk: Option<DiskUsage>,
    /// Seconds until the machine ends itself if it hears nothing more.
    pub(super) lease: Option<f64>,
    /// Currency and net sum of this month.
    pub(super) cost: Option<(String, f64)>,
    pub(super) api: Option<ApiUse>,
    pub(super) traffic: Sums,
    /// In seconds.
    pub(super) round_trip: Option<f64>,
}

type Labels = Vec<(&'static str, String)>;
type Read = fn(&Traffic) -> u64;

/// Name, unit, type, meaning and value. A counter restarts at zero when its port is opened again.
const FORWARDS: [(&str, Option<Unit>, MetricType, &str, Read); 6] = [
    (
        "forward_connections",
        None,
        MetricType::Gauge,
        "Connections (UDP: clients) open now",
        |traffic| traffic.connections_now as u64,
    ),
    (
        "forward_connections",
        None,
        MetricType::Counter,
        "Connections since the port was opened",
        |traffic| traffic.connections_total,
    ),
    (
        "forward_connections_failed",
        None,
        MetricType::Counter,
        "Connections that ended with an error",
        |traffic| traffic.connections_failed,
    ),
    ("forward_sent", Some(Unit::Bytes), MetricType::Counter, "Bytes to the container", |traffic| {
        traffic.bytes_in
    }),
    (
        "forward_received",
        Some(Unit::Bytes),
        MetricType::Counter,
        "Bytes from the container",
        |traffic| traffic.bytes_out,
    ),
    (
        "forward_dropped_datagrams",
        None,
        MetricType::Counter,
        "Datagrams that the path could not take",
        |traffic| traffic.datagrams_dropped,
    ),
];

enum Value {
    Count(u64),
    Amount(f64),
}

struct Families<'a>(DescriptorEncoder<'a>);

impl Families<'_> {
    /// Writes a family with its samples.
    fn put(
        &mut self,
        name: &str,
        unit: Option<&Unit>,
        kind: MetricType,
        meaning: &str,
        samples: impl IntoIterator<Item = (Labels, Value)>,
    ) -> fmt::Result {
        let meaning = format!("{meaning}.");
        let mut family = self.0.encode_descriptor(name, &meaning, unit, kind)?;
        for (labels, value) in samples {
            let mut sample = family.encode_family(&labels)?;
            match (kind, value) {
                (MetricType::Counter, Value::Count(count)) => {
                    sample.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
                }
                (_, Value::Count(count)) => sample.encode_gauge(&count)?,
                (_, Value::Amount(amount)) => sample.encode_gauge(&amount)?,
            }
        }
        Ok(())
    }

    /// A gauge without labels.
    fn gauge(
        &mut self,
        name: &str,
        unit: Option<&Unit>,
        meaning: &str,
        value: Option<Value>,
    ) -> fmt::Result {
        let samples = value.map(|value| (Labels::new(), value));
        self.put(name, unit, MetricType::Gauge, meaning, samples)
    }
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        self.machine(&mut families)?;
        self.tunnel(&mut families)?;
        self.cloud(&mut families)?;
        self.forwards(&mut families)
    }
}

impl Snapshot {
    fn machine(&self, families: &mut Families<'_>) -> fmt::Result {
        let states = api::MachineState::ALL.iter().map(|state| {
            let labels = vec![("state", state.word().to_owned())];
            (labels, Value::Count(u64::from(*state == self.state)))
        });
        let meaning = "1 for the state that the machine is in, 0 for the others";
        families.put("machine_state", None, MetricType::Gauge, meaning, states)?;
        families.gauge(
            "lease_remaining",
            Some(&Unit::Seconds),
            "Time until the machine ends itself if it hears nothing more",
            self.lease.map(Value::Amount),
        )?;
        let disk = |read: fn(DiskUsage) -> u64| self.disk.map(read).map(Value::Count);
        let bytes = Some(&Unit::Bytes);
        let (size, used) = (disk(|disk| disk.total), disk(|disk| disk.used));
        families.gauge("volume_size", bytes, "Size of the volume's file system", size)?;
        families.gauge("volume_used", bytes, "What of the volume is in use", used)?;
        let cost = self
            .cost
            .as_ref()
            .map(|(currency, sum)| (vec![("currency", currency.clone())], Value::Amount(*sum)));
        let meaning = "Cost of this month so far (UTC), net, as this computer saw it";
        families.put("month_cost", None, MetricType::Gauge, meaning, cost)
    }

    fn tunnel(&self, families: &mut Families<'_>) -> fmt::Result {
        let Sums { up, down, open } = self.traffic;
        families.gauge("streams_open", None, "Streams to the machine", Some(Value::Count(open)))?;
        for (name, meaning, bytes) in [
            ("tunnel_sent", "Bytes to machines, in all streams", up),
            ("tunnel_received", "Bytes from machines, in all streams", down),
        ] {
            let sample = [(Labels::new(), Value::Count(bytes))];
            families.put(name, Some(&Unit::Bytes), MetricType::Counter, meaning, sample)?;
        }
        families.gauge(
            "tunnel_round_trip",
            Some(&Unit::Seconds),
            "The last round trip to the machine, through SSH and the agent",
            self.round_trip.map(Value::Amount),
        )
    }

    fn cloud(&self, families: &mut Families<'_>) -> fmt::Result {
        let requests = self.api.into_iter().flat_map(|api| {
            let results = [
                ("answered", api.answered),
                ("refused", api.refused),
                ("unanswered", api.unanswered),
            ];
            results
                .map(|(result, count)| (vec![("result", result.to_owned())], Value::Count(count)))
        });
        let meaning = "Requests to the cloud's API, retries included, by result";
        families.put("cloud_requests", None, MetricType::Counter, meaning, requests)?;
        let rate = self.api.and_then(|api| api.rate);
        families.gauge(
            "cloud_rate_limit_remaining_requests",
            None,
            "Requests that the project had left, by the last answer of the cloud",
            rate.map(|rate| Value::Count(rate.remaining.into())),
        )?;
        families.gauge(
            "cloud_rate_limit_requests",
            None,
            "Requests that a project may send in an hour",
            rate.map(|rate| Value::Count(rate.limit.into())),
        )
    }

    fn forwards(&self, families: &mut Families<'_>) -> fmt::Result {
        let up = |port: &PortStatus| Value::Count(u64::from(port.state == PortState::Open));
        let samples = self.ports.iter().map(|port| (labels(port), up(port)));
        let meaning = "Whether the port answers on this computer";
        families.put("forward_up", None, MetricType::Gauge, meaning, samples)?;
        for (name, unit, kind, meaning, read) in &FORWARDS {
            let value = |port: &PortStatus| Value::Count(read(&port.traffic));
            let samples = self.ports.iter().map(|port| (labels(port), value(port)));
            families.put(name, unit.as_ref(), *kind, meaning, samples)?;
        }
        Ok(())
    }
}

fn labels(port: &PortStatus) -> Labels {
    vec![
        ("container", port.container.clone()),
        ("port", port.container_port.to_string()),
        ("protocol", port.protocol.to_string()),
        ("local", port.local.to_string()),
    ]
}
