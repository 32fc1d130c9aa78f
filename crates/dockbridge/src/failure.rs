//! A failed command: what happened, with its causes, what the user can do, and the exit code. Hints
//! name commands and settings, so they are chosen here, by the typed error.

use std::fmt;
use std::process::ExitCode;

use machine::{AfterCallOff, MachineError, Problem};
use tunnel::ConnectError;

use crate::output::with_arguments;
use crate::token_hints::refused_token_hints;

/// No daemon answered, or no machine.
pub const NOT_RUNNING: u8 = 3;

/// The source of an image is not as expected, or cannot be fetched.
pub const BAD_SOURCE: u8 = 4;
/// The cloud has no server in stock.
pub const NO_STOCK: u8 = 5;
/// The user interrupted it: 128 plus the number of SIGINT, as in shells.
pub const INTERRUPTED: u8 = 130;

/// A command that failed.
#[derive(Debug)]
pub struct Failure {
    message: String,
    hints: Vec<String>,
    code: u8,
}

/// The result of a command.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hints: Vec::new(), code: 1 }
    }

    /// Adds what the user can do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Another exit code than 1.
    pub fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// Names which of several things failed.
    pub fn of(mut self, which: &str) -> Self {
        self.message = format!("{which}: {}", self.message);
        self
    }

    /// What happened, without the hints.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What the user can do.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// The exit code of the process.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error: {}", with_arguments(&self.message))?;
        for hint in &self.hints {
            write!(f, "\nHint: {}", with_arguments(hint))?;
        }
        Ok(())
    }
}

/// An error with its causes, on one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Some libraries repeat the cause in their own message.
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

impl From<MachineError> for Failure {
    fn from(error: MachineError) -> Self {
        let failure = Self::new(with_causes(&error));
        hints_of(&error).into_iter().fold(failure, Self::hint)
    }
}

/// What the user can do. The hints about a refused token depend on its source.
fn hints_of(error: &MachineError) -> Vec<String> {
    let generic = machine_hint(error);
    match (error, generic) {
        (MachineError::Cloud { source, .. }, Some(generic))
            if source.is_unauthorized() || source.is_read_only() =>
        {
            refused_token_hints(generic)
        }
        _ => generic.map(str::to_owned).into_iter().collect(),
    }
}

/// What the user can do about a machine that cannot be used. The daemon adds it to the errors of
/// docker commands.
pub fn machine_hint(error: &MachineError) -> Option<&'static str> {
    Some(match error {
        MachineError::Cloud { source, .. } => return cloud_hint(source),
        MachineError::Problem(problem) => return problem_hint(problem),
        MachineError::Connect { source, .. } => return connect_hint(source),
        MachineError::OutOfStock { .. } => {
            "add types to `hetzner.server_types` or locations to `hetzner.locations`, or try \
                again later"
        }
        MachineError::CalledOff(AfterCallOff::Deleted(_)) => {
            "`dockbridge volume delete` deletes the volume with its data"
        }
        MachineError::CalledOff(AfterCallOff::NotDeleted { .. }) => {
            "`dockbridge server destroy` deletes it"
        }
        MachineError::PortBlocked { .. } => {
            "use another network or a VPN, or have outgoing TCP port 22 opened; \
                `ssh.port_check` names the hosts that are asked, `none` skips the check"
        }
        MachineError::WrongLogin { .. } => {
            "work on that computer, or use its login key here (`ssh.private_key_path`); \
                `dockbridge server destroy` deletes the server and keeps the volume"
        }
        MachineError::HostKey { .. } => {
            "another machine answers at its address, or the server was reinstalled: check it \
                in the cloud's console; `dockbridge server destroy` deletes it and keeps the \
                volume"
        }
        MachineError::Unanswered { .. } | MachineError::Overloaded { .. } => {
            "try again, or check the server in the cloud's console; `dockbridge server \
                destroy` deletes it and keeps the volume"
        }
        MachineError::NeverUp { .. } => {
            "the cloud's console shows what became of them, and its status page reports \
                outages; each may be billed for an hour"
        }
        MachineError::OtherComputer { .. } => {
            "the key is in the cloud project now, and dockbridge on the other computer lets \
                it in within 75 s: try again then. If none runs there, the machine ends with its \
                lease, or with `dockbridge server destroy`"
        }
        MachineError::NoVolume => {
            "the first docker command creates one, with the size of `hetzner.volume_size`"
        }
        MachineError::Shrinks { .. } => {
            "for a smaller volume, copy what you need, run `dockbridge volume delete` and set \
                `hetzner.volume_size`"
        }
        MachineError::NotGrown { .. } => "the cloud's console shows what became of it",
        MachineError::Silent { .. } | MachineError::TimedOut { .. } => {
            "the next docker command tries again"
        }
        _ => return None,
    })
}

/// What the user can do about a cloud that refuses or does not answer.
fn cloud_hint(error: &hetzner::Error) -> Option<&'static str> {
    Some(match error {
        error if error.is_unauthorized() => {
            "the API token is not valid: make one in the cloud console and run `dockbridge init`"
        }
        error if error.is_read_only() => {
            "the API token may only read: make one with Read & Write in the cloud console and \
                run `dockbridge init`"
        }
        hetzner::Error::NotTheApi { .. } => {
            "a login page or proxy of this network may stand before it: open a web page in a \
                browser; else `hetzner.endpoint` or HCLOUD_ENDPOINT is wrong"
        }
        error if error.is_clock_trouble() => {
            "set the clock (`date` shows it, `timedatectl set-ntp true` sets it by the network)"
        }
        hetzner::Error::Transport { .. } => {
            "check the network, HTTPS_PROXY, and that `hetzner.endpoint` or HCLOUD_ENDPOINT \
                is the API's address"
        }
        _ => return None,
    })
}

/// What the user can do about settings that fit nothing that exists.
fn problem_hint(problem: &Problem) -> Option<&'static str> {
    Some(match problem {
        Problem::UnknownServerType { .. } => "change `hetzner.server_types` in the settings",
        Problem::UnknownLocation { .. } => "change `hetzner.locations` in the settings",
        Problem::UnknownImage { .. } => "change `hetzner.image` in the settings",
        Problem::NotSold { pinned: true, .. } => "set another type in `hetzner.server_types`",
        _ => return None,
    })
}

/// What the user can do about a login that fails.
fn connect_hint(error: &ConnectError) -> Option<&'static str> {
    Some(match error {
        ConnectError::HostKeyRefused { .. } => {
            "nothing was sent to it: if this is the host's own key, log in once with `ssh` \
                and confirm it, which puts it among the known hosts"
        }
        ConnectError::LoginRefused { .. } => {
            "choose another key with `--identity`, or add this one to ~/.ssh/authorized_keys \
                on the host"
        }
        ConnectError::NoKeyAccepted { .. } => {
            "`ssh` to the same host shows which key it accepts; `--identity` names it"
        }
        ConnectError::TransportFailed { .. } => {
            "the same command by hand shows more; jump hosts have to admit you without a \
                question, by a key or an agent"
        }
        _ => return None,
    })
}

impl From<image::ImageError> for Failure {
    fn from(error: image::ImageError) -> Self {
        let failure = Self::new(with_causes(&error)).code(match error.kind() {
            image::FailureKind::Source => BAD_SOURCE,
            image::FailureKind::Stock => NO_STOCK,
            image::FailureKind::Interrupted => INTERRUPTED,
            image::FailureKind::Other => 1,
        });
        match image_hint(&error) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// What the user can do about a failed build.
fn image_hint(error: &image::ImageError) -> Option<&'static str> {
    use image::ImageError;
    Some(match error {
        ImageError::Cloud { source, .. } if source.is_unauthorized() => {
            "the API token is not valid: make one in the cloud console"
        }
        ImageError::Cloud { source, .. } if source.is_read_only() => {
            "the API token may only read: make one with Read & Write in the cloud console"
        }
        ImageError::NoServerType { only, .. } if !only.is_empty() => {
            "name other types with `--server-type`, or none to use the type with the smallest disk"
        }
        ImageError::Busy(_) => {
            "wait until that build has ended: the same command then finds its snapshot"
        }
        ImageError::OutOfStock { .. } | ImageError::NoServerType { .. } => {
            "name other locations in `hetzner.locations`, other types with `--server-type`, \
                or try again later"
        }
        ImageError::NoAgent { .. } => {
            "`scripts/build` makes it on a computer of that architecture; \
                DOCKBRIDGE_AGENT_DIR names the directory"
        }
        ImageError::Silent { .. } | ImageError::Lost { .. } | ImageError::ServerGone { .. } => {
            "run the same command again: it takes over what is left, or starts from the beginning"
        }
        ImageError::NoImage { .. } => {
            "check what the address really sends; `qemu-img convert -O raw` makes an image of \
                other formats; `--format raw` writes it unchanged"
        }
        ImageError::NoBaseImage { .. } => {
            "change `hetzner.image` in the settings: it names the image to start from"
        }
        ImageError::Write { kind, .. } => return write_hint(*kind),
        ImageError::Checksum { .. } => CHECKSUM_HINT,
        ImageError::NotCleanedUp { .. } => {
            "a server that stays is billed: `dockbridge sweep` lists and removes it"
        }
        _ => return None,
    })
}

const CHECKSUM_HINT: &str =
    "compare with the checksum that the publisher gives, and download the image again";

/// What the user can do about a writer that failed.
fn write_hint(kind: image::WriteFailure) -> Option<&'static str> {
    use image::WriteFailure;
    Some(match kind {
        WriteFailure::Checksum => CHECKSUM_HINT,
        WriteFailure::Source => {
            "the server downloads `--url` itself: can it reach that address? `--file` sends a \
                file of this computer"
        }
        WriteFailure::TooBig => "name a type with a larger disk with `--server-type`",
        WriteFailure::Archive => "check that it is the right file and the right `--compression`",
        WriteFailure::Disk | WriteFailure::Order => return None,
    })
}

impl From<image::FactoryError> for Failure {
    fn from(error: image::FactoryError) -> Self {
        let failure = Self::new(with_causes(&error)).code(BAD_SOURCE);
        match error {
            image::FactoryError::Unreachable { .. } => {
                failure.hint("`image.factory` in the settings names another one")
            }
            image::FactoryError::UnknownVersion { .. } => {
                failure.hint("change `--version` or `image.talos_version`")
            }
            _ => failure,
        }
    }
}

impl From<api::client::ClientError> for Failure {
    fn from(error: api::client::ClientError) -> Self {
        let failure = Self::new(with_causes(&error));
        match error {
            api::client::ClientError::NotRunning { .. } => {
                failure.hint("start it with `dockbridge start`").code(NOT_RUNNING)
            }
            api::client::ClientError::Refused { .. } | api::client::ClientError::Broken(_) => {
                failure
            }
        }
    }
}

impl From<daemon::DaemonError> for Failure {
    fn from(error: daemon::DaemonError) -> Self {
        use daemon::{DaemonError, OwnershipError};
        let failure = Self::new(with_causes(&error));
        match &error {
            DaemonError::Refused(source) => hints_of(source).into_iter().fold(failure, Self::hint),
            DaemonError::Port { .. } => failure.hint("change `docker.proxy_port`, or leave it out"),
            DaemonError::Socket(OwnershipError::Served { .. }) => failure.hint(
                "`dockbridge status` shows what it does, `dockbridge stop` ends it; another \
                    one needs `--socket` or `--profile`",
            ),
            DaemonError::Socket(OwnershipError::Foreign { .. }) => {
                failure.hint("choose another place with `--socket PATH`")
            }
            DaemonError::Socket(OwnershipError::NoSocket { .. }) => {
                failure.hint("move it away, or choose another place with `--socket PATH`")
            }
            DaemonError::Socket(OwnershipError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::StorageFull =>
            {
                failure.hint(
                    "the disk is full: free some space, or choose another place with \
                        `--socket PATH`",
                )
            }
            DaemonError::Socket(OwnershipError::TooLong { .. }) => failure.hint(
                "choose a shorter path with `--socket PATH` or `docker.socket_path`, such as \
                    /tmp/docker.sock",
            ),
            DaemonError::Socket(OwnershipError::Io { .. }) => {
                failure.hint("choose a place that you may write to with `--socket PATH`")
            }
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(with_causes(&error))
    }
}
