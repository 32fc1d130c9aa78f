//! The registry of warnings: each stable code with its severity, what causes it, and what the user
//! can do. A code keeps its meaning forever; new ones are added. `docs/warnings.md` is generated
//! from it.
//!
//! A warning is a condition that holds for some time. Whoever observes it sets and clears it; this
//! file knows neither clocks nor who observes.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::condition::Condition;

words! {
    /// How much a warning matters.
    pub enum Severity {
        /// It works, but probably not as intended.
        Low = "low",
        /// Something will fail, or costs more than it has to, if nobody acts.
        Medium = "medium",
        /// Something fails now, or money may be lost.
        High = "high",
    }
}

/// What the registry says about a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WarningEntry {
    /// How much it matters.
    pub severity: Severity,
    /// Seconds for which it has to hold before it is shown: it may clear by itself.
    pub delay_seconds: u64,
    /// Warnings that cause this one: while one of them is shown, this one is not.
    pub depends_on: &'static [WarningCode],
    /// What holds, without the names of the case.
    pub title: &'static str,
    /// Why it happens.
    pub cause: &'static str,
    /// What the user can do.
    pub cure: &'static str,
}

/// Declares the codes: `Variant = "code", Severity, delay, [depends on], title, cause, cure;`.
macro_rules! warnings {
    ($($variant:ident = $word:literal, $severity:ident, $delay:literal, [$($other:ident),*],
        $title:literal, $cause:literal, $cure:literal;)+) => {
        words! {
            /// A stable code of a warning.
            pub enum WarningCode {
                $(#[doc = $title] $variant = $word,)+
            }
        }

        impl WarningCode {
            /// What the registry says about it.
            pub const fn entry(self) -> WarningEntry {
                match self {
                    $(Self::$variant => WarningEntry {
                        severity: Severity::$severity,
                        delay_seconds: $delay,
                        depends_on: &[$(WarningCode::$other),*],
                        title: $title,
                        cause: $cause,
                        cure: $cure,
                    },)+
                }
            }
        }
    };
}

warnings! {
    AgentNotRunning = "agent_not_running", High, 0, [],
        "No agent runs on the machine",
        "The agent cannot be started there. Without it the machine cannot delete itself: when its \
            lease ends it powers off, and it is billed until dockbridge removes it.",
        "Destroy the machine when it is not needed any more.";
    VolumeFull = "volume_full", High, 0, [],
        "The volume is full",
        "Pulls, loads and builds are refused, so that the engine can still remove unused data.",
        "Remove unused data, or grow the volume.";
    ClockWrong = "clock_wrong", Medium, 0, [],
        "This computer's clock is wrong",
        "The cloud's answers have a time that differs by more than 5 minutes. Costs, months and \
            ages are counted by this computer's clock.",
        "Set the clock.";
    VolumeNearlyFull = "volume_nearly_full", Medium, 0, [VolumeFull],
        "The volume is nearly full",
        "Images, containers and volumes of the engine take 85 % of it or more.",
        "Remove unused data, or grow the volume.";
    BudgetNearlySpent = "budget_nearly_spent", Medium, 0, [],
        "The budget of the month is nearly spent",
        "80 % of it or more are spent, the hour that has begun included. No hour begins that \
            would exceed it.",
        "Raise the budget, or wait for the next month.";
    PriceUnknown = "price_unknown", Medium, 60, [],
        "The price of the machine is not known",
        "The cloud's price list could not be read for a minute. Costs and budget count without it.",
        "Read the price in the cloud's console.";
    PortsUnavailable = "ports_unavailable", Medium, 0, [],
        "Published ports do not answer on this computer",
        "Another program uses their numbers here.",
        "End the other program, or publish other numbers.";
    SettingIgnored = "setting_ignored", Medium, 0, [],
        "A setting is not valid and is ignored",
        "Commands that look, stop or delete work without it; others refuse it.",
        "Correct the setting that the message names.";
    EndpointNotUsed = "endpoint_not_used", Medium, 0, [],
        "The API address in the settings is not used",
        "The saved token was checked with another address, and is sent to that one only.",
        "Save a token for the new address.";
    SettingDoubtful = "setting_doubtful", Low, 0, [],
        "A setting works, but probably not as intended",
        "It contradicts another one, or other users can read it.",
        "Correct the setting that the message names.";
    TokenOverridden = "token_overridden", Low, 0, [],
        "The saved token is not used",
        "The environment or the settings name another one.",
        "Remove the other one, if the saved one is meant.";
    Uncoded = "uncoded", Low, 0, [],
        "A warning without a code",
        "A daemon of an older version gave none.",
        "Read the message.";
}

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
    fn warning_depends_on_severer_ones_only_so_that_none_hides_the_other() {
        for code in WarningCode::ALL {
            let entry = code.entry();
            for other in entry.depends_on {
                assert!(other.entry().severity > entry.severity, "{code} and {other}");
            }
        }
    }

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
