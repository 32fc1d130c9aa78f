//! What can go wrong on the way to a machine.

use std::time::Duration;

use tunnel::{ConnectError, Fingerprint};

use crate::bootstrap::BootstrapError;
use crate::plan::Problem;

/// Why there is no machine.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The cloud refused or does not answer.
    #[error("the cloud could not {what}")]
    Cloud {
        /// What was asked.
        what: &'static str,
        /// Its answer.
        source: Box<hetzner::Error>,
    },
    /// The person has to decide.
    #[error(transparent)]
    Problem(#[from] Problem),
    /// The user's own settings allow no further server; in words for a user, with what to do.
    #[error("{reason}")]
    NotAllowed {
        /// Such as the budget.
        reason: String,
    },
    /// Everywhere out of stock.
    #[error("none of {} is in stock; add types or locations to the settings, or try again \
        later", tried.join(", "))]
    OutOfStock {
        /// Types and locations that were tried.
        tried: Vec<String>,
    },
    /// Each server that was made was lost before it was up.
    #[error("{made} new servers in a row did not come up; the last step was: {last}")]
    NeverUp {
        /// How many.
        made: u32,
        /// In words for a person.
        last: String,
    },
    /// It did not answer in time; it was removed.
    #[error("server {name} did not answer within {} s", waited.as_secs())]
    Silent {
        /// The server.
        name: String,
        /// How long we waited.
        waited: Duration,
        /// The last attempt.
        source: Option<Box<ConnectError>>,
    },
    /// This computer's network lets no TCP 22 out, so that no server could be used.
    #[error("this network blocks outgoing TCP port 22: {} there while the cloud's API does; {}", unanswering(hosts, kept.as_deref()), left(kept.as_deref(), *created))]
    PortBlocked {
        /// Other hosts that do not answer either, although they are known to.
        hosts: Vec<String>,
        /// The server that is there and cannot be reached.
        kept: Option<String>,
        /// Net price of a started hour, where this wake has created the server.
        created: Option<f64>,
    },
    /// The server does not accept this computer's login key.
    #[error(
        "server {name} does not accept this computer's login key {key}: another computer of \
        this owner created it"
    )]
    WrongLogin {
        /// The server.
        name: String,
        /// This computer's key.
        key: Fingerprint,
    },
    /// The cloud calls the server running, and its TCP 22 does not answer. It is kept, since others
    /// may use it.
    #[error("the cloud calls server {name} running, but its TCP port 22 has not answered for {} \
        s{}; the server is kept", waited.as_secs(),
        if *is_the_server { ", although that of other hosts answers" } else { "" })]
    Unanswered {
        /// The server.
        name: String,
        /// How long it was tried.
        waited: Duration,
        /// Another host's TCP 22 answers: the network is not the cause.
        is_the_server: bool,
    },
    /// The server accepts connections and does not answer on them.
    #[error("server {name} accepts connections on TCP port 22 and has not answered on them for {} \
        s: it is overloaded, or its SSH server hangs; the server is kept", waited.as_secs())]
    Overloaded {
        /// The server.
        name: String,
        /// How long it was tried.
        waited: Duration,
        /// The last attempt.
        source: Option<Box<ConnectError>>,
    },
    /// An order of the user ended the wake.
    #[error("the wake was called off{}", after_call_off(*removed, left.as_deref()))]
    CalledOff {
        /// The server that the wake had created, and that is deleted again.
        removed: Option<u64>,
        /// What could not be deleted, and why.
        left: Option<String>,
    },
    /// The way to it failed for good.
    #[error("no way to {name}")]
    Connect {
        /// The machine.
        name: String,
        /// Why.
        source: Box<ConnectError>,
    },
    /// It presents another host key than it should.
    #[error(
        "{name} presents the host key {presented}, which is not the one it was made with: \
        nothing was sent to it"
    )]
    HostKey {
        /// The machine.
        name: String,
        /// What it presented.
        presented: Fingerprint,
    },
    /// Another computer of this owner made it, and it does not know this one yet.
    #[error(
        "{name} was made by another computer of this owner, and this computer's login key {login} \
            is \
         not among those that it admits"
    )]
    OtherComputer {
        /// The machine.
        name: String,
        /// The fingerprint of this computer's login key.
        login: Fingerprint,
    },
    /// The engine will not start.
    #[error("docker does not start on {name}: {reason}")]
    Docker {
        /// The machine.
        name: String,
        /// Why, in words for a person.
        reason: String,
    },
    /// A call to the agent failed.
    #[error("the agent on {name} could not {what}: {message}")]
    Agent {
        /// The machine.
        name: String,
        /// What was asked.
        what: &'static str,
        /// Its answer.
        message: String,
    },
    /// There is nothing to grow.
    #[error("this profile has no volume")]
    NoVolume,
    /// A volume only grows.
    #[error("volume {name} has {size} GB and cannot shrink to {wanted}")]
    Shrinks {
        /// Its name.
        name: String,
        /// GB that it has.
        size: u64,
        /// GB that were asked for.
        wanted: u64,
    },
    /// It was asked to grow, and has not.
    #[error("volume {name} still has {size} GB")]
    NotGrown {
        /// Its name.
        name: String,
        /// GB that it has.
        size: u64,
    },
    /// The user-data.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// A key could not be made.
    #[error("an SSH key cannot be made")]
    Key(#[source] russh::keys::ssh_key::Error),
    /// It took too long altogether.
    #[error("no machine came up within {} s; the last step was: {last}", waited.as_secs())]
    TimedOut {
        /// How long.
        waited: Duration,
        /// In words for a person.
        last: String,
    },
}

/// Subject and verb of what does not answer.
fn unanswering(hosts: &[String], server: Option<&str>) -> String {
    let hosts = hosts.join(" and ");
    match server {
        Some(server) => format!("neither server {server} nor {hosts} answers"),
        None => format!(
            "{hosts} {} not \
            answer",
            if hosts.contains(" and ") { "do" } else { "does" }
        ),
    }
}

/// What a blocked port leaves behind, and what it cost.
fn left(kept: Option<&str>, created: Option<f64>) -> String {
    match (kept, created) {
        (None, _) => "no server was created, and nothing was spent".to_owned(),
        (Some(_), None) => "the server runs and is kept".to_owned(),
        (Some(_), Some(hourly)) => format!(
            "the server was created and is billed for its started hour ({hourly:.4} EUR net); it \
                is used if this computer reaches it within 10 min, and is deleted otherwise"
        ),
    }
}

fn after_call_off(removed: Option<u64>, left: Option<&str>) -> String {
    match (removed, left) {
        (_, Some(left)) => format!("; {left}"),
        (Some(server), None) => format!(
            "; server {server}, which it had created, is deleted and billed for a started hour; \
                the volume stays, and is billed until `dockbridge volume delete`"
        ),
        (None, None) => ", and no server was created".to_owned(),
    }
}

impl MachineError {
    /// The cloud has answered, and will not do it: the same request would end the same way.
    pub(crate) fn is_refusal(&self) -> bool {
        let MachineError::Cloud { source, .. } = self else { return false };
        matches!(**source, hetzner::Error::Api(_) | hetzner::Error::Action { .. })
            && !source.is_lost_reply()
    }

    /// Whether trying again soon, without a change by the person, cannot help and may cost money.
    pub fn is_lasting(&self) -> bool {
        match self {
            MachineError::Cloud { source, .. } => source.is_unauthorized() || source.is_read_only(),
            MachineError::Problem(_)
            | MachineError::NotAllowed { .. }
            | MachineError::Docker { .. }
            | MachineError::HostKey { .. }
            | MachineError::WrongLogin { .. }
            | MachineError::NoVolume
            | MachineError::Shrinks { .. }
            | MachineError::Bootstrap(_)
            | MachineError::Key(_) => true,
            MachineError::OutOfStock { .. }
            | MachineError::NeverUp { .. }
            | MachineError::Silent { .. }
            | MachineError::PortBlocked { .. }
            | MachineError::Unanswered { .. }
            | MachineError::Overloaded { .. }
            | MachineError::CalledOff { .. }
            | MachineError::OtherComputer { .. }
            | MachineError::Connect { .. }
            | MachineError::Agent { .. }
            | MachineError::NotGrown { .. }
            | MachineError::TimedOut { .. } => false,
        }
    }

    /// Whether a server was created for nothing: the next attempt would cost another started hour.
    pub fn has_cost_money(&self) -> bool {
        match self {
            MachineError::NeverUp { .. }
            | MachineError::Silent { .. }
            | MachineError::Docker { .. } => true,
            MachineError::PortBlocked { created, .. } => created.is_some(),
            _ => false,
        }
    }

    /// Whether it took long to find out, and the next attempt would find the same unless something
    /// changes: one docker command makes several requests, and each would wait as long.
    pub fn is_verdict(&self) -> bool {
        matches!(
            self,
            MachineError::PortBlocked { .. }
                | MachineError::Unanswered { .. }
                | MachineError::Overloaded { .. }
        )
    }

    /// Whether the same attempt may succeed later although nobody changes anything: a network that
    /// comes back, a server that boots.
    pub fn may_pass(&self) -> bool {
        match self {
            MachineError::Connect { source, .. } => !matches!(
                **source,
                ConnectError::HostKeyRefused { .. }
                    | ConnectError::HostKeyKind { .. }
                    | ConnectError::LoginRefused { .. }
                    | ConnectError::NoKeyAccepted { .. }
                    | ConnectError::Identity { .. }
            ),
            MachineError::OutOfStock { .. }
            | MachineError::NeverUp { .. }
            | MachineError::CalledOff { .. } => false,
            error => !error.is_lasting(),
        }
    }

    /// What the person can do, if anything.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            MachineError::Cloud { source, .. } if source.is_unauthorized() => Some(
                "the API token is not valid: make one in the cloud console and run \
                    `dockbridge init`",
            ),
            MachineError::Cloud { source, .. } if source.is_read_only() => Some(
                "the API token may only read: make one with Read & Write in the cloud console \
                    and run `dockbridge init`",
            ),
            MachineError::Cloud { source, .. }
                if matches!(**source, hetzner::Error::NotTheApi { .. }) =>
            {
                Some(
                    "a login page or proxy of this network may stand before it: open a web page in \
                        a \
                    browser; else `hetzner.endpoint` or HCLOUD_ENDPOINT is wrong",
                )
            }
            MachineError::Cloud { source, .. } if source.is_clock_trouble() => Some(
                "set the clock (`date` shows it, `timedatectl set-ntp true` sets it by the network)",
            ),
            MachineError::Cloud { source, .. }
                if matches!(**source, hetzner::Error::Transport { .. }) =>
            {
                Some(
                    "check the network, HTTPS_PROXY, and that `hetzner.endpoint` or \
                    HCLOUD_ENDPOINT is the API's address",
                )
            }
            MachineError::Problem(Problem::UnknownServerType { .. }) => {
                Some("change `hetzner.server_types` in the settings")
            }
            MachineError::Problem(Problem::UnknownLocation { .. }) => {
                Some("change `hetzner.locations` in the settings")
            }
            MachineError::Problem(Problem::UnknownImage { .. }) => Some(
                "change `hetzner.image` in \
                the settings",
            ),
            MachineError::Connect { source, .. } => match **source {
                ConnectError::HostKeyRefused { .. } => Some(
                    "nothing was sent to it: if this is the host's own key, log in once with `ssh` \
                        and confirm it, which puts it among the known hosts",
                ),
                ConnectError::LoginRefused { .. } => Some(
                    "choose another key with `--identity`, or add this one to \
                        ~/.ssh/authorized_keys on the host",
                ),
                ConnectError::NoKeyAccepted { .. } => Some(
                    "`ssh` to the same host shows which key \
                    it takes; `--identity` names it",
                ),
                ConnectError::RouteFailed { .. } => Some(
                    "the same command by hand shows more; jump hosts have to let you in \
                        without a question, by a key or an agent",
                ),
                _ => None,
            },
            MachineError::PortBlocked { .. } => Some(
                "use another network or a VPN, or have outgoing TCP port 22 opened; \
                    `ssh.port_check` names the hosts that are asked, `none` skips the question",
            ),
            MachineError::WrongLogin { .. } => Some(
                "work on that computer, or use its login key here (`ssh.private_key_path`); \
                    `dockbridge server destroy` removes the server and keeps the volume",
            ),
            MachineError::HostKey { .. } => Some(
                "another machine answers at its address, or the server was reinstalled: look at it \
                    in the cloud's console; `dockbridge server destroy` removes it and keeps the \
                    volume",
            ),
            MachineError::Unanswered { .. } | MachineError::Overloaded { .. } => Some(
                "try again, or look at the server in the cloud's console; `dockbridge server \
                    destroy` removes it and keeps the volume",
            ),
            MachineError::NeverUp { .. } => Some(
                "the cloud's console tells what became of them, its status page what goes on; \
                    each may be billed for an hour",
            ),
            MachineError::OtherComputer { .. } => Some(
                "the key is in the cloud project now, and dockbridge on the other computer lets it \
                    in within 75 s: try again then. \
                 Where none runs there any more, the machine ends with its lease, or by \
                    `dockbridge server destroy`",
            ),
            MachineError::NoVolume => Some(
                "the first docker command makes one, with the size of \
                `hetzner.volume_size`",
            ),
            MachineError::Shrinks { .. } => Some(
                "a smaller one has to be made anew: copy what you need, `dockbridge volume \
                    delete`, `hetzner.volume_size`",
            ),
            MachineError::NotGrown { .. } => Some("the cloud's console tells what became of it"),
            MachineError::Silent { .. } | MachineError::TimedOut { .. } => Some(
                "the next docker \
                command tries again",
            ),
            _ => None,
        }
    }
}
