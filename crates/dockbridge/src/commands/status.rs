//! `dockbridge status`.

use std::time::Duration;

use api::client::ClientError;
use api::{Bills, MachineState, PortState, PortStatus, Status, StatusDocument, Summary};
use daemon::LastKnown;
use machine::Provider as _;

use super::{bills, ports};
use crate::failure::{Failure, Outcome};
use crate::hints::warning_now;
use crate::json::say_json;
use crate::output::{running_stage, say, seconds};
use crate::resolved::{GlobalArgs, Resolved};
use crate::settings::duration;

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

pub async fn run(arguments: Args, global: &GlobalArgs) -> Outcome {
    let resolved = Resolved::load_valid(global)?;
    let status = match resolved.daemon().status().await {
        Ok(status) => status,
        Err(error @ ClientError::NotRunning { .. }) => {
            return without_daemon(&resolved, arguments.json, error).await;
        }
        Err(error) => return Err(error.into()),
    };
    let bills = bills::look(&resolved, false).await;
    if arguments.json {
        say_json(&StatusDocument::new(&status, bills.as_ref()))?;
    } else {
        print(&status);
        if let Some(stage) = running_stage(&status, &resolved.wakes()) {
            say(&format!("Stage     {stage}"));
        }
        say_bills(&resolved, bills.as_ref());
    }
    Ok(())
}

fn say_bills(resolved: &Resolved, bills: Option<&Bills>) {
    let lines =
        bills.map(|known| bills::lines(known, &resolved.profile.to_string())).unwrap_or_default();
    lines.iter().for_each(|line| say(&format!("Bills     {line}")));
}

/// Without a daemon a machine may still exist and cost money.
async fn without_daemon(resolved: &Resolved, json: bool, error: ClientError) -> Outcome {
    let failure = Failure::from(error);
    if !json {
        say_bills(resolved, bills::look(resolved, false).await.as_ref());
    }
    let Ok(cloud) = resolved.looking() else { return Err(failure) };
    let servers = cloud.servers().await;
    let clock = cloud.clock_offset().and_then(daemon::clock_condition);
    if let Some(condition) = clock.filter(|_| !json) {
        say(&format!("Note      {}", warning_now(&condition)));
    }
    match servers {
        Ok(servers) => match servers.first() {
            Some(server) => Err(failure.hint(format!(
                "a machine exists all the same: {}",
                super::server::describe(server)
            ))),
            None => Err(failure),
        },
        Err(error) => {
            Err(match LastKnown::load(&resolved.paths.profile_state(&resolved.profile)) {
                Some(last) => failure.hint(format!(
                    "the cloud does not answer ({}); this machine may exist: {}",
                    crate::failure::with_causes(&error),
                    last_known(&last.machine, last.age_seconds(jiff::Timestamp::now()))
                )),
                None => failure,
            })
        }
    }
}

/// The last known state of a machine that the cloud does not report now.
fn last_known(machine: &Summary, age: u64) -> String {
    format!(
        "{}, as seen {} ago",
        super::server::describe(machine),
        duration::format(Duration::from_secs(age))
    )
}

/// Prints it for users.
pub fn print(status: &Status) {
    lines(status).iter().for_each(|line| say(line));
}

fn lines(status: &Status) -> Vec<String> {
    let mut lines = vec![
        format!("Profile   {}", status.profile),
        format!("Socket    unix://{}", status.socket.display()),
    ];
    if let Some(unit) = &status.service {
        lines.push(format!("Service   {unit}"));
    }
    if let Some(port) = status.proxy_port {
        lines.push(format!("Port      tcp://127.0.0.1:{port} (same engine)"));
    }
    let reason = status.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    lines.push(format!("State     {} for {}{reason}", status.state, seconds(status.since_seconds)));
    machine(status, &mut lines);
    engine(status, &mut lines);
    lines.extend(status.ports.iter().map(port));
    money(status, &mut lines);
    prospects(status, &mut lines);
    lines
}

fn machine(status: &Status, lines: &mut Vec<String>) {
    if let Some(machine) = &status.machine {
        lines.push(format!("Machine   {}", super::server::describe(machine)));
        if let Some(image) = super::server::image(machine) {
            lines.push(format!("Image     {image}"));
        }
        if let Some(volume) = &machine.volume {
            lines.push(format!(
                "Volume    {} ({}, {} GB in {})",
                volume.name, volume.id, volume.size, volume.location
            ));
        }
    }
    if let Some(last) = &status.last_known {
        lines.push(format!("Last seen {}", last_known(&last.machine, last.age_seconds)));
    }
    if let Some(end) = &status.last_end {
        let server =
            end.server.map_or_else(|| "The last server".to_owned(), |id| format!("Server {id}"));
        let age = duration::format(Duration::from_secs(end.age_seconds));
        lines.push(format!(
            "Last end  {server}, deleted by {} {age} ago: {}",
            end.actor.words(),
            end.because
        ));
    }
}

/// What the agent last reported, and the tunnel to it.
fn engine(status: &Status, lines: &mut Vec<String>) {
    if let Some(report) = &status.report {
        let containers = report
            .containers
            .map(|counts| format!("{} of {} containers run", counts.running, counts.total));
        #[expect(clippy::cast_precision_loss, reason = "for display only")]
        let disk = report.disk.map(|disk| {
            format!("volume {:.1} % full", disk.used as f64 / disk.total.max(1) as f64 * 100.0)
        });
        let lease = report.lease_seconds.map(|seconds| format!("lease {seconds} s"));
        let parts: Vec<String> = [containers, disk, lease].into_iter().flatten().collect();
        lines.push(format!("Docker    {}", parts.join(", ")));
    }
    if let Some(tunnel) = &status.tunnel {
        let round_trip = tunnel
            .round_trip_ms
            .map(|time| format!(", round trip {time:.1} ms"))
            .unwrap_or_default();
        lines.push(format!(
            "Tunnel    {} streams, {} bytes up, {} down{round_trip}",
            tunnel.streams, tunnel.up, tunnel.down
        ));
    }
}

fn port(port: &PortStatus) -> String {
    let (local, target) = (ports::local(port), ports::target(port));
    match (&port.state, port.asked_for) {
        (PortState::Open, None) => format!("Port      {local} forwards to {target}"),
        (PortState::Open, Some(asked_for)) => {
            format!("Port      {local} forwards to {target}, because {asked_for} is in use here")
        }
        (state, _) => {
            let why = state.why().unwrap_or_default();
            format!("Port      {local} does not forward to {target}: {why}")
        }
    }
}

fn money(status: &Status, lines: &mut Vec<String>) {
    if let Some(cost) = &status.cost {
        let volume = cost
            .volume_monthly
            .map(|price| format!("; the volume {price:.2} EUR a month"))
            .unwrap_or_default();
        lines.push(format!(
            "Cost      {:.4} EUR so far ({} started h at {:.4}){volume}; all net",
            cost.so_far, cost.hours, cost.hourly
        ));
    }
    if let Some(budget) = &status.budget {
        lines.push(format!(
            "Budget    {:.2} of {:.2} EUR spent this month; net",
            budget.spent, budget.limit
        ));
    }
}

/// What keeps the machine, and what happens next.
fn prospects(status: &Status, lines: &mut Vec<String>) {
    for reason in &status.why.reasons {
        lines.push(format!("Kept by   {}", super::why::describe(reason)));
    }
    for warning in &status.why.warnings {
        lines.push(format!("Note      {warning}"));
    }
    if let Some(pin) = status.pin.as_ref().filter(|_| status.state != MachineState::Up) {
        let left = pin.seconds.map_or_else(
            || "until `dockbridge unpin`".to_owned(),
            |left| format!("for another {left} s"),
        );
        lines.push(format!("Pinned    {left}, applies once a machine exists"));
    }
    if !status.why.next.is_empty() {
        lines.push(format!("Next      {}", status.why.next));
    }
}

#[cfg(test)]
mod tests;
