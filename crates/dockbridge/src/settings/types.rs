//! The settings as values, one type per section.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use daemon::ports::{OnConflict, Rule};
use machine::ImageSetting;
use url::Url;

use super::token::Token;

/// All settings, with their defaults filled in.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Section `machine`.
    pub machine: Machine,
    /// Section `hetzner`.
    pub hetzner: Hetzner,
    /// Section `docker`.
    pub docker: Docker,
    /// Section `activity`.
    pub activity: Activity,
    /// Section `lock`.
    pub lock: Lock,
    /// Section `keepalive`.
    pub keepalive: Keepalive,
    /// Section `ssh`.
    pub ssh: Ssh,
    /// Section `ports`.
    pub ports: Ports,
    /// Section `gateway`.
    pub gateway: Gateway,
    /// Section `image`.
    pub image: Image,
    /// Section `logging`.
    pub logging: Logging,
}

/// Where a setting was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// In the file, for all profiles.
    File,
    /// In the file, for this profile.
    Profile,
    /// In the environment.
    Variable,
}

/// The machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Where it comes from; `None` for the host if one is set, else the cloud.
    pub provider: Option<Provider>,
}

/// Where machines come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Provider {
    /// Servers of a Hetzner Cloud project, created and deleted as needed
    Hetzner,
    /// A host of your own, never created or deleted
    Ssh,
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Provider::Hetzner => "hetzner",
            Provider::Ssh => "ssh",
        })
    }
}

/// The address of a cloud's API.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Http or https.
    pub url: String,
    /// Where it was set.
    pub origin: Origin,
}

/// The image builder. A command asks for values that it needs and that have no default.
#[derive(Debug, Clone)]
pub struct Image {
    /// Name of the image.
    pub name: Option<image::Name>,
    /// Version of Talos.
    pub talos_version: Option<image::Version>,
    /// Talos schematic: its id, or a file.
    pub schematic: Option<String>,
    /// URL of the Talos image factory.
    pub factory: Url,
    /// Server types to build on, in order of preference; empty for the smallest disk, then the
    /// lowest price.
    pub server_types: Vec<String>,
    /// How long the rescue system may take to answer.
    pub rescue_timeout: Duration,
    /// A source that sends nothing for this long has stalled.
    pub stall_timeout: Duration,
}

/// The cloud.
#[derive(Debug, Clone)]
pub struct Hetzner {
    /// API token, if file or environment contain one.
    pub api_token: Option<Token>,
    /// A command that prints the token.
    pub token_command: Option<String>,
    /// Server types in order of preference.
    pub server_types: Vec<String>,
    /// Locations in order of preference.
    pub locations: Vec<String>,
    /// Image that machines are created from.
    pub image: ImageSetting,
    /// Size of a new volume in GB.
    pub volume_size: u64,
    /// API address; `None` for the one saved with the token, or the public API.
    pub endpoint: Option<Endpoint>,
}

/// The local endpoint.
#[derive(Debug, Clone)]
pub struct Docker {
    /// Path of the Docker socket; `None` for the profile's default.
    pub socket_path: Option<PathBuf>,
    /// TCP port of this computer that serves the same engine.
    pub proxy_port: Option<NonZeroU16>,
}

/// How long a machine stays.
#[derive(Debug, Clone)]
pub struct Activity {
    /// Time after the last command; `None` never ends a machine for idleness.
    pub idle_timeout: Option<Duration>,
    /// Time with silent connections or running containers; `None` keeps the machine while they
    /// last.
    pub connection_timeout: Option<Duration>,
    /// Delay before an idle machine is deleted.
    pub grace_period: Duration,
    /// How running containers count.
    pub containers: Containers,
    /// Use the paid hour to its end.
    pub keep_paid_hour: bool,
    /// After a wake, restart what ran before even without a restart policy.
    pub resume: bool,
    /// Maximum age of a machine.
    pub max_lifetime: Option<Duration>,
    /// Monthly, in millionths of the project's currency, net.
    pub budget: Option<u64>,
}

/// How running containers count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Containers {
    /// They keep a machine like a silent connection.
    Timeout,
    /// They keep a machine while they run.
    Keep,
    /// They do not count.
    Ignore,
}

impl fmt::Display for Containers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Containers::Timeout => "timeout",
            Containers::Keep => "keep",
            Containers::Ignore => "ignore",
        })
    }
}

/// What to do when the screen is locked or the computer suspends.
#[derive(Debug, Clone)]
pub struct Lock {
    pub action: LockAction,
    /// Delay after the lock.
    pub grace: Duration,
}

/// What to do about a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockAction {
    /// Delete the machine.
    Shutdown,
    /// Keep it no longer than after a command.
    Shorten,
    /// Do nothing.
    Ignore,
}

impl fmt::Display for LockAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LockAction::Shutdown => "shutdown",
            LockAction::Shorten => "shorten",
            LockAction::Ignore => "ignore",
        })
    }
}

/// The lease.
#[derive(Debug, Clone)]
pub struct Keepalive {
    /// Time between heartbeats.
    pub interval: Duration,
    /// How long a machine lives without a heartbeat.
    pub timeout: Duration,
    /// What it does then.
    pub self_destruct: SelfDestruct,
}

/// What a machine does when its lease ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelfDestruct {
    /// It deletes itself, with a token that the agent holds in memory.
    Token,
    /// It powers off, and costs money until the user deletes it.
    PowerOff,
}

impl fmt::Display for SelfDestruct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SelfDestruct::Token => "token",
            SelfDestruct::PowerOff => "power-off",
        })
    }
}

/// The login.
#[derive(Debug, Clone)]
pub struct Ssh {
    /// The private key; `None` for the one that `init` creates.
    pub private_key_path: Option<PathBuf>,
    /// With provider `ssh`: the host, in the form of `--host`.
    pub host: Option<String>,
    /// With provider `ssh`: the engine's socket on the host.
    pub remote_socket: Option<PathBuf>,
    /// Hosts whose TCP 22 is known to answer; `None` for the defaults, empty for no check.
    pub port_check: Option<Vec<String>>,
}

/// Published ports.
#[derive(Debug, Clone)]
pub struct Ports {
    /// Whether they appear on this computer at all.
    pub enabled: bool,
    /// Address of the listeners.
    pub bind: IpAddr,
    /// What to do when a port is in use.
    pub on_conflict: OnConflict,
    /// If not empty, only these appear.
    pub include: Vec<Rule>,
    /// These never appear.
    pub exclude: Vec<Rule>,
}

/// How requests are changed.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// What to do with directories of this computer.
    pub bind_mounts: BindMounts,
}

/// What a path in a bind mount refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindMounts {
    /// A directory of this computer, which the machine does not have: refused.
    Refuse,
    /// A directory of the machine.
    Remote,
}

impl fmt::Display for BindMounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BindMounts::Refuse => "refuse",
            BindMounts::Remote => "remote",
        })
    }
}

/// The daemon's log.
#[derive(Debug, Clone)]
pub struct Logging {
    /// A filter in the syntax of `tracing`.
    pub level: String,
    /// JSON lines instead of text.
    pub json: bool,
}
