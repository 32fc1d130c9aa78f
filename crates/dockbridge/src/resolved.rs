//! What the arguments and settings mean to the crates below. Owner, token and keys are in
//! [`crate::credentials`].

use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use daemon::AuditLog;
use hetzner::Client;
use lifecycle::{Containers, Lock, LockAction, Policy};
use machine::{
    Cloud, CloudOptions, Identity, Lease, Owner, PortCheck, PortWindows, Profile, SelfDestruct,
    Spec,
};
use russh::keys::PrivateKey;
use secrecy::SecretString;
use tunnel::AgentPlan;
use url::Url;

use crate::failure::{Failure, Outcome, with_causes};
use crate::output::complain;
use crate::paths::Paths;
use crate::settings::{self, Loaded, Problem, Provider, Settings, Severity};

/// A server boots in under a minute; a laptop that is closed meanwhile costs at most this, in
/// seconds.
pub const BOOT_LEASE_SECONDS: u64 = 10 * 60;

/// Hosts on the internet whose TCP 22 answers everybody: two, so that one that is down or blocked
/// by its name does not look like a blocked port.
const PORT_CHECK: [&str; 2] = ["github.com", "gitlab.com"];

/// Who this process is to machines.
static CLIENT: OnceLock<String> = OnceLock::new();

/// Arguments that all commands share.
#[derive(Debug, Clone, clap::Args)]
pub struct GlobalArgs {
    /// Profile: a set of sockets, machine and volume of its own
    #[arg(
        long,
        global = true,
        env = "DOCKBRIDGE_PROFILE",
        default_value = "default",
        value_name = "NAME"
    )]
    pub profile: String,
    /// Settings file, instead of the one in the configuration folder
    #[arg(long, global = true, env = "DOCKBRIDGE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Docker socket, instead of the profile's own
    #[arg(long, global = true, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

/// Arguments and settings together.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// Where our files are.
    pub paths: Paths,
    /// The settings file.
    pub settings_file: PathBuf,
    /// What is set.
    pub settings: Settings,
    /// The profile.
    pub profile: Profile,
    /// The Docker socket.
    pub socket: PathBuf,
}

impl Resolved {
    /// Reads the settings for a command that begins something: none of them may be wrong.
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

    /// Reads the settings for a command that looks, stops or takes down: what is wrong with them is
    /// said, and never keeps a machine alive.
    pub fn load_what_holds(arguments: &GlobalArgs) -> Outcome<Self> {
        let (resolved, problems) = Self::read(arguments)?;
        let refused = problems.iter().filter(|problem| problem.severity == Severity::Refused);
        for problem in refused {
            complain(&format!("Warning: {problem} (this command goes on without it)"));
        }
        Ok(resolved)
    }

    /// Reads the settings, and what is wrong with them.
    pub fn read(arguments: &GlobalArgs) -> Outcome<(Self, Vec<Problem>)> {
        let paths = Paths::find().map_err(|error| {
            Failure::new(with_causes(&error)).hint("set HOME or DOCKBRIDGE_HOME")
        })?;
        let profile =
            Profile::parse(&arguments.profile).map_err(|error| Failure::new(error.to_string()))?;
        let settings_file = arguments.config.clone().unwrap_or_else(|| paths.settings());
        if arguments.config.is_some() && !settings_file.exists() {
            return Err(Failure::new(format!(
                "there is no settings file {}",
                settings_file.display()
            )));
        }
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let Loaded { settings, problems } =
            settings::load(&settings_file, &arguments.profile, variables);
        let socket = arguments
            .socket
            .clone()
            .or_else(|| settings.docker.socket_path.clone())
            .unwrap_or_else(|| paths.docker_socket(&profile));
        let socket = std::path::absolute(&socket)?;
        Ok((Self { paths, settings_file, settings, profile, socket }, problems))
    }

    /// The API of the cloud project.
    pub fn client(&self, token: SecretString) -> Outcome<Client> {
        let client = client_at(&self.endpoint(), token)?;
        let log = AuditLog::in_directory(&self.paths.profile_state(&self.profile), command_line());
        Ok(client.reporting_to(Arc::new(move |change| log.enter(change))))
    }

    /// The host of the user's own on which this profile's machine is, if the settings say so.
    pub fn own_host(&self) -> Option<&str> {
        let host = self.settings.ssh.host.as_deref()?;
        (self.settings.machine.provider != Some(Provider::Hetzner)).then_some(host)
    }

    /// How it is found out whether TCP 22 leads out of this network. A local cloud answers at its
    /// own address in place of the hosts on the internet; on the loopback there is no network to
    /// ask about.
    pub fn port_check(&self) -> PortCheck {
        if let Some(hosts) = &self.settings.ssh.port_check {
            return PortCheck { hosts: hosts.clone(), accepts_refusal: false };
        }
        let endpoint = self.endpoint();
        if !endpoint.starts_with("http://") {
            return PortCheck {
                hosts: PORT_CHECK.map(str::to_owned).to_vec(),
                accepts_refusal: false,
            };
        }
        let url = endpoint.parse::<Url>().ok();
        let host = url.as_ref().and_then(Url::host).filter(|host| match host {
            url::Host::Domain(name) => *name != "localhost",
            url::Host::Ipv4(address) => !address.is_loopback(),
            url::Host::Ipv6(_) => false,
        });
        PortCheck { hosts: host.iter().map(ToString::to_string).collect(), accepts_refusal: true }
    }

    /// The cloud for a command that looks at this profile's machine or takes it down. Nothing is
    /// written: where there is no owner id yet, nothing in the cloud is this user's.
    pub fn looking(&self) -> Outcome<Cloud> {
        if let Some(host) = self.own_host() {
            return Err(Failure::new(format!(
                "the machine of profile {} is {host}, a host of your own: dockbridge neither \
                 creates nor deletes it",
                self.profile
            )));
        }
        self.looking_at_project()
    }

    /// The same, for all profiles of this owner.
    pub fn looking_at_project(&self) -> Outcome<Cloud> {
        let token = self.token()?;
        let client = self.client(token.clone())?;
        let login = self.login_key_or_another()?;
        Ok(self.cloud_of(client, token, self.owner_or_nobody()?, login))
    }

    /// The owner, for a command that looks: a new one owns nothing, and is forgotten again.
    pub fn owner_or_nobody(&self) -> Outcome<Owner> {
        Ok(self.known_owner()?.unwrap_or_else(Owner::random))
    }

    /// The provider of this profile's machine. Owner id and login key are made if need be.
    pub fn cloud(&self) -> Outcome<Cloud> {
        let token = self.token()?;
        let client = self.client(token.clone())?;
        let (owner, login) = (self.owner()?, self.login_key()?);
        Ok(self.cloud_of(client, token, owner, login))
    }

    fn cloud_of(
        &self,
        client: Client,
        token: SecretString,
        owner: Owner,
        login: Arc<PrivateKey>,
    ) -> Cloud {
        let hetzner = &self.settings.hetzner;
        let self_destruct = match self.settings.keepalive.self_destruct {
            settings::SelfDestruct::PowerOff => SelfDestruct::PowerOff,
            settings::SelfDestruct::Token => {
                SelfDestruct::Delete { endpoint: self.endpoint(), token }
            }
        };
        let spec = Spec {
            server_types: hetzner.server_types.clone(),
            locations: hetzner.locations.clone(),
            image: hetzner.image.clone(),
            volume_size: hetzner.volume_size,
            boot_lease_seconds: BOOT_LEASE_SECONDS,
        };
        let plan = AgentPlan {
            binaries: agent_binaries(),
            directory: machine::RUN_DIRECTORY.to_owned(),
            installed: Some(machine::LIBRARY_DIRECTORY.to_owned()),
            resident: true,
        };
        let options = CloudOptions {
            identity: Identity { profile: self.profile.clone(), owner },
            spec,
            login,
            agent: plan,
            lease: self.lease(),
            self_destruct,
            resume: self.settings.activity.resume,
            boot_history: daemon::boot_history_of(&self.paths.profile_state(&self.profile)),
            port_windows: PortWindows::new(self.paths.port_windows()),
            port_check: self.port_check(),
            books: self.books(),
        };
        Cloud::new(client, options)
    }

    /// How past machines of this profile came up.
    pub fn wakes(&self) -> machine::History {
        daemon::boot_history_of(&self.paths.profile_state(&self.profile)).history()
    }

    /// The books: of the profile that a server or volume belongs to, else of this one.
    pub fn books(&self) -> machine::Books {
        let (paths, own) = (self.paths.clone(), self.profile.clone());
        let folder = move |named: Option<&str>| {
            let profile =
                named.and_then(|name| Profile::parse(name).ok()).unwrap_or_else(|| own.clone());
            paths.profile_state(&profile)
        };
        daemon::books_of(folder, self.settings.keepalive.timeout, command_line())
    }

    /// What this client says of itself.
    pub fn lease(&self) -> Lease {
        Lease {
            // One name for all that this process says: the machine is not to take us for somebody
            // else.
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
            containers: match activity.containers {
                settings::Containers::Timeout => Containers::Timeout,
                settings::Containers::Keep => Containers::Keep,
                settings::Containers::Ignore => Containers::Ignore,
            },
            keep_paid_hour: activity.keep_paid_hour,
            max_lifetime: activity.max_lifetime,
            lock: Lock {
                action: match self.settings.lock.action {
                    settings::LockAction::Shutdown => LockAction::Shutdown,
                    settings::LockAction::Shorten => LockAction::Shorten,
                    settings::LockAction::Ignore => LockAction::Ignore,
                },
                grace: self.settings.lock.grace,
            },
        }
    }

    /// What the daemon is to know of the folders of this computer.
    pub fn folders(&self) -> daemon::LocalPaths {
        daemon::LocalPaths {
            bind_mounts: match self.settings.gateway.bind_mounts {
                settings::BindMounts::Refuse => daemon::BindMounts::Refuse,
                settings::BindMounts::Remote => daemon::BindMounts::Remote,
            },
            socket: Some(self.socket.clone()),
            home: std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute()),
        }
    }

    /// How published ports appear on this computer, if they do.
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

    /// The daemon of this profile, running or not.
    pub fn daemon(&self) -> daemon::client::Client {
        daemon::client::Client::of(&self.socket)
    }
}

/// The command that runs, without its options: they may name files.
fn command_line() -> String {
    let words = std::env::args().skip(1).take_while(|word| !word.starts_with('-')).take(2);
    format!("dockbridge {}", words.collect::<Vec<_>>().join(" "))
}

/// Where the agent is: beside our own executable, or where a package or `scripts/build` puts it.
pub fn agent_binaries() -> PathBuf {
    if let Some(folder) = std::env::var_os("DOCKBRIDGE_AGENT_DIR") {
        return folder.into();
    }
    let executable = std::env::current_exe().and_then(fs::canonicalize).unwrap_or_default();
    let beside = executable.parent().unwrap_or(Path::new(".")).to_owned();
    let library = beside.join("../lib/dockbridge");
    if holds_agent(&library) { library } else { beside }
}

/// Whether there is an agent for any architecture.
pub fn holds_agent(folder: &Path) -> bool {
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    names
        .into_iter()
        .any(|entry| entry.file_name().to_string_lossy().starts_with("dockbridge-agent"))
}

/// What keeps a command from beginning, all of it at once.
pub fn unusable(problems: &[Problem]) -> Failure {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let failure = match &lines[..] {
        [one] => Failure::new(one),
        several => Failure::new(format!(
            "{} settings cannot be used:\n  {}",
            several.len(),
            several.join("\n  ")
        )),
    };
    let mut hints: Vec<&str> = problems.iter().filter_map(Problem::hint).collect();
    hints.dedup();
    hints
        .into_iter()
        .chain(["`dockbridge config show` prints all settings with their \
        values"])
        .fold(failure, Failure::hint)
}

/// The API at an address.
pub fn client_at(endpoint: &str, token: SecretString) -> Outcome<Client> {
    let url: Url = endpoint.parse().map_err(|error| {
        Failure::new(format!(
            "{endpoint:?} is no API address: \
            {error}"
        ))
        .hint("change `hetzner.endpoint` or HCLOUD_ENDPOINT")
    })?;
    let client = Client::new(url, token).map_err(|error| {
        let failure = Failure::new(with_causes(&error));
        match error {
            hetzner::Error::Endpoint { .. } => failure.hint(
                "change `hetzner.endpoint` or \
                HCLOUD_ENDPOINT",
            ),
            _ => failure,
        }
    })?;
    let client =
        if std::io::stderr().is_terminal() { client.saying(say_that_it_waits) } else { client };
    // A cloud on this host answers in microseconds and has no rate limit worth sparing.
    Ok(if endpoint.starts_with("http://") {
        client.with(hetzner::Config {
            backoff: Duration::from_millis(50),
            ..hetzner::Config::default()
        })
    } else {
        client
    })
}

/// To whoever waits at a terminal.
fn say_that_it_waits(endpoint: &str) {
    crate::output::complain(&format!("Waiting for an answer of {endpoint} …"));
}
