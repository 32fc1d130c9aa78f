//! What the user can do about an error.

use tunnel::ConnectError;

use crate::error::MachineError;
use crate::problem::Problem;

impl MachineError {
    /// What the user can do, if anything.
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
                    "a login page or proxy of this network may stand before it: open a web \
                        page in a browser; else `hetzner.endpoint` or HCLOUD_ENDPOINT is wrong",
                )
            }
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
            MachineError::Problem(Problem::UnknownImage { .. }) => {
                Some("change `hetzner.image` in the settings")
            }
            MachineError::Connect { source, .. } => match **source {
                ConnectError::HostKeyRefused { .. } => Some(
                    "nothing was sent to it: if this is the host's own key, log in once with \
                        `ssh` and confirm it, which puts it among the known hosts",
                ),
                ConnectError::LoginRefused { .. } => Some(
                    "choose another key with `--identity`, or add this one to \
                        ~/.ssh/authorized_keys on the host",
                ),
                ConnectError::NoKeyAccepted { .. } => {
                    Some("`ssh` to the same host shows which key it takes; `--identity` names it")
                }
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
                "another machine answers at its address, or the server was reinstalled: look \
                    at it in the cloud's console; `dockbridge server destroy` removes it and \
                    keeps the volume",
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
                "the key is in the cloud project now, and dockbridge on the other computer \
                    lets it in within 75 s: try again then. Where none runs there any more, the \
                    machine ends with its lease, or by `dockbridge server destroy`",
            ),
            MachineError::NoVolume => {
                Some("the first docker command makes one, with the size of `hetzner.volume_size`")
            }
            MachineError::Shrinks { .. } => Some(
                "a smaller one has to be made anew: copy what you need, `dockbridge volume \
                    delete`, `hetzner.volume_size`",
            ),
            MachineError::NotGrown { .. } => Some("the cloud's console tells what became of it"),
            MachineError::Silent { .. } | MachineError::TimedOut { .. } => {
                Some("the next docker command tries again")
            }
            _ => None,
        }
    }
}
