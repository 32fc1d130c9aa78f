//! `dockbridge local-cloud`: a Hetzner Cloud on this host.

use std::net::SocketAddr;
use std::path::PathBuf;

use local_cloud::{Access, Cloud, Machines, Options, Pace, Sshd, StartError, Token};

use crate::failure::{Failure, Outcome, with_causes};
use crate::output::say;
use crate::paths::Paths;
use crate::signals::end_of_process;

/// Arguments of `local-cloud`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the API listens
    #[arg(long, default_value = "127.0.0.1:8480", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// What the servers are
    #[arg(long, value_enum, default_value_t = MachinesKind::Nspawn)]
    machines: MachinesKind,
    /// Folder that everything lives in
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// A token with read and write access, instead of one made at the first start (DOCKBRIDGE_LOCAL_CLOUD_TOKEN keeps it from the process list)
    #[arg(long, env = "DOCKBRIDGE_LOCAL_CLOUD_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// How long actions take
    #[arg(long, value_enum, default_value_t = PaceKind::Fast)]
    pace: PaceKind,
    /// What starts sshd on the machines
    #[arg(long, value_enum, default_value_t = SshdKind::Socket)]
    sshd: SshdKind,
    /// Remove what a killed local cloud left on this host, and end
    #[arg(long)]
    clean: bool,
    /// Make the base system for machines, and end
    #[arg(long, conflicts_with = "clean")]
    prepare: bool,
}

/// What the servers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum MachinesKind {
    /// Real Debian machines in systemd-nspawn; needs root
    Nspawn,
    /// Nothing: only the API
    None,
}

/// How long actions take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum PaceKind {
    /// As long as the real work
    Fast,
    /// As long as measured at Hetzner
    Real,
}

/// What starts sshd on the machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum SshdKind {
    /// `ssh.socket`, at the first connection
    Socket,
    /// `ssh.service`, at boot
    Service,
}

/// Runs it.
pub async fn run(arguments: Args) -> Outcome {
    let real = arguments.machines == MachinesKind::Nspawn || arguments.clean || arguments.prepare;
    if real && !rustix::process::geteuid().is_root() {
        return Err(Failure::new("real machines need root").hint("run it as root, or the API alone with --machines none"));
    }
    if arguments.clean {
        let report = local_cloud::clean().await.map_err(|failure| Failure::new(failure.to_string()))?;
        say(&format!("Removed: {report}."));
        return Ok(());
    }
    if arguments.machines == MachinesKind::Nspawn || arguments.prepare {
        prepare_base().await?;
    }
    if arguments.prepare {
        return Ok(());
    }
    let state = match arguments.state {
        Some(state) => state,
        None => Paths::find().map_err(|error| Failure::new(error.to_string()))?.local_cloud(),
    };
    let options = Options {
        listen: arguments.listen,
        state,
        machines: match arguments.machines {
            MachinesKind::Nspawn => Machines::Nspawn,
            MachinesKind::None => Machines::None,
        },
        tokens: arguments.token.into_iter().map(|secret| Token::new(secret, "default", Access::ReadWrite)).collect(),
        pace: match arguments.pace {
            PaceKind::Fast => Pace::Fast,
            PaceKind::Real => Pace::Real,
        },
        sshd: match arguments.sshd {
            SshdKind::Socket => Sshd::Socket,
            SshdKind::Service => Sshd::Service,
        },
    };
    let given = !options.tokens.is_empty();
    let state = options.state.clone();
    let ending = end_of_process()?;
    let cloud = Cloud::start(options).await.map_err(not_started)?;
    say(&format!("A Hetzner Cloud answers at {}", cloud.endpoint()));
    if let Some(endpoint) = cloud.machine_endpoint() {
        say(&format!("Its machines reach it at   {endpoint}  (use this one for machines that delete themselves)"));
    }
    say(&format!("export HCLOUD_ENDPOINT={}", cloud.machine_endpoint().unwrap_or_else(|| cloud.endpoint())));
    if !given {
        say(&format!("export HCLOUD_TOKEN=\"$(cat {})\"", state.join("token").display()));
    }
    ending.cancelled().await;
    say("Ending: machines are switched off, and everything is given back to this host.");
    cloud.close().await;
    Ok(())
}

/// Makes the base system of machines if it is not there yet.
pub async fn prepare_base() -> Outcome {
    let cache = local_cloud::nspawn::base::cache();
    if !local_cloud::nspawn::base::status(&cache).ready {
        say("Making the base system of machines (once, about a minute):");
    }
    let progress = |line: &str| say(&format!("  {line}"));
    local_cloud::nspawn::base::ensure(&cache, &progress).await.map_err(|failure| Failure::new(failure.to_string()))?;
    Ok(())
}

fn not_started(error: StartError) -> Failure {
    let hint = match &error {
        StartError::InUse { .. } => Some("end that one, or choose another folder with --state DIR"),
        StartError::Listen { .. } => Some("choose another address with --listen ADDRESS:PORT; port 0 takes a free one"),
        StartError::State { .. } => Some("choose a folder that you may write to with --state DIR"),
        StartError::Machines(_) | StartError::Catalogue(_) => None,
    };
    let failure = started(error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// A local cloud that does not start.
pub fn started(error: local_cloud::StartError) -> Failure {
    Failure::new(with_causes(&error))
}
