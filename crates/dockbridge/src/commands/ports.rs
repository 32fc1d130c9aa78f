//! `dockbridge ports`: published ports on this computer, and their traffic.

use api::{ByHand, Local, MachineState, PortState, PortStatus, PortsDocument, Protocol};

use crate::failure::Outcome;
use crate::json::say_json;
use crate::output::{say, seconds};
use crate::resolved::{GlobalArgs, Resolved};

/// Arguments of `ports`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    pub fn wants_json(&self) -> bool {
        matches!(self.command, Some(Command::List { json: true })) || self.json
    }
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show them, as without a subcommand
    #[command(alias = "ls", hide = true)]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Forward a port of this computer to a container's port, published or not
    Add {
        /// Such as 8080:web:80, 127.0.0.2:8080:web:80 or 5353:dns:53/udp
        #[arg(value_name = "LOCAL:CONTAINER:PORT")]
        forward: ByHand,
    },
    /// Remove a forward that `add` created
    #[command(alias = "rm")]
    Remove {
        /// Where it listens, e.g. 8080, 127.0.0.2:8080 or 5353/udp
        #[arg(value_name = "LOCAL")]
        local: Local,
    },
}

pub async fn run(arguments: Args, global: &GlobalArgs) -> Outcome {
    let daemon = Resolved::load_valid(global)?.daemon();
    let wants_json = arguments.wants_json();
    match arguments.command {
        Some(Command::Add { forward }) => {
            let made = daemon.add_forward(&forward).await?;
            say(&match made.filter(|made| made.state == PortState::Open) {
                Some(made) => format!("{} forwards to {}.", local(&made), target(&made)),
                None => format!(
                    "{} will forward to {}:{} when that container runs.",
                    forward.local, forward.container, forward.port
                ),
            });
        }
        Some(Command::Remove { local }) => {
            daemon.remove_forward(&local).await?;
            say(&format!("Removed the forward on {local}."));
        }
        Some(Command::List { .. }) | None => {
            let status = daemon.status().await?;
            if wants_json {
                say_json(&PortsDocument::of(&status.ports))?;
            } else {
                let has_machine = status.state == MachineState::Up;
                lines(&status.ports, has_machine).iter().for_each(|line| say(line));
            }
        }
    }
    Ok(())
}

/// For users: one line for each forward, followed by its notes.
fn lines(ports: &[PortStatus], has_machine: bool) -> Vec<String> {
    if ports.is_empty() {
        let mut lines = vec!["No container publishes a port.".to_owned()];
        if !has_machine {
            lines.push(
                "No machine is up: the next docker command or `dockbridge wake` starts its"
                    .to_owned(),
            );
            lines.push("containers again.".to_owned());
        }
        return lines;
    }
    let head =
        ["LOCAL", "CONTAINER", "STATE", "NOW", "ALL", "IN", "OUT", "LAST USED"].map(str::to_owned);
    let rows: Vec<[String; 8]> = std::iter::once(head).chain(ports.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    let mut lines = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        lines.push(cells.join("  ").trim_end().to_owned());
        if let Some(port) = number.checked_sub(1).and_then(|number| ports.get(number)) {
            lines.extend(notes(port).iter().map(|note| format!("  {note}")));
        }
    }
    lines
}

fn row(port: &PortStatus) -> [String; 8] {
    let traffic = &port.traffic;
    let used =
        traffic.last_used_seconds.map_or("never".to_owned(), |ago| format!("{} ago", seconds(ago)));
    [
        local(port),
        target(port),
        port.state.word().to_owned(),
        traffic.connections_now.to_string(),
        traffic.connections_total.to_string(),
        bytes(traffic.bytes_in),
        bytes(traffic.bytes_out),
        used,
    ]
}

/// Differences from the request, and how the last failed connections ended.
fn notes(port: &PortStatus) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(asked_for) = port.asked_for {
        notes.push(format!(
            "{asked_for} is in use on this computer; {} was chosen instead",
            local(port)
        ));
    }
    notes.extend(port.state.why().map(str::to_owned));
    if port.by_hand {
        notes.push("added with `ports add`".to_owned());
    }
    let failed =
        port.traffic.recent.iter().filter_map(|ended| Some((ended, ended.error.as_ref()?)));
    notes.extend(failed.take(3).map(|(ended, error)| {
        format!("{} ago from {}: {error}", seconds(ended.seconds_ago), ended.client)
    }));
    notes
}

/// `127.0.0.1:8080`, `127.0.0.1:53/udp`.
pub fn local(port: &PortStatus) -> String {
    match port.protocol {
        Protocol::Tcp => port.local.to_string(),
        Protocol::Udp => format!("{}/udp", port.local),
    }
}

/// `web:80`.
pub fn target(port: &PortStatus) -> String {
    format!("{}:{}", port.container, port.container_port)
}

/// `512 B`, `1.5 MB`.
pub fn bytes(count: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for display only")]
    let count_f = count as f64;
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} kB", count_f / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", count_f / 1e6),
        _ => format!("{:.1} GB", count_f / 1e9),
    }
}

#[cfg(test)]
mod tests;
