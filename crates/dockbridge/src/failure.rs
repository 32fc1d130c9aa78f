//! What a person is told when a command fails: what happened, with its causes, what to do, and the
//! exit code.

use std::fmt;
use std::process::ExitCode;

use crate::output::with_arguments;
use crate::token_hints::refused_token_hints;

/// Nothing of ours answered: no daemon, no machine.
pub const NOT_RUNNING: u8 = 3;

/// What was to be built from is not what it should be, or cannot be had.
pub const BAD_SOURCE: u8 = 4;
/// The cloud has no server to be had.
pub const NO_STOCK: u8 = 5;
/// The person ended it: 128 and the number of SIGINT, as shells tell it.
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
    /// A failure that is told in our own words.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hints: Vec::new(), code: 1 }
    }

    /// What the person can do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Another exit code than 1.
    pub fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// Tells which of several things failed.
    pub fn of(mut self, which: &str) -> Self {
        self.message = format!("{which}: {}", self.message);
        self
    }

    /// What happened, without the hints.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What the person can do.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// For `main`.
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
        // Some libraries repeat their cause in their own text.
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

impl From<machine::MachineError> for Failure {
    fn from(error: machine::MachineError) -> Self {
        let failure = Self::new(with_causes(&error));
        hints_of(&error).into_iter().fold(failure, Self::hint)
    }
}

/// What the user can do. A token that is refused is a matter of where it comes from.
fn hints_of(error: &machine::MachineError) -> Vec<String> {
    let generic = error.hint();
    match (error, generic) {
        (machine::MachineError::Cloud { source, .. }, Some(generic))
            if source.is_unauthorized() || source.is_read_only() =>
        {
            refused_token_hints(generic)
        }
        _ => generic.map(str::to_owned).into_iter().collect(),
    }
}

impl From<image::ImageError> for Failure {
    fn from(error: image::ImageError) -> Self {
        let failure = Self::new(with_causes(&error)).code(match error.kind() {
            image::Kind::Source => BAD_SOURCE,
            image::Kind::Stock => NO_STOCK,
            image::Kind::Interrupted => INTERRUPTED,
            image::Kind::Other => 1,
        });
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<image::FactoryError> for Failure {
    fn from(error: image::FactoryError) -> Self {
        let failure = Self::new(with_causes(&error)).code(BAD_SOURCE);
        match error {
            image::FactoryError::Unreachable { .. } => failure.hint(
                "`image.factory` in the \
                settings names another one",
            ),
            image::FactoryError::UnknownVersion { .. } => failure.hint(
                "change `--version` or \
                `image.talos_version`",
            ),
            _ => failure,
        }
    }
}

impl From<daemon::client::ClientError> for Failure {
    fn from(error: daemon::client::ClientError) -> Self {
        let failure = Self::new(with_causes(&error));
        match error {
            daemon::client::ClientError::NotRunning { .. } => failure
                .hint(
                    "start it with \
                `dockbridge start`",
                )
                .code(NOT_RUNNING),
            daemon::client::ClientError::Refused { .. }
            | daemon::client::ClientError::Broken(_) => failure,
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
                "`dockbridge status` tells what it does, `dockbridge stop` ends it; another \
                    one needs `--socket` or `--profile`",
            ),
            DaemonError::Socket(OwnershipError::Foreign { .. }) => failure.hint(
                "choose another \
                place with `--socket PATH`",
            ),
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
                "choose a shorter path with `--socket PATH` or `docker.socket_path`, \
                    such as /tmp/docker.sock",
            ),
            DaemonError::Socket(OwnershipError::Io { .. }) => failure.hint(
                "choose a place that \
                you may write to with `--socket PATH`",
            ),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(with_causes(&error))
    }
}
