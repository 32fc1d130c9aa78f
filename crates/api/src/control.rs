//! The requests and answers of the control socket: HTTP with JSON, on a Unix socket beside the
//! Docker socket.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// What follows the name of a Docker socket in the name of its control socket.
pub const CONTROL_SUFFIX: &str = ".control";

/// The control socket of a Docker socket.
pub fn control_socket(docker_socket: &Path) -> PathBuf {
    let mut name = docker_socket.file_name().unwrap_or_default().to_owned();
    name.push(CONTROL_SUFFIX);
    docker_socket.with_file_name(name)
}

/// The answer to a command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// A sentence for the user, or the reason of a refusal.
    pub message: Option<String>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Box<Error>>,
}

impl Answer {
    /// It was done, with a sentence for the user.
    pub fn done(message: Option<String>) -> Self {
        Self { message, error: None }
    }
}

impl From<Error> for Answer {
    fn from(error: Error) -> Self {
        Self { message: Some(error.to_string()), error: Some(Box::new(error)) }
    }
}

/// The answer to `POST /settings`: what the daemon made of the settings that it read again. They
/// are named as `section.key`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsReport {
    /// Their new values hold since this reading.
    pub now: Vec<String>,
    /// Their new values hold for the next machine.
    pub next_wake: Vec<String>,
    /// The daemon uses their old values until it starts again.
    pub restart: Vec<String>,
    /// Why the settings were refused, and the old ones stay.
    pub refused: Option<String>,
}

/// The query of `POST /pin`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinQuery {
    /// How long to pin; `None` for a pin without an end.
    pub seconds: Option<u64>,
}

/// The query of `POST /destroy`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DestroyQuery {
    /// The daemon ends with the machine, so that no request that waits makes another.
    #[serde(default)]
    pub stop: bool,
}

/// The query of `GET /machine-log`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineLogQuery {
    /// Entries since then, in seconds since 1970.
    pub since: Option<i64>,
    /// Only the last entries.
    pub lines: Option<u32>,
    /// Only entries behind the one with this cursor of the journal.
    pub after: Option<String>,
    /// The answer goes on with new entries.
    #[serde(default)]
    pub follow: bool,
}
