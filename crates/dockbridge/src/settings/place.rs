//! Problems of the settings, and where each setting was set.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::types::{Key, Origin};

/// Where each setting was set last.
pub type Places = BTreeMap<Key, (Place, Origin)>;

/// Where a setting was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the file.
    File {
        /// The file.
        path: PathBuf,
        /// Counted from 1, if known.
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

/// How severe it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// No daemon starts with it. A command that stops or shows something ignores it.
    Refused,
    /// It works, but probably not as intended.
    Warned,
}

/// One problem of the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where; `None` if it follows from several places.
    pub place: Option<Place>,
    /// E.g. `activity.idle_timeout`; `None` for a file that cannot be read.
    pub setting: Option<String>,
    /// What is wrong and what to write instead. Never contains a secret.
    pub message: String,
    pub severity: Severity,
}

impl Problem {
    /// What the user can do besides what the message says.
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
        // A message about an unknown key names it already.
        match &self.setting {
            Some(setting) if !self.message.contains(&format!("`{setting}`")) => {
                write!(f, "`{setting}`: {}", self.message)
            }
            _ => f.write_str(&self.message),
        }
    }
}
