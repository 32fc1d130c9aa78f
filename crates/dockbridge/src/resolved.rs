//! Turns arguments and settings into the types of the crates below. `credentials` has
//! owner, token and keys, `cloud_access` the cloud.

use std::path::PathBuf;
use std::sync::OnceLock;

use api::Code;
use lifecycle::{Lock, Policy};
use machine::{Lease, Profile};

use crate::failure::{Failure, Outcome, with_causes};
use crate::output::complain;
use crate::paths::Paths;
use crate::settings::{self, Loaded, Problem, Provider, Settings, Severity};

/// In seconds. A server boots in under a minute; if the laptop is closed meanwhile, the machine
/// lives at most this long.
pub const BOOT_LEASE_SECONDS: u64 = 10 * 60;

/// This process's id on machines.
static CLIENT: OnceLock<String> = OnceLock::new();

/// Arguments that all commands share.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Options of all commands")]
pub struct GlobalArgs {
    /// Profile: it has its own sockets, machine and volume
    #[arg(
        long,
        global = true,
        env = "DOCKBRIDGE_PROFILE",
        default_value = "default",
        value_name = "NAME"
    )]
    pub profile: String,
    /// Settings file, instead of the one in the configuration directory
    #[arg(long, global = true, env = "DOCKBRIDGE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Docker socket, instead of the profile's default
    #[arg(long, global = true, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

/// Arguments and settings together.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// Where dockbridge's files are.
    pub paths: Paths,
    /// Path of the settings file.
    pub settings_file: PathBuf,
    /// The settings.
    pub settings: Settings,
    /// The profile.
    pub profile: Profile,
    /// The Docker socket.
    pub socket: PathBuf,
}

impl Resolved {
    /// Loads the settings for a command that starts something: refuses any invalid one.
    pub fn load(arguments: &GlobalArgs) -> Outcome<Self> {
        let (resolved, problems) = Self::read(arguments)?;
        let (refused, warned): (Vec<_>, Vec<_>) =
            problems.into_iter().partition(|problem| problem.severity == Severity::Refused);
        if !refused.is_empty() {
            return Err(unusable(&refused));
        }
        warned.iter().for_each(|problem| complain(&format!("Warning: {problem}")));
        if let Some(warning) = resolved.endpoint_not_used() {
            complain(&format!("Warning: {warning}"));
        }
        Ok(resolved)
    }

    /// Loads the settings for a command that looks, stops or takes down. It warns of invalid
    /// settings, because they must never keep a machine alive.
    pub fn load_valid(arguments: &GlobalArgs) -> Outcome<Self> {
        let (resolved, problems) = Self::read(arguments)?;
        let refused = problems.iter().filter(|problem| problem.severity == Severity::Refused);
        for problem in refused {
            complain(&format!("Warning: {problem} (this command ignores it)"));
        }
        Ok(resolved)
    }

    /// Reads the settings and their problems.
    pub fn read(arguments: &GlobalArgs) -> Outcome<(Self, Vec<Problem>)> {
        let paths = Paths::find().map_err(|error| {
            Failure::of_code(Code::HomeUnknown, with_causes(&error))
                .hint("set HOME or DOCKBRIDGE_HOME")
        })?;
        let profile = Profile::parse(&arguments.profile)
            .map_err(|error| Failure::of_code(Code::SettingsInvalid, error.to_string()))?;
        let settings_file = arguments.config.clone().unwrap_or_else(|| paths.settings());
        if arguments.config.is_some() && !settings_file.exists() {
            return Err(Failure::of_code(
                Code::SettingsInvalid,
                format!("the settings file {} does not exist", settings_file.display()),
            ));
        }
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let Loaded { settings, problems, .. } =
            settings::load(&settings_file, &arguments.profile, variables);
        let socket = arguments
            .socket
            .clone()
            .or_else(|| settings.docker.socket_path.clone())
            .unwrap_or_else(|| paths.docker_socket(&profile));
        let socket = std::path::absolute(&socket)?;
        Ok((Self { paths, settings_file, settings, profile, socket }, problems))
    }

    /// The user's own host that this profile uses, if the settings name one.
    pub fn own_host(&self) -> Option<&str> {
        let host = self.settings.ssh.host.as_deref()?;
        (self.settings.machine.provider != Some(Provider::Hetzner)).then_some(host)
    }

    /// How long this profile's past machines took to boot.
    pub fn wakes(&self) -> machine::History {
        daemon::boot_history_of(&self.paths.profile_state(&self.profile)).history()
    }

    /// The books of the profile that owns a server or volume; by default those of this profile.
    pub fn books(&self) -> machine::Books {
        let (paths, own) = (self.paths.clone(), self.profile.clone());
        let directory = move |named: Option<&str>| {
            let profile =
                named.and_then(|name| Profile::parse(name).ok()).unwrap_or_else(|| own.clone());
            paths.profile_state(&profile)
        };
        daemon::books_of(directory, self.settings.keepalive.timeout, command_line())
    }

    /// What this client announces to a machine.
    pub fn lease(&self) -> Lease {
        Lease {
            // One id for the whole process: the machine must not take it for several clients.
            client: CLIENT.get_or_init(|| format!("{:016x}", rand::random::<u64>())).clone(),
            length: self.settings.keepalive.timeout,
            idle_limit: self
                .policy()
                .idle_timeout
                .saturating_add(self.settings.activity.grace_period),
        }
    }

    /// How long machines stay.
    pub fn policy(&self) -> Policy {
        let activity = &self.settings.activity;
        Policy {
            idle_timeout: activity.idle_timeout.unwrap_or(Policy::UNLIMITED),
            connection_timeout: activity.connection_timeout.unwrap_or(Policy::UNLIMITED),
            grace_period: activity.grace_period,
            containers: activity.containers,
            keep_paid_hour: activity.keep_paid_hour,
            max_lifetime: activity.max_lifetime,
            lock: Lock { action: self.settings.lock.action, grace: self.settings.lock.grace },
        }
    }

    /// What the daemon needs to know about this computer's directories.
    pub fn directories(&self) -> daemon::LocalPaths {
        daemon::LocalPaths {
            bind_mounts: self.settings.gateway.bind_mounts,
            socket: Some(self.socket.clone()),
            home: std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute()),
        }
    }

    /// How published ports appear on this computer; `None` if they do not.
    pub fn ports(&self) -> Option<daemon::ports::Options> {
        let ports = &self.settings.ports;
        let rules =
            daemon::ports::Rules { include: ports.include.clone(), exclude: ports.exclude.clone() };
        ports.enabled.then_some(daemon::ports::Options {
            bind: ports.bind,
            on_conflict: ports.on_conflict,
            rules,
        })
    }

    /// A client of this profile's daemon, which may not be running.
    pub fn daemon(&self) -> api::client::Client {
        api::client::Client::of(&self.socket)
    }
}

/// The running command without its options, which may name files.
pub(crate) fn command_line() -> String {
    let words = std::env::args().skip(1).take_while(|word| !word.starts_with('-')).take(2);
    format!("dockbridge {}", words.collect::<Vec<_>>().join(" "))
}

/// Reports all invalid settings at once.
pub fn unusable(problems: &[Problem]) -> Failure {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let failure = match &lines[..] {
        [one] => Failure::of_code(Code::SettingsInvalid, one),
        several => Failure::of_code(
            Code::SettingsInvalid,
            format!("{} settings are invalid:\n  {}", several.len(), several.join("\n  ")),
        ),
    };
    let mut hints: Vec<&str> = problems.iter().filter_map(Problem::hint).collect();
    hints.dedup();
    hints
        .into_iter()
        .chain(["`dockbridge config show` prints all settings with their values"])
        .fold(failure, Failure::hint)
}
