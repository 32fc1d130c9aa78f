//! A condition that holds for some time, as users and programs get it. An observer sets and clears
//! it; this file knows neither clocks nor observers.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::condition::Condition;
use crate::warning_code::{Severity, WarningCode};

/// A condition that holds, as users and programs get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Warning {
    /// Which one, for programs.
    pub code: WarningCode,
    /// How much it matters.
    pub severity: Severity,
    /// Seconds since 1970 at which it was first observed.
    pub since: u64,
    /// Warnings that cause this one. None of them holds now.
    pub depends_on: Vec<WarningCode>,
    /// What holds, human-readable.
    pub message: String,
    /// What the user can do, human-readable. Chosen by the command line, which knows its commands
    /// and settings.
    pub hints: Vec<String>,
}

impl Warning {
    /// A warning that has held since `since`, in seconds since 1970.
    pub fn new(code: WarningCode, message: impl Into<String>, since: u64) -> Self {
        let entry = code.entry();
        Self {
            code,
            severity: entry.severity,
            since,
            depends_on: entry.depends_on.to_vec(),
            message: message.into(),
            hints: Vec::new(),
        }
    }

    /// The warning of a condition.
    pub fn of(condition: &Condition, since: u64) -> Self {
        Self::new(condition.code(), condition.to_string(), since)
    }

    /// Adds what the user can do.
    pub fn hints(self, hints: impl IntoIterator<Item = String>) -> Self {
        Self { hints: hints.into_iter().collect(), ..self }
    }
}

impl fmt::Display for Warning {
    /// On one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.hints.is_empty() {
            true => Ok(()),
            false => write!(f, ": {}", self.hints.join(", ")),
        }
    }
}

/// Reads warnings. A daemon of an older version has texts without a code.
pub(crate) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Warning>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Read {
        Coded(Warning),
        Text(String),
    }
    let read = Vec::<Read>::deserialize(from)?;
    let warning = |read| match read {
        Read::Coded(warning) => warning,
        Read::Text(message) => Warning::new(WarningCode::Uncoded, message, 0),
    };
    Ok(read.into_iter().map(warning).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn warning_of_an_older_daemon_is_its_message() {
        let coded = Warning::new(WarningCode::VolumeFull, "the volume is full", 7);
        let both = json!(["84 % are spent", coded]);
        let read = read(both).unwrap();
        let codes: Vec<_> = read.iter().map(|warning| warning.code).collect();
        assert_eq!(codes, [WarningCode::Uncoded, WarningCode::VolumeFull]);
        assert_eq!((read[0].to_string().as_str(), &read[1]), ("84 % are spent", &coded));
    }

    #[test]
    fn hints_follow_the_message() {
        let warning = Warning::new(WarningCode::VolumeFull, "the volume is full", 0);
        assert_eq!(warning.to_string(), "the volume is full");
        let hints = ["grow it".to_owned(), "empty it".to_owned()];
        assert_eq!(warning.hints(hints).to_string(), "the volume is full: grow it, empty it");
    }
}
