//! What a service runs: program, arguments, environment and sockets of one profile's daemon. Knows
//! no service manager.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use api::Code;

use crate::failure::{Failure, Outcome};
use crate::resolved::{GlobalArgs, Resolved};
use crate::settings::SETTINGS;

/// Variables that say where dockbridge's files are. A service manager does not know those of the
/// shell.
const PLACES: &[&str] = &[
    "DOCKBRIDGE_HOME",
    "DOCKBRIDGE_AGENT_DIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
];

/// Variables of other tools that stand for settings.
const SHARED: &[&str] = &["HETZNER_API_TOKEN", hetzner::TOKEN_VARIABLE, hetzner::ENDPOINT_VARIABLE];

/// One profile's daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    pub profile: String,
    /// Absolute, as all paths here.
    pub program: String,
    /// Without the program.
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    pub socket: String,
    pub control: String,
    /// Addresses of the Docker endpoint on TCP.
    pub tcp: Vec<SocketAddr>,
    /// Where the daemon's output goes, if no manager takes it.
    pub log: String,
}

impl Recipe {
    /// The daemon that `start` would run with these arguments.
    pub fn of(resolved: &Resolved, global: &GlobalArgs) -> Outcome<Self> {
        let profile = resolved.profile.to_string();
        let socket = word(&resolved.socket)?;
        let mut arguments = ["start", "--profile", profile.as_str(), "--socket", socket.as_str()]
            .map(str::to_owned)
            .to_vec();
        if let Some(config) = &global.config {
            arguments.extend(["--config".to_owned(), word(&std::path::absolute(config)?)?]);
        }
        let places = PLACES.iter().filter_map(|name| Some((*name, std::env::var_os(name)?)));
        let places = places.filter(|(_, value)| !value.is_empty()).map(|(name, value)| {
            Ok::<_, Failure>((name.to_owned(), word(&std::path::absolute(PathBuf::from(value))?)?))
        });
        Ok(Self {
            program: word(&std::env::current_exe()?)?,
            arguments,
            environment: places.collect::<Outcome<_>>()?,
            control: word(&api::control_socket(&resolved.socket))?,
            socket,
            tcp: resolved
                .settings
                .docker
                .proxy_port
                .map(|port| loopback(port.get()))
                .unwrap_or_default(),
            log: word(&resolved.paths.daemon_log(&resolved.profile))?,
            profile,
        })
    }
}

/// Both loopback addresses, or one on a computer without IPv6.
fn loopback(port: u16) -> Vec<SocketAddr> {
    let has_ipv6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    let ipv6 = has_ipv6.then_some(IpAddr::V6(Ipv6Addr::LOCALHOST));
    let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST)].into_iter().chain(ipv6);
    addresses.map(|address| SocketAddr::new(address, port)).collect()
}

/// A path as text for the files of a service.
fn word(path: &Path) -> Outcome<String> {
    match path.to_str() {
        Some(text) if !text.contains(char::is_control) => Ok(text.to_owned()),
        _ => Err(Failure::bare(
            Code::ServiceFailed,
            format!(
                "the path {path:?} cannot stand in the files of a service: it is not UTF-8, or \
                 has control characters"
            ),
        )),
    }
}

/// Variables of this shell that change settings. The service does not see them.
pub fn unseen_variables() -> Vec<String> {
    let settings = SETTINGS.iter().map(|setting| {
        let (section, key) = setting.key;
        format!("DOCKBRIDGE_{section}_{key}").to_ascii_uppercase()
    });
    let shared = SHARED.iter().map(|name| (*name).to_owned());
    settings.chain(shared).filter(|name| std::env::var_os(name).is_some()).collect()
}
