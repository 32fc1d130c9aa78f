//! What the arguments and settings mean to the rooms below: who we are, which cloud, which token, which key.

use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hetzner::Client;
use lifecycle::{Containers, Lock, LockAction, Policy};
use machine::{Cloud, CloudOptions, Identity, Lease, Owner, Profile, SelfDestruct, Spec};
use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use secrecy::SecretString;
use tunnel::AgentPlan;
use url::Url;

use crate::failure::{Failure, Outcome, with_causes};
use crate::paths::{Paths, unwritable, write_private};
use crate::settings::{self, Settings};

/// A server boots in under a minute; a laptop that is closed meanwhile costs at most this, in seconds.
pub const BOOT_LEASE_SECONDS: u64 = 10 * 60;

/// Who this process is to machines.
static CLIENT: OnceLock<String> = OnceLock::new();

/// Arguments that all commands share.
#[derive(Debug, Clone, clap::Args)]
pub struct GlobalArgs {
    /// Profile: a set of sockets, machine and volume of its own
    #[arg(long, global = true, env = "DOCKBRIDGE_PROFILE", default_value = "default", value_name = "NAME")]
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
    /// Reads the settings.
    pub fn load(arguments: &GlobalArgs) -> Outcome<Self> {
        let paths = Paths::find().map_err(|error| Failure::new(with_causes(&error)).hint("set HOME or DOCKBRIDGE_HOME"))?;
        let profile = Profile::parse(&arguments.profile).map_err(|error| Failure::new(error.to_string()))?;
        let settings_file = arguments.config.clone().unwrap_or_else(|| paths.settings());
        if arguments.config.is_some() && !settings_file.exists() {
            return Err(Failure::new(format!("there is no settings file {}", settings_file.display())));
        }
        let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let settings = settings::load(&settings_file, variables)?;
        let socket =
            arguments.socket.clone().or_else(|| settings.docker.socket_path.clone()).unwrap_or_else(|| paths.docker_socket(&profile));
        let socket = std::path::absolute(&socket)?;
        Ok(Self { paths, settings_file, settings, profile, socket })
    }

    /// The owner's id, made if there is none yet.
    pub fn owner(&self) -> Outcome<Owner> {
        let path = self.paths.owner();
        match fs::read_to_string(&path) {
            Ok(text) => Owner::parse(&text)
                .map_err(|error| Failure::new(format!("{}: {error}", path.display())).hint("put the id back that `init` printed")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let owner = Owner::random();
                write_private(&path, format!("{owner}\n").as_bytes()).map_err(|error| unwritable(&path, &error))?;
                Ok(owner)
            }
            Err(error) => Err(Failure::new(format!("{} cannot be read: {error}", path.display()))),
        }
    }

    /// The API token: settings and environment, a command, or the file that `init` wrote.
    pub fn token(&self) -> Outcome<SecretString> {
        if let Some(token) = &self.settings.hetzner.api_token {
            return Ok(token.clone());
        }
        if let Some(command) = &self.settings.hetzner.token_command {
            return run_token_command(command);
        }
        match fs::read_to_string(self.paths.token()) {
            Ok(text) => Ok(SecretString::from(text.trim().to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Failure::new("there is no Hetzner API token")
                .hint("make one with Read & Write in the Hetzner Cloud console, then run `dockbridge init` or set HCLOUD_TOKEN")
                .hint("`dockbridge try` needs no account")),
            Err(error) => Err(Failure::new(format!("{} cannot be read: {error}", self.paths.token().display()))),
        }
    }

    /// The API of the cloud project.
    pub fn client(&self, token: SecretString) -> Outcome<Client> {
        let endpoint = &self.settings.hetzner.endpoint;
        let url: Url = endpoint.parse().map_err(|error| {
            Failure::new(format!("{endpoint:?} is no API address: {error}")).hint("change `hetzner.endpoint` or HCLOUD_ENDPOINT")
        })?;
        let client = Client::new(url, token).map_err(|error| {
            let failure = Failure::new(with_causes(&error));
            match error {
                hetzner::Error::Token => failure.hint("copy it once more from the Hetzner Cloud console, then run `dockbridge init`"),
                hetzner::Error::Endpoint { .. } => failure.hint("change `hetzner.endpoint` or HCLOUD_ENDPOINT"),
                _ => failure,
            }
        })?;
        let client = if std::io::stderr().is_terminal() { client.saying(say_that_it_waits) } else { client };
        // A cloud on this host answers in microseconds and has no rate limit worth sparing.
        Ok(if self.endpoint_is_local() {
            client.with(hetzner::Config { backoff: Duration::from_millis(50), ..hetzner::Config::default() })
        } else {
            client
        })
    }

    fn endpoint_is_local(&self) -> bool {
        self.settings.hetzner.endpoint.starts_with("http://")
    }

    /// The login key, made if there is none yet.
    pub fn login_key(&self) -> Outcome<Arc<PrivateKey>> {
        let own = self.paths.private_key();
        let path = self.settings.ssh.private_key_path.as_ref().unwrap_or(&own);
        let unusable = |what: &str, error: &dyn std::error::Error| {
            Failure::new(format!("the private key {} cannot be {what}: {error}", path.display()))
                .hint("change `ssh.private_key_path`, or leave it out for a key of our own")
        };
        match fs::read_to_string(path) {
            Ok(text) => PrivateKey::from_openssh(&text).map(Arc::new).map_err(|error| unusable("used", &error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && *path == own => {
                let unmade = |error: &dyn std::error::Error| Failure::new(format!("an SSH key cannot be made: {}", with_causes(error)));
                let key = machine::generate_key("dockbridge").map_err(|error| unmade(&error))?;
                let text = key.to_openssh(LineEnding::LF).map_err(|error| unmade(&error))?;
                write_private(&own, text.as_bytes()).map_err(|error| unwritable(&own, &error))?;
                Ok(Arc::new(key))
            }
            Err(error) => Err(unusable("read", &error)),
        }
    }

    /// The provider of this profile's machine.
    pub fn cloud(&self) -> Outcome<Cloud> {
        let token = self.token()?;
        let client = self.client(token.clone())?;
        let hetzner = &self.settings.hetzner;
        let self_destruct = match self.settings.keepalive.self_destruct {
            settings::SelfDestruct::PowerOff => SelfDestruct::PowerOff,
            settings::SelfDestruct::Token => SelfDestruct::Delete { endpoint: hetzner.endpoint.clone(), token },
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
            identity: Identity { profile: self.profile.clone(), owner: self.owner()? },
            spec,
            login: self.login_key()?,
            agent: plan,
            lease: self.lease(),
            self_destruct,
            resume: self.settings.activity.resume,
            wakes: daemon::wakes_of(&self.paths.profile_state(&self.profile)),
            books: self.books(),
        };
        Ok(Cloud::new(client, options))
    }

    /// How past machines of this profile came up.
    pub fn wakes(&self) -> machine::History {
        daemon::wakes_of(&self.paths.profile_state(&self.profile)).history()
    }

    /// The books: of the profile that a server or volume belongs to, else of this one.
    pub fn books(&self) -> machine::Books {
        let (paths, own) = (self.paths.clone(), self.profile.clone());
        let folder = move |named: Option<&str>| {
            let profile = named.and_then(|name| Profile::parse(name).ok()).unwrap_or_else(|| own.clone());
            paths.profile_state(&profile)
        };
        daemon::books_of(folder, self.settings.keepalive.timeout)
    }

    /// What this client says of itself.
    pub fn lease(&self) -> Lease {
        Lease {
            // One name for all that this process says: the machine is not to take us for somebody else.
            client: CLIENT.get_or_init(|| format!("{:016x}", rand::random::<u64>())).clone(),
            length: self.settings.keepalive.timeout,
            idle_limit: self.settings.activity.idle_timeout + self.settings.activity.grace_period,
        }
    }

    /// How long machines stay.
    pub fn policy(&self) -> Policy {
        let activity = &self.settings.activity;
        Policy {
            idle_timeout: activity.idle_timeout,
            connection_timeout: activity.connection_timeout,
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
    pub fn folders(&self) -> daemon::Folders {
        daemon::Folders {
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
        let rules = daemon::ports::Rules { include: ports.include.clone(), exclude: ports.exclude.clone() };
        ports.enabled.then_some(daemon::ports::Options { bind: ports.bind, on_conflict: ports.on_conflict, rules })
    }

    /// The daemon of this profile, running or not.
    pub fn daemon(&self) -> daemon::client::Client {
        daemon::client::Client::of(&self.socket)
    }
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
    names.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("dockbridge-agent"))
}

/// To whoever waits at a terminal.
fn say_that_it_waits(endpoint: &str) {
    crate::output::complain(&format!("Waiting for an answer of {endpoint} …"));
}

fn run_token_command(command: &str) -> Outcome<SecretString> {
    let output = std::process::Command::new("sh").args(["-c", command]).stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() || text.is_empty() {
        return Err(Failure::new("the command of `hetzner.token_command` printed no token").hint("run it by hand to see why"));
    }
    Ok(SecretString::from(text))
}
