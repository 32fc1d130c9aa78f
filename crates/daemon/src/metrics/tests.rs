//! Tests of the metrics: their text, the counts of a history, and the reference.

use std::path::Path;

use api::Protocol;
use lifecycle::Moment;
use machine::{ApiUse, Phase};
use ports::{PortState, PortStatus, Traffic};

use super::history::{Seen, Sums};
use super::snapshot::Snapshot;
use super::*;
use crate::state::{DaemonState, MachineState};

fn port() -> PortStatus {
    PortStatus {
        container: "we\"b\n".to_owned(),
        protocol: Protocol::Tcp,
        local: "127.0.0.1:8080".parse().unwrap(),
        addresses: Vec::new(),
        asked_for: None,
        container_port: 80,
        remote: None,
        by_hand: true,
        traffic: Traffic { bytes_in: 7, connections_total: 2, ..Traffic::default() },
        state: PortState::Open,
    }
}

fn snapshot() -> Snapshot {
    Snapshot {
        state: api::MachineState::Up,
        ports: vec![port()],
        disk: Some(agent_proto::DiskUsage { used: 5, total: 9 }),
        lease: Some(12.5),
        cost: Some(("EUR".to_owned(), 1.25)),
        api: Some(ApiUse { answered: 3, refused: 1, unanswered: 0, rate: None }),
        traffic: Sums { up: 11, down: 22, open: 2 },
        round_trip: Some(0.02),
    }
}

/// A wake with one stage.
fn woken(history: &History) {
    let moment = |seconds| Moment::since_boot(std::time::Duration::from_secs(seconds));
    let (mut seen, mut state) = (Seen::default(), DaemonState::new(moment(0)));
    state.enter(MachineState::Waking, moment(1));
    state.phase(Phase::Boot, None, moment(1));
    history.observe(&mut seen, &state);
    state.phases_end(moment(5));
    history.observe(&mut seen, &state);
    state.enter(MachineState::Absent { because: None }, moment(6));
    history.observe(&mut seen, &state);
}

fn text() -> String {
    let (requests, history) = (RequestMetrics::default(), History::new());
    woken(&history);
    let mut registry = registry(&requests, &history);
    registry.register_collector(Box::new(snapshot()));
    Metrics(Arc::new(registry)).text()
}

#[test]
fn names_and_labels_of_forwards_and_volume_stay() {
    let text = text();
    let labels = r#"{container="we\"b\n",port="80",protocol="tcp",local="127.0.0.1:8080"}"#;
    for line in [
        format!("dockbridge_forward_up{labels} 1"),
        format!("dockbridge_forward_connections{labels} 0"),
        format!("dockbridge_forward_connections_total{labels} 2"),
        format!("dockbridge_forward_connections_failed_total{labels} 0"),
        format!("dockbridge_forward_sent_bytes_total{labels} 7"),
        format!("dockbridge_forward_received_bytes_total{labels} 0"),
        format!("dockbridge_forward_dropped_datagrams_total{labels} 0"),
        "dockbridge_volume_size_bytes 9".to_owned(),
        "dockbridge_volume_used_bytes 5".to_owned(),
        "# TYPE dockbridge_forward_connections_total counter".to_owned(),
        "dockbridge_machine_state{state=\"up\"} 1".to_owned(),
        "dockbridge_machine_state{state=\"absent\"} 0".to_owned(),
        "dockbridge_lease_remaining_seconds 12.5".to_owned(),
        "dockbridge_month_cost{currency=\"EUR\"} 1.25".to_owned(),
        "dockbridge_cloud_requests_total{result=\"answered\"} 3".to_owned(),
        "dockbridge_tunnel_sent_bytes_total 11".to_owned(),
        "dockbridge_streams_open 2".to_owned(),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn stage_and_result_of_a_wake_are_counted_once_however_often_the_state_is_seen() {
    let history = History::new();
    let moment = |seconds| Moment::since_boot(std::time::Duration::from_secs(seconds));
    let (mut seen, mut state) = (Seen::default(), DaemonState::new(moment(0)));
    let look = |state: &DaemonState, seen: &mut Seen| {
        history.observe(seen, state);
        history.observe(seen, state);
    };
    for begun in [10, 100] {
        state.phases.clear();
        state.enter(MachineState::Waking, moment(begun));
        for (phase, at) in [(Phase::Create, 0), (Phase::Boot, 3)] {
            state.phase(phase, None, moment(begun + at));
            look(&state, &mut seen);
        }
        state.phases_end(moment(begun + 20));
        look(&state, &mut seen);
        let error = Box::new(api::Error::new(api::Code::NoMachine, ""));
        state.enter(MachineState::Failed { error, again: None }, moment(begun + 20));
        look(&state, &mut seen);
    }
    let mut registry = Registry::with_prefix("t");
    history.register(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    for line in [
        "t_wakes_total{result=\"failed\"} 2",
        "t_wakes_total{result=\"up\"} 0",
        "t_wake_stage_duration_seconds_count{stage=\"create\"} 2",
        "t_wake_stage_duration_seconds_sum{stage=\"create\"} 6.0",
        "t_wake_stage_duration_seconds_count{stage=\"boot\"} 2",
        "t_wake_stage_duration_seconds_sum{stage=\"boot\"} 34.0",
        "t_reconnects_total 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

/// Name, type, unit and meaning of each metric, as Markdown.
fn reference(text: &str) -> String {
    let mut table =
        "\n| name | type | unit | labels | meaning |\n|---|---|---|---|---|\n".to_owned();
    let mut meaning = "";
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            meaning = help.split_once(' ').unwrap().1;
        }
        let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|it| it.split_once(' '))
        else {
            continue;
        };
        let unit = ["seconds", "bytes"].into_iter().find(|unit| {
            name.ends_with(&format!("_{unit}")) || name.ends_with(&format!("_{unit}_total"))
        });
        let unit = unit.unwrap_or(if name == "dockbridge_month_cost" { "money" } else { "" });
        let labels = labels(text, name);
        table.push_str(&format!("| `{name}` | {kind} | {unit} | {labels} | {meaning} |\n"));
    }
    table.push('\n');
    table
}

/// The labels of the first sample.
fn labels(text: &str, name: &str) -> String {
    let sample = |line: &&str| {
        line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name}_count{{"))
    };
    let Some(sample) = text.lines().find(sample) else { return String::new() };
    let inner = sample.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).unwrap().0;
    let names = inner.split("\",").filter_map(|pair| pair.split_once('='));
    names.map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[test]
fn reference_of_metrics_is_up_to_date() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let test = "-p dockbridge-daemon --lib reference";
    testkit::compare_generated(&document, "metrics", &reference(&text()), test);
}
