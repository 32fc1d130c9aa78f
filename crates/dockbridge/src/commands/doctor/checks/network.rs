//! This computer's network: the API's name, its port, and outgoing TCP 22.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use api::{MachineState, ServerStatus};
use futures::future::join_all;
use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use machine::{Elsewhere, PortCheck, is_young};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tunnel::Transport;
use url::{Host, Url};

use crate::commands::doctor::found::Found;
use crate::commands::doctor::surroundings::Surroundings;
use crate::ssh_config::Destination;

/// TCP repeats a lost packet after 1 s and again after 2 s (RFC 6298).
const LONGEST_CONNECT: Duration = Duration::from_secs(5);

/// Where a request to the API connects to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Server {
    host: String,
    port: u16,
    /// It is the proxy of the environment, which looks the API's name up itself.
    is_proxy: bool,
}

impl Server {
    /// The API of this address, or the proxy that the environment has for it.
    fn of(endpoint: &str, proxies: &Matcher) -> Option<Self> {
        let url: Url = endpoint.parse().ok()?;
        let is_this_host = match url.host()? {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        let uri: Uri = endpoint.parse().ok()?;
        let proxy = proxies.intercept(&uri).filter(|_| !is_this_host);
        let (url, is_proxy) = match proxy {
            Some(proxy) => (proxy.uri().to_string().parse().ok()?, true),
            None => (url, false),
        };
        // An IPv6 address stands in brackets in a URL only.
        let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
        Some(Self { host, port: url.port_or_known_default()?, is_proxy })
    }

    fn words(&self) -> String {
        match self.is_proxy {
            true => format!("the proxy {}", self.host),
            false => self.host.clone(),
        }
    }
}

fn server(around: &Surroundings) -> Option<Server> {
    Server::of(&around.resolved.endpoint(), &Matcher::from_env())
}

/// The addresses of a server, or why there are none.
async fn addresses(server: &Server) -> io::Result<Vec<SocketAddr>> {
    Ok(lookup_host((server.host.as_str(), server.port)).await?.collect())
}

pub async fn name_lookup(around: &Surroundings) -> Found {
    match server(around) {
        Some(server) => judge_lookup(&server, addresses(&server).await),
        None => Found::broken(format!("{:?} is no address", around.resolved.endpoint())),
    }
}

fn judge_lookup(server: &Server, found: io::Result<Vec<SocketAddr>>) -> Found {
    match found {
        _ if server.host.parse::<IpAddr>().is_ok() => {
            Found::ok(format!("{} needs none", server.words()))
        }
        Ok(addresses) if addresses.is_empty() => {
            Found::broken(format!("{} has no address", server.words()))
        }
        Ok(addresses) => {
            let first = addresses.first().map(|it| it.ip().to_string()).unwrap_or_default();
            Found::ok(format!("{} is {first}", server.words()))
        }
        Err(error) => Found::broken(format!("{} cannot be looked up: {error}", server.words())),
    }
}

/// One attempt to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Connected {
    Yes,
    TimedOut,
    Refused(String),
}

pub async fn https(around: &Surroundings) -> Found {
    let Some(server) = server(around) else { return Found::broken("the API has no address") };
    let addresses = addresses(&server).await.unwrap_or_default();
    let attempts = addresses.into_iter().map(|address| async move {
        match timeout(LONGEST_CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(_)) => Connected::Yes,
            Ok(Err(error)) if error.kind() == ErrorKind::TimedOut => Connected::TimedOut,
            Ok(Err(error)) => Connected::Refused(error.to_string()),
            Err(_) => Connected::TimedOut,
        }
    });
    judge_https(&server, &join_all(attempts).await)
}

/// One address that answers is enough: many computers have no IPv6.
fn judge_https(server: &Server, attempts: &[Connected]) -> Found {
    let (words, port) = (server.words(), server.port);
    if attempts.contains(&Connected::Yes) {
        return Found::ok(format!("{words} answers at port {port}"));
    }
    match attempts.iter().find(|attempt| matches!(attempt, Connected::Refused(_))) {
        Some(Connected::Refused(why)) if !attempts.contains(&Connected::TimedOut) => {
            Found::broken(format!("{words} refuses connections to port {port}: {why}"))
        }
        _ => Found::broken(format!(
            "{words} does not answer at port {port} within {} s",
            LONGEST_CONNECT.as_secs()
        )),
    }
}

/// What is known of outgoing TCP 22.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Port22 {
    /// The daemon has a tunnel.
    Tunnel,
    /// Not a connection of this computer's own.
    Jump(String),
    /// Asked, in this order: the machine, then other hosts if it does not answer.
    Asked {
        machine: Option<Machine>,
        hosts: Vec<String>,
        /// `None` if they were not asked.
        elsewhere: Option<Elsewhere>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Machine {
    name: String,
    found: Elsewhere,
    is_young: bool,
}

pub async fn ssh_port(around: &Surroundings) -> Found {
    judge_ssh_port(&ask(around).await)
}

async fn ask(around: &Surroundings) -> Port22 {
    if around.status().await.is_some_and(|status| status.state == MachineState::Up) {
        return Port22::Tunnel;
    }
    let resolved = &around.resolved;
    let machine = match resolved.own_host() {
        Some(host) => match own_host(host.to_owned()).await {
            OwnHost::Address(address) => Some((host.to_owned(), address, false)),
            OwnHost::Jump(why) => return Port22::Jump(why),
        },
        None => machine_of(around).await,
    };
    let machine = match machine {
        Some((name, address, is_young)) => {
            let check = PortCheck { hosts: vec![address], accepts_refusal: false };
            Some(Machine { name, found: check.ask().await, is_young })
        }
        None => None,
    };
    let check = resolved.port_check();
    let is_known = machine.as_ref().is_some_and(|it| it.found == Elsewhere::Answers);
    let elsewhere = match is_known || check.hosts.is_empty() {
        true => None,
        false => Some(check.ask().await),
    };
    Port22::Asked { machine, hosts: check.hosts, elsewhere }
}

/// Name and address of the profile's machine, if one is on, and whether it may still boot.
async fn machine_of(around: &Surroundings) -> Option<(String, String, bool)> {
    let project = around.project().await.ok()?;
    let standing = around.standing().await.ok()?;
    let profile = around.resolved.profile.to_string();
    let is_on = |it: &&api::Owned<api::Summary>| {
        matches!(it.thing.status, ServerStatus::Running | ServerStatus::Starting)
    };
    let mut own = standing.machines.iter().filter(is_on);
    let own = own.find(|it| it.profile.as_deref() == Some(&profile))?;
    let address = SocketAddr::new(own.thing.address?, 22).to_string();
    let now = around.cloud_now(&project.client);
    let is_young = own.thing.created.is_some_and(|created| is_young(created, now));
    Some((own.thing.name.clone(), address, is_young))
}

/// How this computer connects to the user's own host.
enum OwnHost {
    /// To this address.
    Address(String),
    /// By other means, or not at all, for this reason.
    Jump(String),
}

/// The address of the user's own host by `ssh_config`, or the program that connects to it.
async fn own_host(host: String) -> OwnHost {
    let resolve = move || {
        let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
        Destination::parse(&host)?.resolve(None, &home)
    };
    let target = match tokio::task::spawn_blocking(resolve).await {
        Ok(Ok(target)) => target,
        Ok(Err(failure)) => return OwnHost::Jump(failure.message().to_owned()),
        Err(error) => return OwnHost::Jump(error.to_string()),
    };
    match target.transport {
        Transport::Tcp => {
            OwnHost::Address(format!("{}:{}", target.endpoint.host, target.endpoint.port))
        }
        Transport::Command(words) => {
            let program = words.first().map_or("a command", String::as_str);
            OwnHost::Jump(format!("{program} connects to the host, as ssh_config says"))
        }
    }
}

fn judge_ssh_port(port: &Port22) -> Found {
    let (machine, hosts, elsewhere) = match port {
        Port22::Tunnel => return Found::ok("open: the daemon has a tunnel to the machine"),
        Port22::Jump(why) => return Found::not_run(why),
        Port22::Asked { machine, hosts, elsewhere } => (machine, hosts, elsewhere),
    };
    let asked = hosts.join(" or ");
    match (machine, elsewhere) {
        (Some(Machine { name, found: Elsewhere::Answers, .. }), _) => {
            Found::ok(format!("open: the machine {name} answers"))
        }
        (_, Some(Elsewhere::Blocked { hosts })) => Found::broken(format!(
            "this network lets no TCP 22 out: {} not answer",
            match &hosts[..] {
                [one] => format!("{one} does"),
                several => format!("{} do", several.join(" and ")),
            }
        ))
        .cure("use another network or a VPN, or have outgoing TCP port 22 opened")
        .cure("`ssh.port_check` names the hosts that are asked"),
        (Some(Machine { name, is_young: true, .. }), _) => {
            Found::hint(format!("the machine {name} does not answer yet"))
                .cause("It was created less than 4 minutes ago, and boots.")
                .cure("wait a minute and check again")
        }
        (Some(Machine { name, .. }), Some(Elsewhere::Answers)) => {
            Found::broken(format!("{asked} answers at TCP 22, but the machine {name} does not"))
                .cause("It is overloaded, stopped, or its firewall was changed.")
                .cure("check the server in the cloud's console")
                .cure("`dockbridge server destroy` deletes it and keeps the volume")
        }
        (Some(Machine { name, .. }), _) => {
            Found::broken(format!("the machine {name} does not answer at TCP 22"))
                .cause("The machine or this network is the cause: no other host was asked.")
        }
        (None, Some(Elsewhere::Answers)) => {
            Found::ok(format!("open: {asked} answers (`ssh.port_check`)"))
        }
        (None, Some(Elsewhere::Unknown)) => {
            Found::hint(format!("not known: {asked} cannot be looked up"))
                .cause("The hosts of `ssh.port_check` have no address here.")
                .cure("name a host in `ssh.port_check` whose TCP port 22 answers")
        }
        (None, None) => Found::not_run("no machine exists, and there is no host to ask"),
    }
}

#[cfg(test)]
#[path = "network_tests.rs"]
pub(super) mod tests;
