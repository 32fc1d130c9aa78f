//! `dockbridge local-cloud`: a Hetzner Cloud on this host.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use api::Code;
use local_cloud::{
    Access, Cloud, ContainerEngine, Limits, Machines, Options, Pace, Sshd, StartError, Stock, Token,
};

use crate::failure::{Failure, Outcome, with_causes};
use crate::output::say;
use crate::paths::Paths;
use crate::shutdown::end_of_process;

/// Arguments of `local-cloud`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address that the API listens on
    #[arg(long, default_value = "127.0.0.1:8480", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Kind of machine behind each server
    #[arg(long, value_enum, default_value_t = MachinesKind::Nspawn)]
    machines: MachinesKind,
    /// Container engine on new servers
    #[arg(long, value_enum, default_value_t = EngineKind::Docker26)]
    engine: EngineKind,
    /// Directory for all files
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// A token with read and write access, instead of one made at the first start
    /// (DOCKBRIDGE_LOCAL_CLOUD_TOKEN keeps it out of the process list)
    #[arg(
        long,
        env = "DOCKBRIDGE_LOCAL_CLOUD_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    token: Option<String>,
    /// File with a read-only token
    #[arg(long, value_name = "FILE")]
    read_only_token_file: Option<PathBuf>,
    /// How long actions take
    #[arg(long, value_enum, default_value_t = PaceKind::Fast)]
    pace: PaceKind,
    /// Seed of the random durations of `--pace real`, to repeat a run
    #[arg(long, value_name = "NUMBER")]
    pace_seed: Option<u64>,
    /// Server types shown as available; all can be ordered
    #[arg(long, value_enum, default_value_t = StockKind::Captured)]
    stock: StockKind,
    /// Maximum number of servers in a project
    #[arg(long, value_name = "NUMBER")]
    server_limit: Option<u32>,
    /// Requests that a project may make in an hour
    #[arg(long, default_value_t = Limits::default().requests_per_hour, value_name = "NUMBER")]
    requests_per_hour: u32,
    /// Include the properties that the API removed in 2026, for older clients
    #[arg(long)]
    removed_properties: bool,
    /// What starts sshd on the machines
    #[arg(long, value_enum, default_value_t = SshdKind::Socket)]
    sshd: SshdKind,
    /// Remove what a killed local cloud left on this host, then exit
    #[arg(long)]
    clean: bool,
    /// Build the machines' base system for the chosen engine, then exit
    #[arg(long, conflicts_with = "clean")]
    prepare: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum MachinesKind {
    /// Real Debian machines in systemd-nspawn; needs root
    Nspawn,
    /// Nothing: only the API
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum EngineKind {
    /// Docker 26.1 of Debian 13
    #[value(name = "26")]
    Docker26,
    /// Docker 28.5 of Debian unstable
    #[value(name = "28")]
    Docker28,
    /// Podman of Debian 13, run by root: a host for the provider ssh
    Podman,
    /// Docker 26.1 for the user u, not set up: a host for the provider ssh
    Rootless,
}

impl From<EngineKind> for ContainerEngine {
    fn from(kind: EngineKind) -> ContainerEngine {
        match kind {
            EngineKind::Docker26 => ContainerEngine::Docker26,
            EngineKind::Docker28 => ContainerEngine::Docker28,
            EngineKind::Podman => ContainerEngine::Podman,
            EngineKind::Rootless => ContainerEngine::Rootless,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum PaceKind {
    /// As long as the work takes
    Fast,
    /// As long as measured at Hetzner
    Real,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum StockKind {
    /// Every type wherever it is sold
    Full,
    /// As captured on 2026-09-29: no CX and no CAX in Europe
    Captured,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum SshdKind {
    /// `ssh.socket`, at the first connection
    Socket,
    /// `ssh.service`, at boot
    Service,
}

pub async fn run(arguments: Args) -> Outcome {
    let real = arguments.machines == MachinesKind::Nspawn || arguments.clean || arguments.prepare;
    if real && !rustix::process::geteuid().is_root() {
        return Err(Failure::of_code(Code::RootNeeded, "real machines need root")
            .hint("run it as root, or only the API with --machines none"));
    }
    if arguments.clean {
        let report = local_cloud::clean()
            .await
            .map_err(|failure| Failure::of_code(Code::LocalCloudFailed, failure.to_string()))?;
        say(&format!("Removed: {report}."));
        return Ok(());
    }
    if arguments.machines == MachinesKind::Nspawn || arguments.prepare {
        prepare_base(arguments.engine.into()).await?;
    }
    if arguments.prepare {
        return Ok(());
    }
    let state = match arguments.state {
        Some(state) => state,
        None => Paths::find()
            .map_err(|error| Failure::of_code(Code::HomeUnknown, error.to_string()))?
            .local_cloud(),
    };
    let given = arguments.token.is_some();
    let real_pace = arguments.pace == PaceKind::Real;
    let seed = arguments.pace_seed.unwrap_or_else(rand::random);
    let options = Options {
        listen: arguments.listen,
        machines: match arguments.machines {
            MachinesKind::Nspawn => Machines::Nspawn,
            MachinesKind::None => Machines::None,
        },
        engine: arguments.engine.into(),
        tokens: tokens(arguments.token, arguments.read_only_token_file.as_deref())?,
        pace: match arguments.pace {
            PaceKind::Fast => Pace::Fast,
            PaceKind::Real => Pace::Real,
        },
        pace_seed: Some(seed),
        stock: match arguments.stock {
            StockKind::Full => Stock::Full,
            StockKind::Captured => Stock::Captured,
        },
        limits: Limits {
            requests_per_hour: arguments.requests_per_hour,
            servers: arguments.server_limit,
        },
        removed_properties: arguments.removed_properties,
        sshd: match arguments.sshd {
            SshdKind::Socket => Sshd::Socket,
            SshdKind::Service => Sshd::Service,
        },
        ..Options::new(&state)
    };
    let ending = end_of_process()?;
    let cloud = Cloud::start(options).await.map_err(not_started)?;
    say(&format!("The local cloud's API is at {}", cloud.endpoint()));
    if real_pace {
        say(&format!("Durations of actions are random; --pace-seed {seed} repeats them"));
    }
    if let Some(endpoint) = cloud.machine_endpoint() {
        say(&format!(
            "Its machines reach it at   {endpoint}  (use this one for machines that delete \
             themselves)"
        ));
    }
    say(&format!(
        "export HCLOUD_ENDPOINT={}",
        cloud.machine_endpoint().unwrap_or_else(|| cloud.endpoint())
    ));
    if !given {
        say(&format!("export HCLOUD_TOKEN=\"$(cat {})\"", state.join("token").display()));
    }
    ending.cancelled().await;
    say("Stopping: switching the machines off and releasing everything on this host.");
    cloud.close().await;
    Ok(())
}

/// Tokens from the arguments. A read-only token is read from a file, which keeps it out of the
/// process list.
fn tokens(read_write: Option<String>, read_only: Option<&Path>) -> Result<Vec<Token>, Failure> {
    let mut tokens: Vec<Token> = read_write
        .into_iter()
        .map(|secret| Token::new(secret, "default", Access::ReadWrite))
        .collect();
    if let Some(file) = read_only {
        let secret = std::fs::read_to_string(file).map_err(|error| {
            let failure = Failure::of_code(
                Code::FileNotRead,
                format!("cannot read the token in {}: {error}", file.display()),
            );
            failure.hint("write any token into the file")
        })?;
        if secret.trim().is_empty() {
            let failure = Failure::of_code(
                Code::TokenMissing,
                format!("{} contains no token", file.display()),
            );
            return Err(failure.hint("write any token into the file"));
        }
        tokens.push(Token::new(secret.trim(), "default", Access::ReadOnly));
    }
    Ok(tokens)
}

/// Builds the machines' base system for this engine if it does not exist yet.
pub async fn prepare_base(engine: ContainerEngine) -> Outcome {
    // Checked first, because the build takes a minute.
    local_cloud::nspawn::check_host()
        .map_err(|failure| Failure::of_code(Code::LocalCloudFailed, failure.to_string()))?;
    let cache = local_cloud::nspawn::base::cache();
    if !local_cloud::nspawn::base::status_of(&cache, engine).ready {
        say("Building the machines' base system (once, about a minute):");
    }
    let progress = |line: &str| say(&format!("  {line}"));
    local_cloud::nspawn::base::ensure_of(&cache, engine, &progress)
        .await
        .map_err(|failure| Failure::of_code(Code::LocalCloudFailed, failure.to_string()))?;
    Ok(())
}

fn not_started(error: StartError) -> Failure {
    let hint = match &error {
        StartError::InUse { .. } => {
            Some("stop that one, or choose another directory with --state DIR")
        }
        StartError::Listen { .. } => {
            Some("choose another address with --listen ADDRESS:PORT; port 0 takes a free one")
        }
        StartError::State { .. } => Some("choose a writable directory with --state DIR"),
        StartError::Machines(_) | StartError::Catalogue(_) => None,
    };
    let failure = started(error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The error of a local cloud that does not start.
pub fn started(error: local_cloud::StartError) -> Failure {
    Failure::of_code(Code::LocalCloudFailed, with_causes(&error))
}
