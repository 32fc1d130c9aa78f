//! `dockbridge version`: what is installed here, and what runs: the daemon, and the agent on the
//! machine. It needs neither of them, creates nothing, and wakes nothing.

use std::env::consts::{ARCH, OS};
use std::path::{Path, PathBuf};

use api::{MachineState, Status};
use serde::Serialize;
use tunnel::Agents;

use crate::failure::Outcome;
use crate::json::say_json;
use crate::output::say;
use crate::resolved::{GlobalArgs, Resolved};

/// Arguments of `version`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Serialize)]
struct Versions {
    version: &'static str,
    os: &'static str,
    architecture: &'static str,
    /// Of the protocol that client and agent speak.
    protocol: u32,
    /// Where they are: a directory, or this program.
    agents_in: String,
    /// The agents that machines get from here.
    agents: Vec<Agent>,
    /// `None` if no daemon of this profile answers.
    daemon: Option<Daemon>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Agent {
    /// As in `uname -m`.
    architecture: String,
    /// The name of its file on a machine, made from its content.
    id: String,
}

#[derive(Debug, Serialize)]
struct Daemon {
    process: u32,
    socket: PathBuf,
    state: MachineState,
    machine: Option<Machine>,
}

#[derive(Debug, Serialize)]
struct Machine {
    name: String,
    /// The protocol of its agent; `None` without an agent.
    protocol: Option<u32>,
}

impl From<Status> for Daemon {
    fn from(status: Status) -> Self {
        let protocol = status.report.map(|report| report.protocol);
        let machine = status.machine.map(|machine| Machine { name: machine.name, protocol });
        Self { process: status.process, socket: status.socket, state: status.state, machine }
    }
}

/// What `version --json` prints.
pub async fn document(global: &GlobalArgs) -> impl Serialize + use<> {
    versions(global).await
}

async fn versions(global: &GlobalArgs) -> Versions {
    // Invalid settings, a missing home or an unreadable answer must not hide the version.
    let daemon = match Resolved::read(global) {
        Ok((resolved, _)) => resolved.daemon().status().await.ok().map(Daemon::from),
        Err(_) => None,
    };
    let source = crate::agents::agents();
    Versions {
        version: env!("CARGO_PKG_VERSION"),
        os: OS,
        architecture: ARCH,
        protocol: tunnel::PROTOCOL,
        agents: agents(&source),
        agents_in: source.to_string(),
        daemon,
    }
}

pub async fn run(arguments: Args, global: &GlobalArgs) -> Outcome {
    let versions = versions(global).await;
    if arguments.json {
        return say_json(&versions);
    }
    for line in lines(&versions) {
        say(&line);
    }
    Ok(())
}

/// Architectures that have an agent there, as in `uname -m`.
pub fn architectures(source: &Agents) -> Vec<String> {
    agents(source).into_iter().map(|agent| agent.architecture).collect()
}

fn agents(source: &Agents) -> Vec<Agent> {
    let mut agents = match source {
        Agents::Directory(directory) => agents_of(directory),
        Agents::Embedded(agents) => agents
            .iter()
            .filter_map(|agent| {
                let id = tunnel::installed_agent(&agent.unpack().ok()?);
                Some(Agent { architecture: agent.arch.to_owned(), id })
            })
            .collect(),
    };
    agents.sort_by(|one, other| one.architecture.cmp(&other.architecture));
    agents
}

fn agents_of(directory: &Path) -> Vec<Agent> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let architecture = match name.strip_prefix("dockbridge-agent")? {
                // An installation for one architecture.
                "" => ARCH,
                suffix => suffix.strip_prefix('-')?,
            };
            let id = tunnel::installed_agent(&std::fs::read(entry.path()).ok()?);
            Some(Agent { architecture: architecture.to_owned(), id })
        })
        .collect()
}

fn lines(versions: &Versions) -> Vec<String> {
    let Versions { version, os, architecture, protocol, agents_in, agents, daemon } = versions;
    let mut lines =
        vec![format!("dockbridge {version} for {os} on {architecture}, agent protocol {protocol}")];
    lines.push(match agents.is_empty() {
        true => format!("No agents in {agents_in}"),
        false => format!("Agents in {agents_in}:"),
    });
    lines.extend(agents.iter().map(|agent| format!("  {:<8} {}", agent.architecture, agent.id)));
    let Some(daemon) = daemon else {
        lines.push("No daemon of this profile answers.".to_owned());
        return lines;
    };
    lines.push(format!("Daemon: process {} serves {}", daemon.process, daemon.socket.display()));
    lines.push(match &daemon.machine {
        None => format!("Machine: {}", daemon.state),
        Some(Machine { name, protocol: None }) => {
            format!("Machine: {name} ({}), no agent", daemon.state)
        }
        Some(Machine { name, protocol: Some(protocol) }) => {
            format!("Machine: {name} ({}), agent protocol {protocol}", daemon.state)
        }
    });
    lines.push("`docker version` shows the engine's version.".to_owned());
    lines
}
