//! An error as users and programs get it: with a stable code, and with what the user can do.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::category::Category;
use crate::code::Code;

/// An error of the daemon or of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Error {
    /// Which one, for programs.
    pub code: Code,
    /// What it concerns.
    pub category: Category,
    /// What happened with its causes, human-readable.
    pub message: String,
    /// What the user can do, human-readable. Chosen by the command line, which knows its commands
    /// and settings.
    #[serde(default)]
    pub hints: Vec<String>,
    /// Whether the same request may succeed later although the user changes nothing.
    pub retryable: bool,
    /// Seconds since 1970.
    pub at: u64,
    /// The request that failed, as the logs name it.
    #[serde(default)]
    pub request_id: Option<String>,
}

impl Error {
    /// An error that happens now.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            code,
            category: code.category(),
            message: message.into(),
            hints: Vec::new(),
            retryable: code.is_retryable(),
            at: now.map_or(0, |now| now.as_secs()),
            request_id: None,
        }
    }

    /// Adds what the user can do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Error {
    /// On one line, for clients that show only a message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.hints.iter().try_for_each(|hint| write!(f, "; {hint}"))
    }
}

impl std::error::Error for Error {}
