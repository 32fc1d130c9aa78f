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
    #[error("none of {} is in stock; add types or locations to the settings, or try again later", tried.join(", "))]
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
    /// The way to it failed for good.
    #[error("no way to {name}")]
    Connect {
        /// The machine.
        name: String,
        /// Why.
        source: Box<ConnectError>,
    },
    /// It presents another host key than it should.
    #[error("{name} presents the host key {presented}, which is not the one it was made with: nothing was sent to it")]
    HostKey {
        /// The machine.
        name: String,
        /// What it presented.
        presented: Fingerprint,
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

impl MachineError {
    /// The cloud has answered, and will not do it: the same request would end the same way.
    pub(crate) fn is_refusal(&self) -> bool {
        let MachineError::Cloud { source, .. } = self else { return false };
        matches!(**source, hetzner::Error::Api(_) | hetzner::Error::Action { .. }) && !source.is_lost_reply()
    }

    /// Whether trying again soon, without a change by the person, cannot help and may cost money.
    pub fn is_lasting(&self) -> bool {
        match self {
            MachineError::Cloud { source, .. } => source.is_unauthorized() || source.is_read_only(),
            MachineError::Problem(_)
            | MachineError::NotAllowed { .. }
            | MachineError::Docker { .. }
            | MachineError::HostKey { .. }
            | MachineError::NoVolume
            | MachineError::Shrinks { .. }
            | MachineError::Bootstrap(_)
            | MachineError::Key(_) => true,
            MachineError::OutOfStock { .. }
            | MachineError::NeverUp { .. }
            | MachineError::Silent { .. }
            | MachineError::Connect { .. }
            | MachineError::Agent { .. }
            | MachineError::NotGrown { .. }
            | MachineError::TimedOut { .. } => false,
        }
    }

    /// Whether a server was created for nothing: the next attempt would cost another started hour.
    pub fn has_cost_money(&self) -> bool {
        matches!(self, MachineError::NeverUp { .. } | MachineError::Silent { .. } | MachineError::Docker { .. })
    }

    /// Whether the same attempt may succeed later although nobody changes anything: a network that comes back, a server that boots.
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
            MachineError::OutOfStock { .. } | MachineError::NeverUp { .. } => false,
            error => !error.is_lasting(),
        }
    }

    /// What the person can do, if anything.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            MachineError::Cloud { source, .. } if source.is_unauthorized() => {
                Some("the API token is not valid: make one in the cloud console and run `dockbridge init`")
            }
            MachineError::Cloud { source, .. } if source.is_read_only() => {
                Some("the API token may only read: make one with Read & Write in the cloud console and run `dockbridge init`")
            }
            MachineError::Cloud { source, .. } if matches!(**source, hetzner::Error::NotTheApi { .. }) => Some(
                "a login page or proxy of this network may stand before it: open a web page in a browser; else `hetzner.endpoint` or HCLOUD_ENDPOINT is wrong",
            ),
            MachineError::Cloud { source, .. } if matches!(**source, hetzner::Error::Transport { .. }) => {
                Some("check the network, HTTPS_PROXY, and that `hetzner.endpoint` or HCLOUD_ENDPOINT is the API's address")
            }
            MachineError::Problem(Problem::UnknownServerType { .. }) => Some("change `hetzner.server_types` in the settings"),
            MachineError::Problem(Problem::UnknownLocation { .. }) => Some("change `hetzner.locations` in the settings"),
            MachineError::Problem(Problem::UnknownImage { .. }) => Some("change `hetzner.image` in the settings"),
            MachineError::Connect { source, .. } => match **source {
                ConnectError::HostKeyRefused { .. } => Some(
                    "nothing was sent to it: if this is the host's own key, log in once with `ssh` and confirm it, which puts it among the known hosts",
                ),
                ConnectError::LoginRefused { .. } => {
                    Some("choose another key with `--identity`, or add this one to ~/.ssh/authorized_keys on the host")
                }
                ConnectError::NoKeyAccepted { .. } => Some("`ssh` to the same host shows which key it takes; `--identity` names it"),
                ConnectError::RouteFailed { .. } => {
                    Some("the same command by hand shows more; jump hosts have to let you in without a question, by a key or an agent")
                }
                _ => None,
            },
            MachineError::NeverUp { .. } => {
                Some("the cloud's console tells what became of them, its status page what goes on; each may be billed for an hour")
            }
            MachineError::NoVolume => Some("the first docker command makes one, with the size of `hetzner.volume_size`"),
            MachineError::Shrinks { .. } => {
                Some("a smaller one has to be made anew: copy what you need, `dockbridge volume delete`, `hetzner.volume_size`")
            }
            MachineError::NotGrown { .. } => Some("the cloud's console tells what became of it"),
            MachineError::Silent { .. } | MachineError::TimedOut { .. } => Some("the next docker command tries again"),
            _ => None,
        }
    }
}
