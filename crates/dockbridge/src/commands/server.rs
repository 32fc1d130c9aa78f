//! `dockbridge server`: this profile's machine.

use std::os::unix::process::CommandExt as _;

use api::Code;
use machine::{Consent, Destroyed, Provider as _, Summary};

use crate::examples;
use crate::failure::{Failure, NOT_RUNNING, Outcome};
use crate::json::say_json;
use crate::live_line::counting;
use crate::output::say;
use crate::paths::write_private;
use crate::resolved::{GlobalArgs, Resolved};

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Create it now (the daemon renews its lease)
    Create,
    /// Destroy it; the volume stays
    #[command(aliases = ["delete", "rm"])]
    Destroy,
    /// Show it as the cloud reports it
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List all servers of this profile
    #[command(alias = "ls")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Log in to it, or run a command on it
    #[command(after_help = examples::of(examples::SSH))]
    Ssh {
        /// The command
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

pub async fn run(command: Command, global: &GlobalArgs) -> Outcome {
    let resolved = Resolved::load_valid(global)?;
    match command {
        Command::Create => super::wake::run(global).await,
        Command::Destroy => destroy(&resolved).await,
        Command::Status { json } => {
            let cloud = resolved.looking()?;
            let servers = counting(ASKING, cloud.servers()).await?;
            let Some(server) = servers.first() else {
                return Err(Failure::of_code(Code::NoMachine, "no machine exists")
                    .hint("the next docker command creates one")
                    .code(NOT_RUNNING));
            };
            print(std::slice::from_ref(server), json)
        }
        Command::List { json } => {
            let cloud = resolved.looking()?;
            print(&counting(ASKING, cloud.servers()).await?, json)
        }
        Command::Ssh { command } => ssh(&resolved, &command).await,
    }
}

/// What a command waits for.
pub const ASKING: &str = "waiting for the cloud's answer";
pub const DELETING: &str = "stopping docker, releasing the volume, deleting the server";

/// Destroys the machine, through the daemon where one runs.
pub async fn destroy(resolved: &Resolved) -> Outcome {
    let daemon = resolved.daemon();
    if daemon.status().await.is_ok() {
        return destroy_through(&daemon).await;
    }
    let cloud = resolved.looking()?;
    match counting(DELETING, cloud.destroy(None, Consent::Given)).await? {
        Destroyed::Gone { troubles } => {
            say("Deleted the server. The volume stays.");
            troubles.iter().for_each(|trouble| say(&format!("Note: {trouble}.")));
            Ok(())
        }
        Destroyed::Absent | Destroyed::NotManaged => {
            say("No server exists.");
            Ok(())
        }
        Destroyed::InUse { reason } => Err(Failure::of_code(
            Code::MachineInUse,
            format!("another client is working on it: {reason}"),
        )),
    }
}

/// Asks the daemon, which stops the containers in order first.
pub async fn destroy_through(daemon: &api::client::Client) -> Outcome {
    let answer = counting(DELETING, daemon.destroy()).await?;
    if let Some(message) = answer.message {
        say(&message);
    }
    Ok(())
}

fn print(servers: &[Summary], json: bool) -> Outcome {
    if json {
        return say_json(&servers);
    }
    if servers.is_empty() {
        say("No server exists.");
    }
    for server in servers {
        say(&describe(server));
    }
    Ok(())
}

/// One line about a machine.
pub fn describe(machine: &Summary) -> String {
    let mut line = machine.name.clone();
    if let (Some(id), Some(server_type), Some(location)) =
        (machine.id, &machine.server_type, &machine.location)
    {
        line.push_str(&format!(" ({id}, {server_type} in {location})"));
    }
    line.push_str(&format!(", {}", machine.status));
    if let Some(address) = machine.address {
        line.push_str(&format!(", {address}"));
    }
    if let Some(price) = machine.price_hourly {
        line.push_str(&format!(", {price:.4} EUR net a started hour"));
    }
    line
}

/// The image that a machine was created from, and why that one.
pub fn image(machine: &Summary) -> Option<String> {
    let image = machine.image.as_ref()?;
    let because =
        image.because.as_ref().map(|because| format!(", because {because}")).unwrap_or_default();
    Some(format!("{} ({}){because}", image.name, image.id))
}

/// Replaces this process with the system's `ssh`, which trusts only the machine's own host key.
async fn ssh(resolved: &Resolved, command: &[String]) -> Outcome {
    let cloud = resolved.looking()?;
    let Some(access) = cloud.access().await? else {
        return Err(Failure::of_code(Code::NoMachine, "no machine exists")
            .hint("`dockbridge wake` creates one")
            .code(NOT_RUNNING));
    };
    let known_hosts = resolved.paths.profile_state(&resolved.profile).join("known_hosts");
    let lines: String =
        access.host_keys.iter().map(|key| format!("{} {key}\n", access.address)).collect();
    write_private(&known_hosts, lines.as_bytes())?;
    let key = resolved
        .settings
        .ssh
        .private_key_path
        .clone()
        .unwrap_or_else(|| resolved.paths.private_key());
    let error = std::process::Command::new("ssh")
        .args([
            "-o",
            &option("IdentityFile", &key),
            "-o",
            &option("UserKnownHostsFile", &known_hosts),
        ])
        .args([
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "StrictHostKeyChecking=yes",
            "-o",
            "GlobalKnownHostsFile=/dev/null",
        ])
        .args(["-l", "root"])
        .arg(access.address.to_string())
        .args(command)
        .exec();
    Err(Failure::of_code(Code::ProgramMissing, format!("cannot run ssh: {error}"))
        .hint("install an OpenSSH client"))
}

/// An option of `ssh` with a path as its value: a blank ends an unquoted value, and `%` begins a
/// token (ssh_config(5)).
fn option(name: &str, path: &std::path::Path) -> String {
    let path =
        path.display().to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    format!("{name}=\"{path}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ssh -G` prints the options as ssh has parsed them.
    #[test]
    fn ssh_understands_a_path_with_blanks_and_signs() {
        let path = std::path::Path::new("/home/ada l/100% \"x\"/known_hosts");
        let given = option("UserKnownHostsFile", path);
        let command = ["-G", "-F", "/dev/null", "-o", given.as_str(), "host"];
        let Ok(output) = std::process::Command::new("ssh").args(command).output() else {
            return testkit::passed_over!("no OpenSSH client");
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line =
            text.lines().find(|line| line.starts_with("userknownhostsfile ")).unwrap_or(&text);
        assert_eq!(line.replace("%%", "%"), format!("userknownhostsfile {}", path.display()));
    }
}
