//! A failed command: what happened, with its causes, what the user can do, and the exit code. Hints
//! name commands and settings, so they are chosen here, by the typed error.

use std::fmt;
use std::process::ExitCode;

use api::Code;
use api::client::ClientError;
use machine::MachineError;

use crate::hints::hint;
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
    error: api::Error,
    exit_code: u8,
}

/// The result of a command.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure whose caller adds what the user can do, in place of the hint of the code.
    pub fn bare(code: Code, message: impl Into<String>) -> Self {
        Self { error: api::Error::new(code, message), exit_code: 1 }
    }

    /// A failure with a code, and with what the user can do about it.
    pub fn of_code(code: Code, message: impl Into<String>) -> Self {
        let error = api::Error::new(code, message);
        let hints = match (code, hint(code)) {
            (Code::TokenInvalid | Code::TokenReadOnly, Some(generic)) => {
                refused_token_hints(generic)
            }
            (_, generic) => generic.map(str::to_owned).into_iter().collect(),
        };
        Self { error: api::Error { hints, ..error }, exit_code: 1 }
    }

    /// Adds what the user can do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.error.hints.push(hint.into());
        self
    }

    /// Another exit code than 1.
    pub fn code(mut self, code: u8) -> Self {
        self.exit_code = code;
        self
    }

    /// Names which of several things failed.
    pub fn of(mut self, which: &str) -> Self {
        self.error.message = format!("{which}: {}", self.error.message);
        self
    }

    /// What happened, without the hints.
    pub fn message(&self) -> &str {
        &self.error.message
    }

    /// The command that explains the code, where the hints do not say it all and the registry says
    /// more.
    pub fn explanation(&self) -> Option<String> {
        let says_all = matches!(
            self.error.code,
            Code::Failed
                | Code::SystemRefused
                | Code::DaemonRefused
                | Code::Interrupted
                | Code::NotConfirmed
                | Code::OutputNotWritten
                | Code::SettingsInvalid
                | Code::TrialFailed
                | Code::LocalCloudFailed
        );
        let is_open = self.error.hints.is_empty() && !says_all;
        is_open.then(|| format!("More: dockbridge explain {}", self.error.code))
    }

    /// The error, as programs get it.
    pub fn error(&self) -> &api::Error {
        &self.error
    }

    /// What the user can do.
    pub fn hints(&self) -> &[String] {
        &self.error.hints
    }

    /// On one line for programs: what `--json` prints on standard error.
    pub fn json(&self) -> String {
        let mut error = self.error.clone();
        error.message = with_arguments(&error.message);
        error.hints.iter_mut().for_each(|hint| *hint = with_arguments(hint));
        serde_json::to_string(&api::Failed::new(error)).unwrap_or_default()
    }

    /// The exit code of the process.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit_code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error: {}", with_arguments(&self.error.message))?;
        for hint in &self.error.hints {
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
        Self::of_code(error.code(), with_causes(&error))
    }
}

impl From<api::Error> for Failure {
    /// An error of the daemon, with its hints, or else with those of its code.
    fn from(error: api::Error) -> Self {
        let mut failure = Self::of_code(error.code, "");
        let hints = match error.hints.is_empty() {
            true => std::mem::take(&mut failure.error.hints),
            false => error.hints.clone(),
        };
        Self { error: api::Error { hints, ..error }, ..failure }
    }
}

impl From<image::ImageError> for Failure {
    fn from(error: image::ImageError) -> Self {
        let exit_code = match error.kind() {
            image::FailureKind::Source => BAD_SOURCE,
            image::FailureKind::Stock => NO_STOCK,
            image::FailureKind::Interrupted => INTERRUPTED,
            image::FailureKind::Other => 1,
        };
        let failure = Self::bare(error.code(), with_causes(&error)).code(exit_code);
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
            "`scripts/build --release` makes the agents of both architectures; \
                DOCKBRIDGE_AGENT_DIR names their directory"
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
        let failure = Self::bare(Code::ImageSource, with_causes(&error)).code(BAD_SOURCE);
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

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(error) => (*error).into(),
            ClientError::NotRunning { .. } => {
                Self::of_code(error.code(), with_causes(&error)).code(NOT_RUNNING)
            }
            ClientError::Broken(_) => Self::of_code(error.code(), with_causes(&error)),
        }
    }
}

impl From<daemon::DaemonError> for Failure {
    fn from(error: daemon::DaemonError) -> Self {
        use daemon::{DaemonError, OwnershipError};
        let code = match &error {
            DaemonError::Refused(source) => source.code(),
            DaemonError::Port { .. } => Code::ProxyPortTaken,
            DaemonError::Metrics { .. } => Code::MetricsAddressTaken,
            DaemonError::Socket(OwnershipError::Served { .. }) => Code::SocketServed,
            DaemonError::Socket(_) => Code::SocketUnusable,
        };
        let failure = Self::of_code(code, with_causes(&error));
        match &error {
            DaemonError::Refused(_) | DaemonError::Port { .. } | DaemonError::Metrics { .. } => {
                failure
            }
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
            DaemonError::Socket(
                OwnershipError::Elsewhere { .. } | OwnershipError::Exposed { .. },
            ) => failure.hint("`dockbridge service install` writes the units again"),
            DaemonError::Socket(OwnershipError::Io { .. }) => {
                failure.hint("choose a place that you may write to with `--socket PATH`")
            }
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::of_code(Code::SystemRefused, with_causes(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_named_where_no_hint_says_what_to_do() {
        let of = |code| Failure::of_code(code, "it failed").explanation();
        let explained = Some("More: dockbridge explain agent_failed".to_owned());
        assert_eq!(of(Code::AgentFailed), explained);
        assert_eq!(of(Code::TokenInvalid), None, "the hint says it");
        assert_eq!(of(Code::Failed), None, "the registry says no more than the message");
    }
}
