//! Everything below the three answers. Pure.

use api::{
    ActivityKind, CheckStatus, EndedActivity, LossEnd, MachineState, PortState, PortStatus,
    Severity, Status, Summary,
};

use super::super::ports::{self, bytes};
use super::super::{server, why};
use super::local_time::{LocalTime, rough, whole};
use super::row::{Row, Tone};
use crate::output::seconds;

/// Entries of each list that grows: one screen has 24 lines.
const LISTED: usize = 3;
/// What keeps the machine is why a user looks.
const REASONS: usize = 6;

pub fn details(status: &Status, now: &LocalTime) -> Vec<Row> {
    let mut rows = Vec::new();
    prospects(status, now, &mut rows);
    machine(status, &mut rows);
    engine(status, now, &mut rows);
    health(status, now, &mut rows);
    activity(status, now, &mut rows);
    rows.extend(status.ports.iter().map(|port| Row::plain("Port", port_text(port))));
    if let Some(budget) = &status.budget {
        let (limit, spent) = (budget.limit, budget.spent);
        let text = format!("{spent:.2} of {limit:.2} EUR spent this month; net");
        rows.push(Row::plain("Budget", text));
    }
    rows.push(Row::plain("Profile", &status.profile));
    rows.push(Row::plain("Socket", format!("unix://{}", status.socket.display())));
    if let Some(unit) = &status.service {
        rows.push(Row::plain("Service", unit));
    }
    if let Some(port) = status.proxy_port {
        rows.push(Row::plain("Port", format!("tcp://127.0.0.1:{port} (same engine)")));
    }
    rows
}

/// The rows of a list: the label stands before the first one only.
fn list(label: &'static str, rows: impl Iterator<Item = (Tone, String, String)>) -> Vec<Row> {
    let row = |(number, (tone, head, rest)): (usize, (Tone, String, String))| {
        Row::headed(if number == 0 { label } else { "" }, tone, &head, rest)
    };
    rows.enumerate().map(row).collect()
}

/// What keeps the machine, and what the user should know.
fn prospects(status: &Status, now: &LocalTime, rows: &mut Vec<Row>) {
    let reasons = &status.why.reasons;
    for reason in reasons.iter().take(REASONS) {
        rows.push(Row::plain("Kept by", why::describe(reason)));
    }
    if reasons.len() > REASONS {
        let more = reasons.len() - REASONS;
        rows.push(Row::plain("", format!("and {more} more: `dockbridge why`")));
    }
    for warning in &status.why.warnings {
        let tone = if warning.severity == Severity::High { Tone::Bad } else { Tone::Busy };
        rows.push(Row::toned("Note", tone, warning.to_string()));
    }
    if let Some(pin) = status.pin.as_ref().filter(|_| status.state != MachineState::Up) {
        let left = pin.seconds.map_or_else(
            || "until `dockbridge unpin`".to_owned(),
            |left| format!("until {}", now.in_another(left)),
        );
        rows.push(Row::plain("Pinned", format!("{left}, applies once a machine exists")));
    }
}

fn machine(status: &Status, rows: &mut Vec<Row>) {
    // Its price stands in the answers.
    let describe =
        |machine: &Summary| server::describe(&Summary { price_hourly: None, ..machine.clone() });
    if let Some(machine) = &status.machine {
        rows.push(Row::plain("Machine", describe(machine)));
        rows.extend(server::image(machine).map(|image| Row::plain("Image", image)));
    }
    if let Some(last) = &status.last_known {
        let text = format!("{}, {} ago", describe(&last.machine), rough(last.age_seconds));
        rows.push(Row::plain("Last seen", text));
    }
    if let Some(end) = &status.last_end {
        let server =
            end.server.map_or_else(|| "the last server".to_owned(), |id| format!("server {id}"));
        let (actor, age) = (end.actor.words(), rough(end.age_seconds));
        let text = format!("{server}, deleted by {actor} {age} ago: {}", end.because);
        rows.push(Row::plain("Last end", text));
    }
}

/// What the agent last reported, and the tunnel to it.
fn engine(status: &Status, now: &LocalTime, rows: &mut Vec<Row>) {
    if let Some(report) = &status.report {
        let containers = report
            .containers
            .map(|counts| format!("{} of {} containers run", counts.running, counts.total));
        let lease = report
            .lease_seconds
            .map(|left| format!("lease until {}", now.in_another(u64::from(left))));
        let parts: Vec<String> = [containers, lease].into_iter().flatten().collect();
        if !parts.is_empty() {
            rows.push(Row::plain("Docker", parts.join(", ")));
        }
    }
    if let Some(tunnel) = &status.tunnel {
        let round_trip = tunnel
            .round_trip_ms
            .map(|time| format!(", round trip {time:.1} ms"))
            .unwrap_or_default();
        let (up, down) = (bytes(tunnel.up), bytes(tunnel.down));
        let text = format!("{} streams, {up} sent, {down} received{round_trip}", tunnel.streams);
        rows.push(Row::plain("Tunnel", text));
    }
}

/// The last checks, and how often the path was lost.
fn health(status: &Status, now: &LocalTime, rows: &mut Vec<Row>) {
    let checks = status.checks.iter().take(LISTED).map(|check| check_text(check, now));
    rows.extend(list("Checks", checks));
    let reconnects = &status.reconnects;
    if let Some(last) = reconnects.recent.first() {
        let times = match reconnects.total {
            0 => "never reconnected".to_owned(),
            1 => "reconnected once".to_owned(),
            times => format!("reconnected {times} times"),
        };
        let end = match last.end {
            Some(LossEnd::Reconnected) => format!("for {}", rough(whole(last.seconds))),
            Some(LossEnd::Gone) => "for good".to_owned(),
            None => format!("for {} so far", rough(whole(last.seconds))),
        };
        let (at, reason) = (now.exact(last.at), &last.reason);
        rows.push(Row::plain("Path", format!("{times}; last lost at {at} {end}: {reason}")));
    }
}

fn check_text(check: &CheckStatus, now: &LocalTime) -> (Tone, String, String) {
    let times = match check.count {
        1 => String::new(),
        count => format!(" ({count} times since {})", now.exact(check.first)),
    };
    let head = now.exact(check.last);
    match &check.error {
        Some(error) => {
            (Tone::Bad, format!("{head} {} failed", check.check), format!("{times}: {error}"))
        }
        None => {
            let took = check.took_ms.map(|took| format!(" in {took:.0} ms")).unwrap_or_default();
            (Tone::Plain, String::new(), format!("{head} {} passed{took}{times}", check.check))
        }
    }
}

/// What used the machine, by kind, and the last activities that ended.
fn activity(status: &Status, now: &LocalTime, rows: &mut Vec<Row>) {
    let kinds = status.activity.iter().map(|kind| {
        let (sent, received) = (bytes(kind.bytes_sent), bytes(kind.bytes_received));
        let head = if kind.now > 0 { format!("{} now", kind.now) } else { String::new() };
        let of = if kind.now > 0 { " of " } else { "" };
        let name = format!("{:<9} ", kind.kind.word());
        let (total, tone) = (kind.total, if kind.now > 0 { Tone::Good } else { Tone::Plain });
        (tone, format!("{name}{head}"), format!("{of}{total}, {sent} sent, {received} received"))
    });
    rows.extend(list("Activity", kinds));
    let mut ended: Vec<_> = (status.activity.iter())
        .flat_map(|kind| kind.recent.iter().map(|ended| (kind.kind, ended)))
        .collect();
    ended.sort_by(|(_, one), (_, other)| one.seconds_ago.total_cmp(&other.seconds_ago));
    let text = |(kind, ended): (ActivityKind, &EndedActivity)| {
        let at = now.exactly_ago(whole(ended.seconds_ago));
        let (took, sum) = (seconds(ended.seconds), ended.bytes_sent + ended.bytes_received);
        let text = format!("{at} {kind} {}, {took}, {}", ended.what, bytes(sum));
        (Tone::Plain, String::new(), text)
    };
    rows.extend(list("Recent", ended.into_iter().take(LISTED).map(text)));
}

fn port_text(port: &PortStatus) -> String {
    let (local, target) = (ports::local(port), ports::target(port));
    match (&port.state, port.asked_for) {
        (PortState::Open, None) => format!("{local} forwards to {target}"),
        (PortState::Open, Some(asked_for)) => {
            format!("{local} forwards to {target}, because {asked_for} is in use here")
        }
        (state, _) => {
            let why = state.why().unwrap_or_default();
            format!("{local} does not forward to {target}: {why}")
        }
    }
}
