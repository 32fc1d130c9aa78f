//! Reading the settings: the YAML file, then `DOCKBRIDGE_<SECTION>_<KEY>` from the environment over it. Unknown keys are refused with the
//! line and the nearest known name, so that a typing error never silently means the default.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::ports::OnConflict;
use machine::ImageSetting;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::values::{Conflict, Gigabytes, ImageName, Lifetime, List, MachineImage, Money, Port, PortRules, Span, TalosVersion, WebAddress};
use super::{
    Activity, BindMounts, Containers, Docker, Gateway, Hetzner, Image, Keepalive, Lock, LockAction, Logging, Ports, SelfDestruct, Settings,
    Ssh,
};

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("the settings in {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file has something in it that is not understood.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Where and what.
        message: String,
    },
    /// A variable has a value that is not understood.
    #[error("environment variable {name}: {message}")]
    Variable {
        /// The variable.
        name: String,
        /// What is wrong.
        message: String,
    },
}

/// One section: every key optional, unknown ones refused; `over` puts one layer over another.
macro_rules! section {
    ($name:ident { $($key:ident: $type:ty),* $(,)? }) => {
        #[derive(Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        struct $name { $($key: Option<$type>),* }

        impl $name {
            const KEYS: &'static [&'static str] = &[$(stringify!($key)),*];

            fn over(self, under: Self) -> Self {
                Self { $($key: self.$key.or(under.$key)),* }
            }
        }
    };
}

section!(HetznerLayer {
    api_token: SecretString,
    token_command: String,
    server_type: List,
    server_types: List,
    location: List,
    locations: List,
    image: MachineImage,
    volume_size: Gigabytes,
    endpoint: String,
});
section!(DockerLayer { socket_path: PathBuf, proxy_port: Port });
section!(ActivityLayer {
    idle_timeout: Span,
    connection_timeout: Span,
    grace_period: Span,
    containers: Containers,
    keep_paid_hour: bool,
    resume: bool,
    max_lifetime: Lifetime,
    budget: Money,
});
section!(LockLayer { action: LockAction, grace: Span });
section!(KeepaliveLayer { interval: Span, timeout: Span, self_destruct: SelfDestruct });
section!(SshLayer { private_key_path: PathBuf });
section!(PortsLayer { enabled: bool, bind: IpAddr, on_conflict: Conflict, include: PortRules, exclude: PortRules });
section!(GatewayLayer { bind_mounts: BindMounts });
section!(ImageLayer {
    name: ImageName,
    talos_version: TalosVersion,
    schematic: String,
    factory: WebAddress,
    server_types: List,
    rescue_timeout: Span,
    stall_timeout: Span,
});
section!(LoggingLayer { level: String, json: bool });

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Layer {
    hetzner: HetznerLayer,
    docker: DockerLayer,
    activity: ActivityLayer,
    lock: LockLayer,
    keepalive: KeepaliveLayer,
    ssh: SshLayer,
    ports: PortsLayer,
    gateway: GatewayLayer,
    image: ImageLayer,
    logging: LoggingLayer,
}

/// Sections with their keys, for variables and for `config show`.
pub const SECTIONS: &[(&str, &[&str])] = &[
    ("hetzner", HetznerLayer::KEYS),
    ("docker", DockerLayer::KEYS),
    ("activity", ActivityLayer::KEYS),
    ("lock", LockLayer::KEYS),
    ("keepalive", KeepaliveLayer::KEYS),
    ("ssh", SshLayer::KEYS),
    ("ports", PortsLayer::KEYS),
    ("gateway", GatewayLayer::KEYS),
    ("image", ImageLayer::KEYS),
    ("logging", LoggingLayer::KEYS),
];

/// Reads the file, if it is there, and the environment.
pub fn load(path: &Path, environment: impl Iterator<Item = (String, String)>) -> Result<Settings, SettingsError> {
    let file = match std::fs::read_to_string(path) {
        Ok(text) => parse(&text).map_err(|message| SettingsError::File { path: path.to_owned(), message })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Layer::default(),
        Err(source) => return Err(SettingsError::Read { path: path.to_owned(), source }),
    };
    let mut layer = file.with_lists();
    let mut variables: Vec<(String, String)> = environment.filter(|(_, value)| !value.is_empty()).collect();
    // What every tool of this cloud reads comes first, so that ours are over it.
    variables.sort_by_key(|(name, _)| (SHARED.iter().position(|(shared, _)| shared == name).unwrap_or(SHARED.len()), name.clone()));
    for (name, value) in variables {
        if let Some(variable) = from_variable(&name, &value)? {
            layer = variable.with_lists().over(layer);
        }
    }
    Ok(layer.with_defaults())
}

/// Variables that other tools read as well, weakest first, and the settings that they stand for.
const SHARED: &[(&str, &str)] = &[
    ("HETZNER_API_TOKEN", "DOCKBRIDGE_HETZNER_API_TOKEN"),
    (hetzner::TOKEN_VARIABLE, "DOCKBRIDGE_HETZNER_API_TOKEN"),
    (hetzner::ENDPOINT_VARIABLE, "DOCKBRIDGE_HETZNER_ENDPOINT"),
];

fn parse(text: &str) -> Result<Layer, String> {
    // An empty file is null in YAML.
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Layer::default());
    }
    serde_saphyr::from_str(text).map_err(|error| {
        let text = error.to_string();
        // The first line tells what and where; the rest is a drawing of the place.
        let first = text.lines().next().unwrap_or_default();
        let first = first.strip_prefix("error: ").unwrap_or(first).to_owned();
        match unknown_field(&first).and_then(|(given, known)| nearest(given, &known)) {
            Some(near) => format!("{first}; did you mean `{near}`?"),
            None => first,
        }
    })
}

/// Takes "unknown field `a`, expected one of b, c" apart.
fn unknown_field(message: &str) -> Option<(&str, Vec<&str>)> {
    let (_, rest) = message.split_once("unknown field `")?;
    let (given, rest) = rest.split_once('`')?;
    let (_, known) = rest.split_once("expected ")?;
    let names = known.split([',', ' ', '`']).filter(|word| !matches!(*word, "" | "one" | "of" | "or"));
    Some((given, names.collect()))
}

fn nearest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|name| (strsim::jaro_winkler(given, name), *name))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, name)| name)
}

fn from_variable(name: &str, value: &str) -> Result<Option<Layer>, SettingsError> {
    let ours = SHARED.iter().find(|(shared, _)| *shared == name).map_or(name, |(_, ours)| ours);
    let Some(rest) = ours.strip_prefix("DOCKBRIDGE_") else { return Ok(None) };
    let rest = rest.to_ascii_lowercase();
    for (section, keys) in SECTIONS {
        let Some(key) = rest.strip_prefix(section).and_then(|rest| rest.strip_prefix('_')) else { continue };
        let wrong = |message: String| SettingsError::Variable { name: name.to_owned(), message };
        if !keys.contains(&key) {
            let hint =
                nearest(key, keys).map(|near| format!("; did you mean {}?", format!("DOCKBRIDGE_{section}_{near}").to_ascii_uppercase()));
            return Err(wrong(format!("there is no setting {section}.{key}{}", hint.unwrap_or_default())));
        }
        let value = match value {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            // Ids of types and sizes are numbers only where the setting is one.
            number if matches!(key, "volume_size" | "proxy_port") => number.parse::<u64>().map_or_else(|_| number.into(), Value::from),
            text => text.into(),
        };
        let object = Value::Object(Map::from_iter([((*section).to_owned(), Value::Object(Map::from_iter([(key.to_owned(), value)])))]));
        // The value may be a secret: the message tells the expected kind, never the value.
        return serde_json::from_value(object).map(Some).map_err(|error| wrong(error.to_string()));
    }
    Ok(None)
}

impl Layer {
    /// The single forms are another way to write the lists, so that either can be put over the other.
    fn with_lists(mut self) -> Self {
        self.hetzner.server_types = self.hetzner.server_type.take().or(self.hetzner.server_types);
        self.hetzner.locations = self.hetzner.location.take().or(self.hetzner.locations);
        self
    }

    fn over(self, under: Self) -> Self {
        Self {
            hetzner: self.hetzner.over(under.hetzner),
            docker: self.docker.over(under.docker),
            activity: self.activity.over(under.activity),
            lock: self.lock.over(under.lock),
            keepalive: self.keepalive.over(under.keepalive),
            ssh: self.ssh.over(under.ssh),
            ports: self.ports.over(under.ports),
            gateway: self.gateway.over(under.gateway),
            image: self.image.over(under.image),
            logging: self.logging.over(under.logging),
        }
    }

    fn with_defaults(self) -> Settings {
        let list = |set: Option<List>, default: &[&str]| {
            set.map_or_else(|| default.iter().map(|name| (*name).to_owned()).collect(), |List(names)| names)
        };
        let span = |set: Option<Span>, seconds: u64| set.map_or(Duration::from_secs(seconds), |Span(duration)| duration);
        Settings {
            hetzner: Hetzner {
                api_token: self.hetzner.api_token,
                token_command: self.hetzner.token_command,
                server_types: list(self.hetzner.server_types, &["cx23", "cpx22", "cax11"]),
                locations: list(self.hetzner.locations, &["fsn1", "nbg1", "hel1"]),
                image: self.hetzner.image.map_or_else(ImageSetting::default, |MachineImage(image)| image),
                volume_size: self.hetzner.volume_size.map_or(20, |Gigabytes(size)| size),
                endpoint: self.hetzner.endpoint.unwrap_or_else(|| hetzner::DEFAULT_ENDPOINT.to_owned()),
            },
            docker: Docker { socket_path: self.docker.socket_path, proxy_port: self.docker.proxy_port.map(|Port(port)| port) },
            activity: Activity {
                idle_timeout: span(self.activity.idle_timeout, 5 * 60),
                connection_timeout: span(self.activity.connection_timeout, 30 * 60),
                grace_period: span(self.activity.grace_period, 30),
                containers: self.activity.containers.unwrap_or(Containers::Timeout),
                keep_paid_hour: self.activity.keep_paid_hour.unwrap_or(true),
                resume: self.activity.resume.unwrap_or(true),
                max_lifetime: self.activity.max_lifetime.and_then(|Lifetime(limit)| limit),
                budget: self.activity.budget.and_then(|Money(limit)| limit),
            },
            lock: Lock { action: self.lock.action.unwrap_or(LockAction::Shutdown), grace: span(self.lock.grace, 5 * 60) },
            keepalive: Keepalive {
                interval: span(self.keepalive.interval, 30),
                timeout: span(self.keepalive.timeout, 5 * 60),
                self_destruct: self.keepalive.self_destruct.unwrap_or(SelfDestruct::Token),
            },
            ssh: Ssh { private_key_path: self.ssh.private_key_path },
            ports: Ports {
                enabled: self.ports.enabled.unwrap_or(true),
                bind: self.ports.bind.unwrap_or(Ipv4Addr::LOCALHOST.into()),
                on_conflict: self.ports.on_conflict.map_or(OnConflict::Error, |Conflict(what)| what),
                include: self.ports.include.map_or_else(Vec::new, |PortRules(rules)| rules),
                exclude: self.ports.exclude.map_or_else(Vec::new, |PortRules(rules)| rules),
            },
            gateway: Gateway { bind_mounts: self.gateway.bind_mounts.unwrap_or(BindMounts::Refuse) },
            image: Image {
                name: self.image.name.map(|ImageName(name)| name),
                talos_version: self.image.talos_version.map(|TalosVersion(version)| version),
                schematic: self.image.schematic,
                factory: self.image.factory.map_or_else(|| WebAddress::default().0, |WebAddress(url)| url),
                server_types: list(self.image.server_types, &[]),
                rescue_timeout: span(self.image.rescue_timeout, 5 * 60),
                stall_timeout: span(self.image.stall_timeout, 60),
            },
            logging: Logging { level: self.logging.level.unwrap_or_else(|| "info".to_owned()), json: self.logging.json.unwrap_or(false) },
        }
    }
}

#[cfg(test)]
mod tests;
