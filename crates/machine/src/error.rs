//! Why no machine could be used, and what follows from it. The edge (`dockbridge/failure.rs`)
//! chooses the hints for users.

use std::fmt;
use std::time::Duration;

use tunnel::{ConnectError, Fingerprint};

use crate::bootstrap::BootstrapError;
use crate::operation::{AgentTask, Operation};
use crate::problem::Problem;

/// Why no machine could be used.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The cloud refused or does not answer.
    #[error("the cloud could not {operation}")]
    Cloud {
        /// The request.
        operation: Operation,
        /// The failed call.
        source: Box<hetzner::Error>,
    },
    /// The user has to change something.
    #[error(transparent)]
    Problem(#[from] Problem),
    /// The user's own settings allow no further server.
    #[error("{reason}")]
    NotAllowed {
        /// Human-readable, such as the budget, with what to do.
        reason: String,
    },
    /// The cloud has none of the server types in stock.
    #[error("none of {} is in stock", tried.join(", "))]
    OutOfStock {
        /// Types and locations that were tried.
        tried: Vec<String>,
    },
    /// Each server that was created was lost before it was up.
    #[error("{made} new servers in a row did not come up; the last step was: {last}")]
    NeverUp {
        /// Number of servers.
        made: u32,
        /// Human-readable.
        last: String,
    },
    /// The server did not answer in time and was deleted.
    #[error("server {name} did not answer within {} s", waited.as_secs())]
    Silent {
        /// The server.
        name: String,
        /// How long dockbridge waited.
        waited: Duration,
        /// The last attempt to log in.
        source: Option<Box<ConnectError>>,
    },
    /// This computer's network blocks outgoing TCP 22, so no server could be used.
    #[error(
        "this network blocks outgoing TCP port 22: {} there while the cloud's API does; {}",
        unanswering(hosts, kept.as_deref()),
        left(kept.as_deref(), *created)
    )]
    PortBlocked {
        /// Other hosts that are known to answer, and do not.
        hosts: Vec<String>,
        /// The server that exists and cannot be reached.
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
    /// The cloud reports the server as running, and its TCP 22 does not answer. The server is kept,
    /// since others may use it.
    #[error(
        "the cloud reports server {name} as running, but its TCP port 22 has not answered for \
        {} s{}; the server is kept",
        waited.as_secs(),
        if *is_the_server { ", although that of other hosts answers" } else { "" }
    )]
    Unanswered {
        /// The server.
        name: String,
        /// How long dockbridge tried.
        waited: Duration,
        /// Another host's TCP 22 answers, so the network is not the cause.
        is_the_server: bool,
    },
    /// The server accepts connections and does not answer on them.
    #[error(
        "server {name} accepts connections on TCP port 22 and has not answered on them for {} s: \
        it is overloaded, or its SSH server hangs; the server is kept",
        waited.as_secs()
    )]
    Overloaded {
        /// The server.
        name: String,
        /// How long dockbridge tried.
        waited: Duration,
        /// The last attempt to log in.
        source: Option<Box<ConnectError>>,
    },
    /// The user ordered the wake to end.
    #[error("the wake was called off{0}")]
    CalledOff(AfterCallOff),
    /// The connection failed for good.
    #[error("cannot connect to {name}")]
    Connect {
        /// The machine.
        name: String,
        /// The failed attempt.
        source: Box<ConnectError>,
    },
    /// The machine presents another host key than it should.
    #[error(
        "{name} presents the host key {presented}, which is not the one it was made with: \
        nothing was sent to it"
    )]
    HostKey {
        /// The machine.
        name: String,
        /// The presented key.
        presented: Fingerprint,
    },
    /// Another computer of this owner created the machine, and the machine does not admit this
    /// computer's login key yet.
    #[error(
        "{name} was made by another computer of this owner, and this computer's login key \
        {login} is not among those that it admits"
    )]
    OtherComputer {
        /// The machine.
        name: String,
        /// The fingerprint of this computer's login key.
        login: Fingerprint,
    },
    /// The engine does not start.
    #[error("docker does not start on {name}: {reason}")]
    Docker {
        /// The machine.
        name: String,
        /// Human-readable.
        reason: String,
    },
    /// A call to the agent failed.
    #[error("the agent on {name} could not {task}: {message}")]
    Agent {
        /// The machine.
        name: String,
        /// The call.
        task: AgentTask,
        /// The agent's answer.
        message: String,
    },
    /// A server was asked to shut down and still runs.
    #[error("server {name} did not power off within {} s", waited.as_secs())]
    NotPoweredOff {
        /// The server.
        name: String,
        /// How long dockbridge waited.
        waited: Duration,
    },
    /// The profile has no volume to grow.
    #[error("this profile has no volume")]
    NoVolume,
    /// A volume was asked to shrink.
    #[error("volume {name} has {size} GB and cannot shrink to {wanted}")]
    Shrinks {
        /// Its name.
        name: String,
        /// Its size, in GB.
        size: u64,
        /// The size asked for, in GB.
        wanted: u64,
    },
    /// The cloud accepted to grow the volume and did not.
    #[error("volume {name} still has {size} GB")]
    NotGrown {
        /// Its name.
        name: String,
        /// Its size, in GB.
        size: u64,
    },
    /// The user-data could not be made.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// A key could not be made.
    #[error("an SSH key cannot be made")]
    Key(#[source] russh::keys::ssh_key::Error),
    /// The whole wake took too long.
    #[error("no machine came up within {} s; the last step was: {last}", waited.as_secs())]
    TimedOut {
        /// The limit.
        waited: Duration,
        /// Human-readable.
        last: String,
    },
}

/// What became of the server of a wake that was called off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AfterCallOff {
    /// The wake had not created one.
    NoServer,
    /// It is deleted.
    Deleted(u64),
    /// Another client uses it.
    InUse(u64),
    /// It could not be deleted.
    NotDeleted {
        /// The server.
        server: u64,
        /// Human-readable.
        why: String,
    },
}

impl fmt::Display for AfterCallOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AfterCallOff::NoServer => f.write_str(", and no server was created"),
            AfterCallOff::Deleted(server) => write!(
                f,
                "; server {server}, which it had created, is deleted and billed for a started \
                hour; the volume stays and is billed until it is deleted"
            ),
            AfterCallOff::InUse(server) => {
                write!(f, "; server {server} is kept, since another client uses it")
            }
            AfterCallOff::NotDeleted { server, why } => write!(
                f,
                "; server {server} could not be deleted and is billed until it is ({why}); it \
                powers itself off 11 min after its boot"
            ),
        }
    }
}

/// Subject and verb of the hosts that do not answer.
fn unanswering(hosts: &[String], server: Option<&str>) -> String {
    let list = hosts.join(" and ");
    match (server, hosts.len()) {
        (Some(server), _) => format!("neither server {server} nor {list} answers"),
        (None, 2..) => format!("{list} do not answer"),
        (None, _) => format!("{list} does not answer"),
    }
}

/// Which server a blocked port leaves behind, and what it cost.
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

impl MachineError {
    /// Wraps the failure of a call to the cloud.
    pub(crate) fn cloud(operation: Operation) -> impl FnOnce(hetzner::Error) -> Self {
        move |source| MachineError::Cloud { operation, source: Box::new(source) }
    }

    /// Whether the cloud has answered and refused: the same request would be refused again.
    pub(crate) fn is_refusal(&self) -> bool {
        let MachineError::Cloud { source, .. } = self else { return false };
        matches!(**source, hetzner::Error::Api(_) | hetzner::Error::Action { .. })
            && !source.is_lost_reply()
    }

    /// Whether a retry cannot help and may cost money until the user changes something.
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
            | MachineError::CalledOff(_)
            | MachineError::OtherComputer { .. }
            | MachineError::Connect { .. }
            | MachineError::Agent { .. }
            | MachineError::NotPoweredOff { .. }
            | MachineError::NotGrown { .. }
            | MachineError::TimedOut { .. } => false,
        }
    }

    /// Whether a server was created in vain: the next attempt would cost another started hour.
    pub fn has_cost_money(&self) -> bool {
        match self {
            MachineError::NeverUp { .. }
            | MachineError::Silent { .. }
            | MachineError::Docker { .. } => true,
            MachineError::PortBlocked { created, .. } => created.is_some(),
            _ => false,
        }
    }

    /// Whether the attempt took long, and a retry within seconds would end the same. One docker
    /// command makes several requests, and each would wait as long.
    pub fn is_verdict(&self) -> bool {
        matches!(
            self,
            MachineError::PortBlocked { .. }
                | MachineError::Unanswered { .. }
                | MachineError::Overloaded { .. }
        )
    }

    /// Whether a retry may succeed without a change by the user: the network may come back, or the
    /// server may have booted.
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
            | MachineError::CalledOff(_) => false,
            error => !error.is_lasting(),
        }
    }
}
