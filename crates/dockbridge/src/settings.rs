//! What the user set: defaults, under the file, under the file's section of the profile, under the
//! environment, under flags. This module reads and checks; what the settings mean to the crates
//! below is decided by [`crate::resolved`].

mod addresses;
mod check;
pub mod duration;
mod file;
mod layer;
mod place;
mod spans;
pub mod token;
mod tree;
mod values;

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use daemon::ports::{OnConflict, Rule};
use machine::ImageSetting;
use url::Url;

pub use addresses::api_address;
pub use file::{Loaded, load};
pub use place::{Problem, Severity};
use token::Token;

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
    /// Where it comes from; `None` for a host where one is set, and the cloud where none is.
    pub provider: Option<Provider>,
}

/// Where machines come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Provider {
    /// Servers of a Hetzner Cloud project, made and deleted as needed
    Hetzner,
    /// A host of your own, never made or deleted
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

/// The image builder. What has no default is asked for by the command that needs it.
#[derive(Debug, Clone)]
pub struct Image {
    /// What images are called.
    pub name: Option<image::Name>,
    /// Version of Talos.
    pub talos_version: Option<image::Version>,
    /// Talos' schematic: its id, or a file.
    pub schematic: Option<String>,
    /// Where Talos' images come from.
    pub factory: Url,
    /// Server types to build on, in order of preference; empty for the smallest disk, then the
    /// cheapest.
    pub server_types: Vec<String>,
    /// How long the rescue system may take to answer.
    pub rescue_timeout: Duration,
    /// A source that sends nothing for so long has stalled.
    pub stall_timeout: Duration,
}

/// The cloud.
#[derive(Debug, Clone)]
pub struct Hetzner {
    /// API token, if it stands in the file or the environment.
    pub api_token: Option<Token>,
    /// A command that prints the token.
    pub token_command: Option<String>,
    /// Server types in order of preference.
    pub server_types: Vec<String>,
    /// Locations in order of preference.
    pub locations: Vec<String>,
    /// What machines are made from.
    pub image: ImageSetting,
    /// GB of a new volume.
    pub volume_size: u64,
    /// API base; `None` for the one kept with the token, or the public API.
    pub endpoint: Option<Endpoint>,
}

/// The local endpoint.
#[derive(Debug, Clone)]
pub struct Docker {
    /// Where the Docker socket stands; `None` for the profile's own place.
    pub socket_path: Option<PathBuf>,
    /// A port of this computer that leads there, too.
    pub proxy_port: Option<NonZeroU16>,
}

/// How long a machine stays.
#[derive(Debug, Clone)]
pub struct Activity {
    /// After the last command; `None` to end no machine for idleness.
    pub idle_timeout: Option<Duration>,
    /// With silent connections or running containers; `None` for as long as they last.
    pub connection_timeout: Option<Duration>,
    /// Before the end.
    pub grace_period: Duration,
    /// What running containers mean.
    pub containers: Containers,
    /// Use the paid hour to its end.
    pub keep_paid_hour: bool,
    /// After a wake, what ran before runs again though it has no restart policy.
    pub resume: bool,
    /// No machine gets older.
    pub max_lifetime: Option<Duration>,
    /// For a month, in millionths of the project's currency, net.
    pub budget: Option<u64>,
}

/// What running containers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Containers {
    /// They keep a machine as a silent connection does.
    Timeout,
    /// They keep it for as long as they run.
    Keep,
    /// Nothing.
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

/// A locked screen, or a computer that falls asleep.
#[derive(Debug, Clone)]
pub struct Lock {
    /// What is done.
    pub action: LockAction,
    /// How long after the lock.
    pub grace: Duration,
}

/// What is done about a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockAction {
    /// The machine goes.
    Shutdown,
    /// It is kept no longer than after a command.
    Shorten,
    /// Nothing.
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
    /// Between heartbeats.
    pub interval: Duration,
    /// How long a machine lives without one.
    pub timeout: Duration,
    /// What it does then.
    pub self_destruct: SelfDestruct,
}

/// What a machine does when its lease ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelfDestruct {
    /// It deletes itself with a token that the agent holds in memory.
    Token,
    /// It powers off, and bills until somebody deletes it.
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
    /// The private key; `None` for the one that `init` makes.
    pub private_key_path: Option<PathBuf>,
    /// With provider `ssh`: the host, as `--host` takes it.
    pub host: Option<String>,
    /// With provider `ssh`: the engine's socket on the host.
    pub remote_socket: Option<PathBuf>,
    /// Hosts whose TCP 22 is known to answer; `None` for the defaults, empty for no check.
    pub port_check: Option<Vec<String>>,
}

/// Published ports.
#[derive(Debug, Clone)]
pub struct Ports {
    /// Whether they appear here at all.
    pub enabled: bool,
    /// Address of the listeners.
    pub bind: IpAddr,
    /// What to do when a port is taken.
    pub on_conflict: OnConflict,
    /// Only these appear, if there are any.
    pub include: Vec<Rule>,
    /// These do not.
    pub exclude: Vec<Rule>,
}

/// What becomes of requests on their way.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// What to do with folders of this computer.
    pub bind_mounts: BindMounts,
}

/// What a path in a bind mount means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindMounts {
    /// A folder of this computer, which the machine does not have: refused.
    Refuse,
    /// A folder of the machine.
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
    /// A filter as tracing reads it.
    pub level: String,
    /// JSON lines instead of text.
    pub json: bool,
}
