//! All settings, one row each: key, kind of value, default, meaning. The types, `config show`, the
//! names of variables, the nearest names in messages and docs/settings.md are made from this table.

use lifecycle::{Containers, LockAction};
use machine::SelfDestruct;

use super::addresses::{ApiAddress, LocalPath, LogFilter, Secret, TcpAddress, WebAddress};
use super::choice::Choice;
use super::declare::{applies, first, initial, settings, unset};
use super::kind::{Given, Invalid, Kind, default_value};
use super::spans::{Lifetime, Patience, Positive, Span};
use super::types::{Applies, Key, Provider};
use super::values::{
    Gigabytes, Hosts, ImageName, ListenAddress, MachineImage, Money, Names, Port, PortRules,
    Switch, TalosVersion, Text,
};

/// The release that a setting is part of where the table names no other.
const FIRST_RELEASE: &str = "0.1.0";

/// What is known of a setting. A test makes docs/settings.md from it.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(test), expect(dead_code, reason = "for the test that makes the document"))]
pub struct Setting {
    /// Section and key.
    pub key: Key,
    /// What its section is about.
    pub about: &'static str,
    /// What it means, as Markdown.
    pub meaning: &'static str,
    /// What the reference says in place of a default; empty if there is one.
    pub unset: &'static str,
    /// When a running daemon uses a changed value.
    pub applies: Applies,
    /// The first release that has it.
    pub since: &'static str,
    /// What can be written, as Markdown.
    pub values: fn() -> String,
}

/// The environment variable of a setting.
pub(super) fn variable(section: &str, key: &str) -> String {
    format!("DOCKBRIDGE_{section}_{key}").to_ascii_uppercase()
}

/// Other names for a list with one element.
pub(super) const ALIASES: &[(Key, &str)] =
    &[(("hetzner", "server_types"), "server_type"), (("hetzner", "locations"), "location")];

/// Variables of other tools, weakest first, and the settings that they stand for.
pub(super) const SHARED: &[(&str, Key)] = &[
    ("HETZNER_API_TOKEN", ("hetzner", "api_token")),
    (hetzner::TOKEN_VARIABLE, ("hetzner", "api_token")),
    (hetzner::ENDPOINT_VARIABLE, ("hetzner", "endpoint")),
];

/// dockbridge's variables that are no settings, and their meaning as Markdown. What the program
/// itself sets has no meaning for a user.
pub(super) const OTHERS: &[(&str, &str)] = &[
    ("DOCKBRIDGE_PROFILE", "the option `--profile`"),
    ("DOCKBRIDGE_CONFIG", "the option `--config`"),
    ("DOCKBRIDGE_HOME", "a directory for all of dockbridge's files"),
    ("DOCKBRIDGE_AGENT_DIR", "the directory of the agent's binaries"),
    ("DOCKBRIDGE_LOCAL_CLOUD_TOKEN", "the option `--token` of `dockbridge local-cloud`"),
    ("DOCKBRIDGE_BASE_CACHE", "the directory of the base systems of local machines"),
    ("DOCKBRIDGE_BASE_MIRROR", "the Debian mirror for the base systems of local machines"),
    ("DOCKBRIDGE_DETACHED", ""),
    ("DOCKBRIDGE_SERVICE", ""),
    ("DOCKBRIDGE_CACHE", ""),
];

/// All sections.
pub(super) fn sections() -> Vec<&'static str> {
    let mut sections: Vec<&str> = SETTINGS.iter().map(|setting| setting.key.0).collect();
    sections.dedup();
    sections
}

/// The key of a setting, if one has this name.
pub(super) fn find(section: &str, key: &str) -> Option<Key> {
    let alias = ALIASES.iter().find(|((of, _), name)| *of == section && *name == key);
    let own = || SETTINGS.iter().map(|setting| setting.key).find(|found| *found == (section, key));
    alias.map(|(key, _)| *key).or_else(own)
}

/// All names in a section.
pub(super) fn names(section: &str) -> Vec<&'static str> {
    let own = SETTINGS.iter().map(|setting| setting.key);
    let aliases = ALIASES.iter().map(|((of, _), name)| (*of, *name));
    own.chain(aliases).filter(|(of, _)| *of == section).map(|(_, name)| name).collect()
}

settings! {
    /// Where machines come from.
    machine: Machine {
        /// `hetzner`: servers of a Hetzner Cloud project, created and deleted as needed. `ssh`: a
        /// host of your own, never created or deleted
        provider: Option<Choice<Provider>>,
            unset("`ssh` if `ssh.host` is set, else `hetzner`"), restart;
    }

    /// The cloud project, and the servers in it.
    hetzner: Hetzner {
        /// API token. `dockbridge init` is the better place for it
        api_token: Option<Secret>, unset("the token that `init` saved"), restart;
        /// A command that prints the token. It is not used if `hetzner.api_token` is set
        token_command: Option<Text>, unset("none"), restart;
        /// `init` saves the token in the keyring of your session (Secret Service) where one
        /// answers. `false`: always in a file that only you can read
        keyring: Switch, default("true"), now;
        /// Server types, in order of preference: if one is out of stock, dockbridge tries the next
        server_types: Names, default("cx23, cpx22, cax11"), next_wake;
        /// Locations, in order of preference. An existing volume decides alone
        locations: Names, default("fsn1, nbg1, hel1"), next_wake;
        /// Image of new machines: the name of an image with docker in it, an id, or `auto`. `auto`
        /// chooses between `docker-ce` and a
        /// [snapshot made by `image build docker`](images.md#an-image-for-dockbridges-machines),
        /// whichever was measured to boot faster
        image: MachineImage, default("docker-ce"), next_wake;
        /// Size of a new volume in GB
        volume_size: Gigabytes, default("20"), next_wake;
        /// API, as this computer and the machine reach it
        endpoint: Option<ApiAddress>,
            unset("the one saved with the token, else `https://api.hetzner.cloud/v1`"), restart;
    }

    /// The Docker endpoint on this computer.
    docker: Docker {
        /// The Docker socket
        socket_path: Option<LocalPath>, unset("the profile's own"), restart;
        /// A port on `127.0.0.1` and `::1` for the same engine, for programs that know no sockets.
        /// Every program and every user of this computer can use it; web pages cannot
        proxy_port: Option<Port>, unset("none"), restart;
    }

    /// How long a machine stays.
    activity: Activity {
        /// A machine ends this long after the last command; `none` ends no machine for idleness
        idle_timeout: Patience, default("5m"), now;
        /// A silent connection keeps the machine this long after its last byte. Running containers
        /// keep it this long after the last activity. `none`: as long as they last
        connection_timeout: Patience, default("30m"), now;
        /// Time between the decision to end the machine and its end. Any activity cancels it
        grace_period: Span, default("30s"), now;
        /// What running containers mean. `timeout`: the same as a silent connection. `keep`: the
        /// machine stays while one runs. `ignore`: they do not count. A container with the label
        /// `dockbridge.keep` always keeps the machine, one with the label `dockbridge.ignore` never
        containers: Choice<Containers>, default("timeout"), now;
        /// An idle machine stays until shortly before the end of the hour that is paid
        keep_paid_hour: Switch, default("true"), now;
        /// After a wake, all containers that ran on the last machine run again. `false`: only
        /// those with a restart policy
        resume: Switch, default("true"), next_wake;
        /// No machine gets older than this, whatever runs on it
        max_lifetime: Lifetime, default("none"), now;
        /// Budget of a month (UTC), net, in the project's currency: `20`, `12.50`. No hour begins
        /// that would exceed it, even while something runs, and no machine is created. From 80 %
        /// on there is a warning
        budget: Money, default("none"), now;
    }

    /// What happens when the screen is locked or the computer suspends.
    lock: Lock {
        /// `shutdown`: the machine ends after the grace period, unless work is in progress or it
        /// is pinned. `shorten`: silent connections, containers and the paid hour keep it no
        /// longer than a command does. `ignore`: nothing
        action: Choice<LockAction>, default("shutdown"), now;
        /// Time from the lock to the action. Unlocking cancels it
        grace: Span, default("5m"), now;
    }

    /// The lease: a machine ends on its own if it gets no heartbeats.
    keepalive: Keepalive {
        /// Time between heartbeats
        interval: Positive, default("30s"), restart;
        /// How long a machine lives without a heartbeat: its lease
        timeout: Positive, default("5m"), restart;
        /// What the machine does at the end of its lease. `token`: it deletes its server.
        /// `power-off`: it only powers off, which bills until you delete it
        self_destruct: Choice<SelfDestruct>, default("token"), restart;
    }

    /// The login to machines, and hosts of your own.
    ssh: Ssh {
        /// Private key of the login
        private_key_path: Option<LocalPath>, unset("the key that `init` creates"), restart;
        /// A host of your own: `user@address` or `user@address:port`, as in `start --host`
        host: Option<Text>, unset("none"), restart;
        /// The engine's socket on that host
        remote_socket: Option<LocalPath>, unset("`/var/run/docker.sock`"), restart;
        /// Whether dockbridge uploads its agent to that host. `false`: each stream is an SSH
        /// channel of its own, and UDP ports are not forwarded
        upload_agent: Switch, default("true"), restart;
        /// Hosts whose TCP port 22 answers. If none does, this network blocks SSH, and dockbridge
        /// creates no server. `none` skips the check
        port_check: Option<Hosts>, unset("`[github.com, gitlab.com]`"), next_wake;
    }

    /// Published ports on this computer.
    ports: Ports {
        /// Whether published ports appear on this computer
        enabled: Switch, default("true"), restart;
        /// Where they listen; `127.0.0.1` includes `::1`. An address in `-p` is honored if it is a
        /// loopback address; only this setting allows anything wider
        bind: ListenAddress, default("127.0.0.1"), restart;
        /// What happens when a port is in use here. `error`: the start fails with Docker's own
        /// error. `increment`: the next free port from 1000 above it is used and reported
        /// (`dockbridge ports`, `status`, log)
        on_conflict: Choice<daemon::ports::OnConflict>, default("error"), restart;
        /// Only these published ports appear: `[CONTAINER:]PORT[-PORT][/tcp|/udp]`. `*` in the
        /// container's name stands for any text
        include: PortRules, unset("all"), now;
        /// These do not appear, whatever `include` says; the same form
        exclude: PortRules, unset("none"), now;
    }

    /// How requests are changed.
    gateway: Gateway {
        /// What a path in a bind mount means. `refuse`: directories of this computer are refused.
        /// `remote`: every path is the machine's
        bind_mounts: Choice<daemon::BindMounts>, default("refuse"), now;
    }

    /// The image builder. Its commands ask for values that they need and that have no default.
    image: Image {
        /// Name of the images (`--name`)
        name: Option<ImageName>,
            unset("`talos` for Talos, `docker` for dockbridge's machines"), now;
        /// Version of Talos, such as `v1.12.0` (`--version`). The factory must have it
        talos_version: Option<TalosVersion>, unset("none"), now;
        /// Talos schematic: its id, or a YAML file (`--schematic`)
        schematic: Option<Text>, unset("none"), now;
        /// Address of the Talos image factory
        factory: WebAddress, default(image::DEFAULT_FACTORY), now;
        /// Server types to build on, in order of preference (`--server-type`)
        server_types: Names, unset("the smallest disk, then the lowest price"), now;
        /// How long a rescue system, or the server of `image build docker`, may take to answer
        rescue_timeout: Positive, default("5m"), now;
        /// A source that sends nothing for this long is requested again, at most five times in a
        /// row
        stall_timeout: Positive, default("60s"), now;
    }

    /// The user's desktop on this computer.
    desktop: Desktop {
        /// Notices on the desktop: after a command has waited 10 s for a machine, and when a
        /// machine is gone that you did not delete yourself. `false`: none
        notices: Switch, default("true"), now;
    }

    /// The daemon's log.
    logging: Logging {
        /// Filter of the log's events
        level: LogFilter, default("info"), now;
        /// JSON lines instead of text on standard error. The log file has JSON lines always
        json: Switch, default("false"), restart;
    }

    /// The daemon's metrics ([metrics.md](metrics.md)).
    metrics: Metrics {
        /// A TCP address for `/metrics`, `/healthz` and `/readyz`, which the control socket has
        /// always. Every program that reaches the address can read them
        listen: Option<TcpAddress>, unset("none"), restart;
    }
}
