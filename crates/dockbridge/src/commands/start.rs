//! `dockbridge start`: the daemon, in the foreground or detached.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use api::Code;
use api::client::ClientError;
use daemon::{Daemon, HintTexts, Options, Service};
use machine::{Cloud, Host, Provider};
use platform::desktop::Desktop;
use tokio::time::{Instant, sleep};
use tunnel::{AgentPlan, Identity};

use super::service::installed::Units;
use super::service::start::{SERVICE_HINT, start_service};
use crate::agents::{agents, are_there};
use crate::docker_plugin::command_arguments;
use crate::failure::{Failure, Outcome, with_causes};
use crate::hints::{hint, warning_hints, warning_now};
use crate::log::file;
use crate::log::record::{Level, Record};
use crate::output::say;
use crate::paths::{make_private_directory, unwritable};
use crate::rereading::{Reader, rereading};
use crate::resolved::{GlobalArgs, Resolved};
use crate::settings::{Provider as Kind, Settings, duration};
use crate::shutdown::{end_in_background, end_of_process};
use crate::ssh_config::Destination;

/// Set for the process that `--detach` starts.
const DETACHED: &str = "DOCKBRIDGE_DETACHED";
/// Set by the unit of a service: the unit's name.
const SERVICE: &str = "DOCKBRIDGE_SERVICE";
/// A daemon is ready in well under a second, or never.
const LONGEST_START: Duration = Duration::from_secs(10);

/// Arguments of `start`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run in the background
    #[arg(long, short = 'd')]
    detach: bool,
    /// Where machines come from; `--host` implies ssh
    #[arg(long, value_enum)]
    provider: Option<Kind>,
    /// A host of your own: user@address, optionally with :port and ssh://, or an alias from your
    /// ssh_config
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// With --host: private key, instead of those that ssh would use
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// With --host: another ssh_config, as with `ssh -F`
    #[arg(long, value_name = "FILE")]
    ssh_config: Option<PathBuf>,
    /// With --host: path of the engine's socket on that host
    #[arg(long, value_name = "PATH")]
    remote_socket: Option<String>,
}

impl Args {
    /// The arguments given besides `--detach`.
    fn typed(&self) -> Option<&'static str> {
        let typed = [
            ("--provider", self.provider.is_some()),
            ("--host", self.host.is_some()),
            ("--identity", self.identity.is_some()),
            ("--ssh-config", self.ssh_config.is_some()),
            ("--remote-socket", self.remote_socket.is_some()),
        ];
        typed.into_iter().find(|(_, is_typed)| *is_typed).map(|(name, _)| name)
    }
}

pub async fn run(arguments: Args, global: &GlobalArgs) -> Outcome {
    if std::env::var_os(DETACHED).is_some() {
        platform::detach::in_child();
    }
    let unit = std::env::var(SERVICE).ok().filter(|unit| !unit.is_empty());
    let service = Service::of_this_process(unit).map_err(|error| {
        Failure::bare(Code::ServiceFailed, with_causes(&error))
            .hint("`dockbridge service install` writes the units again")
    })?;
    let is_child = is_in_background(&service);
    // Clients whose requests started this process wait for an answer, also for that of a failure.
    let refusal = service.refusal();
    let daemon = match bind(&arguments, global, service).await {
        Ok(Some(daemon)) => daemon,
        Ok(None) => return Ok(()),
        Err(failure) => {
            refusal.answer(failure.error().clone()).await;
            return Err(failure);
        }
    };
    // The sockets are the daemon's alone: at its end no other owner keeps them open.
    drop(refusal);
    daemon.run(if is_child { end_in_background()? } else { end_of_process()? }).await;
    Ok(())
}

/// Whether this process has no terminal whose end would be its own.
fn is_in_background(service: &Service) -> bool {
    service.unit().is_some() || std::env::var_os(DETACHED).is_some()
}

/// A daemon that owns its sockets; `None` if another process serves for this command.
async fn bind(arguments: &Args, global: &GlobalArgs, service: Service) -> Outcome<Option<Daemon>> {
    let resolved = Resolved::load(global)?;
    // Arguments that contradict each other are refused even if a daemon already runs.
    let host = host(arguments, &resolved.settings)?;
    // At sockets that were passed, this process would ask itself.
    let is_child = is_in_background(&service);
    if !service.has_sockets() {
        if is_running(arguments, &resolved).await? {
            return Ok(None);
        }
        if let Some(units) = Units::serving(&resolved).filter(|_| !is_child) {
            start_service(arguments.typed(), &resolved, &units).await?;
            return Ok(None);
        }
    }
    if arguments.detach && std::env::var_os(DETACHED).is_none() {
        detach(&resolved).await?;
        return Ok(None);
    }
    let directory = resolved.paths.profile_state(&resolved.profile);
    make_private_directory(&directory).map_err(|error| unwritable(&directory, &error))?;
    let log = resolved.paths.daemon_log(&resolved.profile);
    let level = crate::log::begin(&resolved.settings, &log)?;
    allow_many_files();
    let (provider, cloud) = provider(arguments, &resolved, host.as_deref())?;
    let begun = Instant::now();
    let reader = Reader { global: global.clone(), running: resolved.clone(), cloud, level };
    let rereading = Some(rereading(reader, is_child)?);
    let options = Options { rereading, ..options(&resolved, provider, service) };
    let daemon = Daemon::bind(options).await?;
    say(&format!(
        "Ready in {:.2} s. Docker socket: unix://{}",
        begun.elapsed().as_secs_f64(),
        resolved.socket.display()
    ));
    introduce(&daemon, &resolved);
    Ok(Some(daemon))
}

/// Reports what was found, and how to use the socket.
fn introduce(daemon: &Daemon, resolved: &Resolved) {
    match daemon.found() {
        Ok(Some(machine)) if machine.id.is_none() => say(&format!(
            "Docker runs on {}, a host of your own: dockbridge only connects to it.",
            machine.name
        )),
        Ok(Some(machine)) => {
            say(&format!("A machine exists already: {}", super::server::describe(machine)))
        }
        Ok(None) => say("No machine yet: the first docker command creates one."),
        Err(error) => {
            let trouble = machine::with_causes(error);
            say(&format!("Cannot ask the cloud now ({trouble}); docker commands try again."))
        }
    }
    if let Some(condition) = daemon.clock_condition() {
        say(&format!("Note: {}.", warning_now(&condition)));
    }
    say(&format!("To use it: export DOCKER_HOST=unix://{}", resolved.socket.display()));
    if let Some(port) = resolved.settings.docker.proxy_port {
        say(&format!(
            "Or over TCP, open to every program on this computer: export \
             DOCKER_HOST=tcp://127.0.0.1:{port}"
        ));
    }
    if let Some(address) = resolved.settings.metrics.listen {
        say(&format!("Metrics: http://{address}/metrics"));
    }
}

/// Each client takes one descriptor and its stream may take another. A session begins with a soft
/// limit of 1,024, kept low only for programs that use `select`.
fn allow_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // If the system refuses, the limit stays.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

fn options(resolved: &Resolved, provider: Arc<dyn Provider>, service: Service) -> Options {
    Options {
        profile: resolved.profile.to_string(),
        provider,
        policy: resolved.policy(),
        budget: resolved.settings.activity.budget,
        lease: resolved.lease(),
        heartbeat: resolved.settings.keepalive.interval,
        socket: resolved.socket.clone(),
        state: resolved.paths.profile_state(&resolved.profile),
        proxy_port: resolved.settings.docker.proxy_port,
        metrics: resolved.settings.metrics.listen,
        local_paths: resolved.directories(),
        ports: resolved.ports(),
        hints: HintTexts { error: hint, warning: warning_hints },
        service,
        desktop: resolved.settings.desktop.notices.then(Desktop::default),
        rereading: None,
    }
}

/// The host from `--host` or the settings; `None` for cloud machines. With a host, dockbridge
/// creates no server, so contradicting arguments are refused.
fn host(arguments: &Args, settings: &Settings) -> Outcome<Option<String>> {
    let (typed, set) = (arguments.host.as_ref(), settings.ssh.host.as_ref());
    match (arguments.provider.or_else(|| typed.map(|_| Kind::Ssh)), settings.machine.provider) {
        (Some(Kind::Hetzner), _) if typed.is_some() => Err(Failure::of_code(
            Code::SettingsInvalid,
            "--host names a host of your own, but --provider hetzner creates servers",
        )
        .hint("remove one of them: --host alone connects to the host")
        .code(2)),
        (Some(Kind::Ssh), _) | (None, Some(Kind::Ssh)) => match typed.or(set) {
            Some(host) => Ok(Some(host.clone())),
            None => Err(Failure::of_code(
                Code::SettingsInvalid,
                "provider ssh needs a host: --host <HOST>",
            )
            .hint("add `--host user@address`, or set `ssh.host`")
            .code(2)),
        },
        (None, None) if set.is_some() => Ok(set.cloned()),
        (Some(Kind::Hetzner), _) | (None, _) => match arguments.typed() {
            Some(name @ ("--identity" | "--ssh-config" | "--remote-socket")) => {
                Err(Failure::of_code(
                    Code::SettingsInvalid,
                    format!("{name} needs a host of your own, but no host is given"),
                )
                .hint("add `--host user@address`, or set `ssh.host`")
                .code(2))
            }
            _ if arguments.identity.is_some()
                || arguments.ssh_config.is_some()
                || arguments.remote_socket.is_some() =>
            {
                Err(Failure::of_code(
                    Code::SettingsInvalid,
                    "--identity, --ssh-config and --remote-socket need a host of your own",
                )
                .hint("remove them with `--provider hetzner`")
                .code(2))
            }
            _ => Ok(None),
        },
    }
}

/// Whether this profile's daemon already runs, so that nothing is left to do.
async fn is_running(arguments: &Args, resolved: &Resolved) -> Outcome<bool> {
    let status = match resolved.daemon().status().await {
        Ok(status) => status,
        // Of a service that cannot start.
        Err(error @ ClientError::Refused(_)) => return Err(error.into()),
        Err(_) => return Ok(false),
    };
    let socket = resolved.socket.display();
    if status.profile != resolved.profile.to_string() {
        return Err(Failure::of_code(
            Code::SocketServed,
            format!(
                "dockbridge (process {}) already serves {socket} for profile {}",
                status.process, status.profile
            ),
        )
        .hint("choose another path with `--socket PATH`"));
    }
    if let Some(name) = arguments.typed() {
        return Err(Failure::of_code(
            Code::DaemonRunning,
            format!(
                "dockbridge (process {}) is already running, so {name} has no effect",
                status.process
            ),
        )
        .hint(match &status.service {
            Some(_) => SERVICE_HINT,
            None => "run `dockbridge stop`, then start it with the new arguments",
        }));
    }
    let service = status.service.map(|unit| format!(" as the service {unit}")).unwrap_or_default();
    say(&format!(
        "dockbridge is already running{service} (process {}). Docker socket: unix://{socket}",
        status.process
    ));
    Ok(true)
}

fn provider(
    arguments: &Args,
    resolved: &Resolved,
    host: Option<&str>,
) -> Outcome<(Arc<dyn Provider>, Option<Cloud>)> {
    let Some(host) = host else {
        let found = agents();
        if !are_there(&found) {
            return Err(Failure::of_code(
                Code::AgentMissing,
                format!("{found} contains no dockbridge-agent"),
            )
            .hint("install it next to dockbridge, or set DOCKBRIDGE_AGENT_DIR"));
        }
        let cloud = resolved.cloud()?;
        return Ok((Arc::new(cloud.clone()), Some(cloud)));
    };
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let target = Destination::parse(host)?.resolve(arguments.ssh_config.as_deref(), &home)?;
    let settings = &resolved.settings.ssh;
    let identity = arguments.identity.clone().or_else(|| settings.private_key_path.clone());
    let set_socket = settings.remote_socket.as_ref().map(|path| path.display().to_string());
    let socket = arguments.remote_socket.clone().or(set_socket);
    let host = Host::new(tunnel::Options {
        endpoint: target.endpoint,
        host_keys: target.host_keys,
        identity: identity.map_or(target.identity, Identity::File),
        transport: target.transport,
        agent: settings.upload_agent.then(|| AgentPlan {
            binaries: agents(),
            directory: "~/.cache/dockbridge".to_owned(),
            installed: None,
            resident: false,
        }),
        docker_socket: socket.unwrap_or_else(|| tunnel::Options::DOCKER_SOCKET.to_owned()),
    });
    Ok((Arc::new(host), None))
}

/// Runs this command again in a session of its own, and waits until that process serves.
async fn detach(resolved: &Resolved) -> Outcome {
    let daemon = resolved.daemon();
    let directory = resolved.paths.profile_state(&resolved.profile);
    make_private_directory(&directory).map_err(|error| unwritable(&directory, &error))?;
    let log_path = resolved.paths.daemon_log(&resolved.profile);
    let mut log = file::open(&log_path).map_err(|error| unwritable(&log_path, &error))?;
    // A daemon that could not report why it fails is not started.
    let now = Some(jiff::Timestamp::now());
    let begins = Record::new(now, Level::Info, "dockbridge", "`dockbridge start --detach`");
    writeln!(log, "{}", begins.json)
        .and_then(|()| log.sync_all())
        .map_err(|error| unwritable(&log_path, &error))?;
    let begins_at = log.metadata()?.len();
    let mut command = std::process::Command::new(std::env::current_exe()?);
    platform::detach::prepare(&mut command);
    let mut child = tokio::process::Command::from(command)
        .args(command_arguments())
        .env(DETACHED, "true")
        // The log has no colors.
        .env_remove("CLICOLOR_FORCE")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()?;
    let begun = Instant::now();
    loop {
        if daemon.status().await.is_ok() {
            say(&format!(
                "Ready in {:.2} s. Docker socket: unix://{}",
                begun.elapsed().as_secs_f64(),
                resolved.socket.display()
            ));
            say(&format!("Log: {}", log_path.display()));
            return Ok(());
        }
        if let Some(status) = child.try_wait()? {
            return Err(reported_by_child(&log_path, begins_at, status));
        }
        if begun.elapsed() > LONGEST_START {
            return Err(Failure::of_code(
                Code::DaemonSilent,
                format!("the daemon does not answer after {}", duration::format(LONGEST_START)),
            )
            .hint(format!("its log is {}", log_path.display())));
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// The detached process's own error, as if it had run in the foreground.
fn reported_by_child(log: &Path, begins_at: u64, status: std::process::ExitStatus) -> Failure {
    let text = std::fs::read(log).unwrap_or_default();
    // The child has begun another file if this one was full.
    let own = text.get(usize::try_from(begins_at).unwrap_or(0)..).unwrap_or(&text);
    let text = String::from_utf8_lossy(own);
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    let Some((_, report)) = text.rsplit_once("Error: ") else {
        return Failure::of_code(Code::DaemonEnded, format!("the daemon ended with {status}"))
            .hint(format!("its log is {}", log.display()))
            .code(code);
    };
    let mut lines = report.lines();
    let failure = Failure::of_code(Code::DaemonEnded, lines.next().unwrap_or_default()).code(code);
    lines.filter_map(|line| line.strip_prefix("Hint: ")).fold(failure, Failure::hint)
}
