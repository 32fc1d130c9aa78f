//! What is wrong with the settings, and where each of them was set.

use std::fmt;
use std::path::PathBuf;

/// Where a setting stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the file.
    File {
        /// The file.
        path: PathBuf,
        /// Counted from 1, where it is known.
        line: Option<u64>,
    },
    /// In a variable.
    Variable(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { path, line: Some(line) } => write!(f, "{}: line {line}", path.display()),
            Place::File { path, line: None } => write!(f, "{}", path.display()),
            Place::Variable(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// No daemon starts with it. A command that stops or shows something leaves it out.
    Refused,
    /// It works, and hardly as it is meant.
    Warned,
}

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where; `None` for what follows from several places.
    pub place: Option<Place>,
    /// Such as `activity.idle_timeout`; `None` for a file that cannot be read.
    pub setting: Option<String>,
    /// What is wrong and what can be written instead. Never the value of a secret.
    pub message: String,
    /// How bad it is.
    pub severity: Severity,
}

impl Problem {
    /// What the user can do beside what the message says.
    pub fn hint(&self) -> Option<&'static str> {
        match self.setting.as_deref() {
            Some("hetzner.endpoint") => Some("change `hetzner.endpoint` or HCLOUD_ENDPOINT"),
            Some("logging.level") => Some("write error, warn, info, debug or trace"),
            _ => None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        // A message about a key that does not exist names it already.
        match &self.setting {
            Some(setting) if !self.message.contains(&format!("`{setting}`")) => {
                write!(f, "`{setting}`: {}", self.message)
            }
            _ => f.write_str(&self.message),
        }
    }
}
