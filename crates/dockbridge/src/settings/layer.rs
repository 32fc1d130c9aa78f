//! The settings in layers: every key of every section, how each is read, and the defaults.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use daemon::ports::OnConflict;
use machine::ImageSetting;
use serde_json::Value;

use super::addresses::{ApiAddress, LocalPath, LogFilter, WebAddress};
use super::place::Place;
use super::spans::{Lifetime, Patience, Positive, Span};
use super::token::{Source, Token};
use super::types::{
    Activity, BindMounts, Containers, Docker, Endpoint, Gateway, Hetzner, Image, Keepalive, Lock,
    LockAction, Logging, Machine, Origin, Ports, Provider, SelfDestruct, Settings, Ssh,
};
use super::values::{
    Conflict, Gigabytes, ImageName, List, MachineImage, Money, Port, PortRules, Switch,
    TalosVersion, Words,
};

/// A section and a key.
pub(super) type Key = (&'static str, &'static str);
/// Where each setting was set last.
pub(super) type Places = BTreeMap<Key, (Place, Origin)>;

/// Declares the sections with their keys; every key is optional.
macro_rules! sections {
    ($($section:ident: $name:ident { $($key:ident: $type:ty),* $(,)? })*) => {
        $(#[derive(Default)] struct $name { $($key: Option<$type>),* })*

        /// All sections.
        #[derive(Default)]
        pub(super) struct Layer { $($section: $name),* }

        /// Sections with their keys.
        pub(super) const SECTIONS: &[(&str, &[&str])] =
            &[$((stringify!($section), &[$(stringify!($key)),*])),*];

        impl Layer {
            /// Sets one key, whose name must exist. The error says what can be written.
            pub(super) fn set(&mut self, key: Key, value: Value) -> Result<(), String> {
                match key {
                    $($((stringify!($section), stringify!($key)) => {
                        let read = serde_json::from_value::<$type>(value);
                        self.$section.$key = Some(read.map_err(|error| error.to_string())?);
                    })*)*
                    _ => {}
                }
                Ok(())
            }
        }
    };
}

sections! {
    machine: MachineLayer { provider: Provider }
    hetzner: HetznerLayer {
        api_token: String,
        token_command: Words,
        server_types: List,
        locations: List,
        image: MachineImage,
        volume_size: Gigabytes,
        endpoint: ApiAddress,
    }
    docker: DockerLayer { socket_path: LocalPath, proxy_port: Port }
    activity: ActivityLayer {
        idle_timeout: Patience,
        connection_timeout: Patience,
        grace_period: Span,
        containers: Containers,
        keep_paid_hour: Switch,
        resume: Switch,
        max_lifetime: Lifetime,
        budget: Money,
    }
    lock: LockLayer { action: LockAction, grace: Span }
    keepalive: KeepaliveLayer {
        interval: Positive,
        timeout: Positive,
        self_destruct: SelfDestruct,
    }
    ssh: SshLayer {
        private_key_path: LocalPath,
        host: Words,
        remote_socket: LocalPath,
        port_check: List,
    }
    ports: PortsLayer {
        enabled: Switch,
        bind: IpAddr,
        on_conflict: Conflict,
        include: PortRules,
        exclude: PortRules,
    }
    gateway: GatewayLayer { bind_mounts: BindMounts }
    image: ImageLayer {
        name: ImageName,
        talos_version: TalosVersion,
        schematic: Words,
        factory: WebAddress,
        server_types: List,
        rescue_timeout: Positive,
        stall_timeout: Positive,
    }
    logging: LoggingLayer { level: LogFilter, json: Switch }
}

/// Other names for a list with one element.
const ALIASES: &[(&str, &str, &str)] =
    &[("hetzner", "server_type", "server_types"), ("hetzner", "location", "locations")];

/// The key of a setting, if one has this name.
pub(super) fn find(section: &str, key: &str) -> Option<Key> {
    let alias = ALIASES.iter().find(|(of, name, _)| *of == section && *name == key);
    let key = alias.map_or(key, |(_, _, name)| name);
    let (section, keys) = SECTIONS.iter().find(|(name, _)| *name == section)?;
    Some((section, keys.iter().find(|name| **name == key)?))
}

/// All names in a section.
pub(super) fn names(section: &str) -> Vec<&'static str> {
    let keys = SECTIONS.iter().find(|(name, _)| *name == section);
    let aliases = ALIASES.iter().filter(|(of, ..)| *of == section).map(|(_, name, _)| *name);
    keys.into_iter().flat_map(|(_, keys)| keys.iter().copied()).chain(aliases).collect()
}

fn list(set: Option<List>, default: &[&str]) -> Vec<String> {
    let default = || default.iter().map(|name| (*name).to_owned()).collect();
    set.map_or_else(default, |List(names)| names)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn on(set: Option<Switch>, default: bool) -> bool {
    set.map_or(default, |Switch(on)| on)
}

fn positive(set: Option<Positive>, default: u64) -> Duration {
    set.map_or(seconds(default), |Positive(span)| span)
}

fn span(set: Option<Span>, default: u64) -> Duration {
    set.map_or(seconds(default), |Span(span)| span)
}

fn patience(set: Option<Patience>, default: u64) -> Option<Duration> {
    set.map_or(Some(seconds(default)), |Patience(patience)| patience)
}

fn path(set: Option<LocalPath>) -> Option<PathBuf> {
    set.map(|LocalPath(path)| path)
}

impl Layer {
    /// Fills in the defaults.
    pub(super) fn with_defaults(self, places: &Places) -> Settings {
        Settings {
            machine: Machine { provider: self.machine.provider },
            hetzner: self.hetzner.with_defaults(places),
            docker: Docker {
                socket_path: path(self.docker.socket_path),
                proxy_port: self.docker.proxy_port.map(|Port(port)| port),
            },
            activity: self.activity.with_defaults(),
            lock: Lock {
                action: self.lock.action.unwrap_or(LockAction::Shutdown),
                grace: span(self.lock.grace, 5 * 60),
            },
            keepalive: Keepalive {
                interval: positive(self.keepalive.interval, 30),
                timeout: positive(self.keepalive.timeout, 5 * 60),
                self_destruct: self.keepalive.self_destruct.unwrap_or(SelfDestruct::Token),
            },
            ssh: self.ssh.with_defaults(),
            ports: self.ports.with_defaults(),
            gateway: Gateway {
                bind_mounts: self.gateway.bind_mounts.unwrap_or(BindMounts::Refuse),
            },
            image: self.image.with_defaults(),
            logging: Logging {
                level: self
                    .logging
                    .level
                    .map_or_else(|| "info".to_owned(), |LogFilter(level)| level),
                json: on(self.logging.json, false),
            },
        }
    }
}

impl HetznerLayer {
    fn with_defaults(self, places: &Places) -> Hetzner {
        let source = match places.get(&("hetzner", "api_token")) {
            Some((Place::Variable(name), _)) => Source::Variable(name.clone()),
            _ => Source::Setting,
        };
        let origin = places.get(&("hetzner", "endpoint")).map_or(Origin::File, |(_, from)| *from);
        Hetzner {
            api_token: self.api_token.map(|token| Token::new(&token, source)),
            token_command: self.token_command.map(|Words(command)| command),
            server_types: list(self.server_types, &["cx23", "cpx22", "cax11"]),
            locations: list(self.locations, &["fsn1", "nbg1", "hel1"]),
            image: self.image.map_or_else(ImageSetting::default, |MachineImage(image)| image),
            volume_size: self.volume_size.map_or(20, |Gigabytes(size)| size),
            endpoint: self.endpoint.map(|ApiAddress(url)| Endpoint { url, origin }),
        }
    }
}

impl ActivityLayer {
    fn with_defaults(self) -> Activity {
        Activity {
            idle_timeout: patience(self.idle_timeout, 5 * 60),
            connection_timeout: patience(self.connection_timeout, 30 * 60),
            grace_period: span(self.grace_period, 30),
            containers: self.containers.unwrap_or(Containers::Timeout),
            keep_paid_hour: on(self.keep_paid_hour, true),
            resume: on(self.resume, true),
            max_lifetime: self.max_lifetime.and_then(|Lifetime(limit)| limit),
            budget: self.budget.and_then(|Money(limit)| limit),
        }
    }
}

impl SshLayer {
    fn with_defaults(self) -> Ssh {
        let hosts = |List(hosts)| hosts.into_iter().filter(|host| host != "none").collect();
        Ssh {
            private_key_path: path(self.private_key_path),
            host: self.host.map(|Words(host)| host),
            remote_socket: path(self.remote_socket),
            port_check: self.port_check.map(hosts),
        }
    }
}

impl PortsLayer {
    fn with_defaults(self) -> Ports {
        Ports {
            enabled: on(self.enabled, true),
            bind: self.bind.unwrap_or(Ipv4Addr::LOCALHOST.into()),
            on_conflict: self.on_conflict.map_or(OnConflict::Error, |Conflict(what)| what),
            include: self.include.map_or_else(Vec::new, |PortRules(rules)| rules),
            exclude: self.exclude.map_or_else(Vec::new, |PortRules(rules)| rules),
        }
    }
}

impl ImageLayer {
    fn with_defaults(self) -> Image {
        Image {
            name: self.name.map(|ImageName(name)| name),
            talos_version: self.talos_version.map(|TalosVersion(version)| version),
            schematic: self.schematic.map(|Words(schematic)| schematic),
            factory: self.factory.map_or_else(|| WebAddress::default().0, |WebAddress(url)| url),
            server_types: list(self.server_types, &[]),
            rescue_timeout: positive(self.rescue_timeout, 5 * 60),
            stall_timeout: positive(self.stall_timeout, 60),
        }
    }
}
