//! `dockbridge config`: what is set, and whether it is understood.

use std::time::Duration;

use daemon::ports::Rule;

use crate::failure::Outcome;
use crate::output::{complain, say};
use crate::resolved::{GlobalArgs, Resolved, unusable};
use crate::settings::Severity;
use crate::settings::duration::format;

/// What can be asked about the settings.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print all settings with their values, as YAML; secrets are left out
    Show,
    /// Check the file and the environment
    Validate,
    /// Print where the settings file is
    Path,
}

/// Runs it.
pub fn run(command: Command, global: &GlobalArgs) -> Outcome {
    if let Command::Path = command {
        let path = match &global.config {
            Some(path) => path.clone(),
            None => crate::paths::Paths::find()
                .map_err(|error| crate::failure::Failure::new(error.to_string()))?
                .settings(),
        };
        say(&path.display().to_string());
        return Ok(());
    }
    let (resolved, problems) = Resolved::read(global)?;
    let (refused, warned): (Vec<_>, Vec<_>) =
        problems.into_iter().partition(|problem| problem.severity == Severity::Refused);
    warned.iter().for_each(|problem| complain(&format!("Warning: {problem}")));
    if let Command::Show = command {
        say(show(&resolved).trim_end());
    }
    if !refused.is_empty() {
        return Err(unusable(&refused));
    }
    if let Command::Validate = command {
        let state = match resolved.settings_file.exists() {
            true => "is understood",
            false => "does not exist: the defaults hold",
        };
        say(&format!("{} {state}.", resolved.settings_file.display()));
    }
    Ok(())
}

/// A timeout, or none.
fn patience(timeout: Option<Duration>) -> String {
    timeout.map_or_else(|| "none".to_owned(), format)
}

/// From millionths.
fn amount(micros: u64) -> String {
    format!("{}.{:02}", micros / 1_000_000, micros % 1_000_000 / 10_000)
}

fn show(resolved: &Resolved) -> String {
    let settings = &resolved.settings;
    let list = |names: &[String]| format!("[{}]", names.join(", "));
    let rules = |rules: &[Rule]| {
        list(&rules.iter().map(|rule| format!("{:?}", rule.to_string())).collect::<Vec<_>>())
    };
    let token = match (&settings.hetzner.api_token, &settings.hetzner.token_command) {
        (Some(_), _) => "# api_token: set, not shown\n".to_owned(),
        (None, Some(command)) => format!("token_command: {command:?}\n"),
        (None, None) if resolved.kept_token_file().is_some() => "# api_token: kept by init, not \
            shown\n"
            .to_owned(),
        (None, None) => "# api_token: not set\n".to_owned(),
    };
    let proxy_port = settings.docker.proxy_port.map_or(
        "# proxy_port: \
        none"
            .to_owned(),
        |port| format!("proxy_port: {port}"),
    );
    let provider = settings.machine.provider.map_or(
        "# provider: not \
        set"
        .to_owned(),
        |provider| format!("provider: {provider}"),
    );
    let host = settings.ssh.host.as_ref().map_or(
        "# host: not \
        set"
        .to_owned(),
        |host| format!("host: {host:?}"),
    );
    let remote_socket = settings.ssh.remote_socket.as_ref().map_or(
        "# remote_socket: not \
            set"
        .to_owned(),
        |path| format!("remote_socket: {}", path.display()),
    );
    let key = settings.ssh.private_key_path.clone().unwrap_or_else(|| resolved.paths.private_key());
    let chosen = [
        ("name", settings.image.name.as_ref().map(ToString::to_string)),
        (
            "talos_version",
            settings.image.talos_version.as_ref().map(|version| version.as_str().to_owned()),
        ),
        ("schematic", settings.image.schematic.as_ref().map(|schematic| format!("{schematic:?}"))),
        (
            "server_types",
            Some(&settings.image.server_types)
                .filter(|types| !types.is_empty())
                .map(|types| list(types)),
        ),
    ];
    let image: String = chosen
        .into_iter()
        .map(|(key, value)| {
            value.map_or_else(
                || {
                    format!(
                        "  # {key}: not \
            set\n"
                    )
                },
                |value| format!("  {key}: {value}\n"),
            )
        })
        .collect();
    format!(
        "machine:\n  {provider}\n\
         hetzner:\n  {token}  server_types: {}\n  locations: {}\n  image: {}\n  volume_size: {}\n  \
            endpoint: {}\n\
         docker:\n  socket_path: {}\n  {proxy_port}\n\
         activity:\n  idle_timeout: {}\n  connection_timeout: {}\n  grace_period: {}\n  \
            containers: {}\n  keep_paid_hour: {}\n  resume: {}\n  max_lifetime: {}\n  budget: {}\n\
         lock:\n  action: {}\n  grace: {}\n\
         keepalive:\n  interval: {}\n  timeout: {}\n  self_destruct: {}\n\
         ssh:\n  private_key_path: {}\n  {host}\n  {remote_socket}\n  port_check: {}\n\
         ports:\n  enabled: {}\n  bind: {}\n  on_conflict: {}\n  include: {}\n  exclude: {}\n\
         gateway:\n  bind_mounts: {}\n\
         image:\n{image}  factory: {}\n  rescue_timeout: {}\n  stall_timeout: {}\n\
         logging:\n  level: {}\n  json: {}\n",
        list(&settings.hetzner.server_types),
        list(&settings.hetzner.locations),
        settings.hetzner.image,
        settings.hetzner.volume_size,
        resolved.endpoint(),
        resolved.socket.display(),
        patience(settings.activity.idle_timeout),
        patience(settings.activity.connection_timeout),
        format(settings.activity.grace_period),
        settings.activity.containers,
        settings.activity.keep_paid_hour,
        settings.activity.resume,
        patience(settings.activity.max_lifetime),
        settings.activity.budget.map_or_else(|| "none".to_owned(), amount),
        settings.lock.action,
        format(settings.lock.grace),
        format(settings.keepalive.interval),
        format(settings.keepalive.timeout),
        settings.keepalive.self_destruct,
        key.display(),
        match resolved.port_check().hosts.as_slice() {
            [] => "none".to_owned(),
            hosts => list(hosts),
        },
        settings.ports.enabled,
        settings.ports.bind,
        settings.ports.on_conflict,
        rules(&settings.ports.include),
        rules(&settings.ports.exclude),
        settings.gateway.bind_mounts,
        settings.image.factory,
        format(settings.image.rescue_timeout),
        format(settings.image.stall_timeout),
        settings.logging.level,
        settings.logging.json,
    )
}
