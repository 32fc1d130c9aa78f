//! The registry of warnings: each stable code with its severity, what causes it, and what the user
//! can do. A code keeps its meaning forever; new ones are added. `docs/warnings.md` is generated
//! from it.

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
    SettingsRefused = "settings_refused", Medium, 0, [],
        "Changed settings are refused",
        "A value in the settings file is invalid, or the file cannot be read or is gone. The \
            daemon keeps the settings that it had.",
        "Correct the file: `dockbridge config validate` names the line.";
    RestartNeeded = "restart_needed", Low, 0, [],
        "The daemon uses old values of some settings",
        "They were changed while the daemon runs, and it uses them from its next start on.",
        "Restart the daemon: the machine runs on meanwhile.";
    PriceUnknown = "price_unknown", Medium, 60, [],
        "The price of the machine is not known",
        "The cloud's price list could not be read for a minute. Costs and budget count without it.",
        "Read the price in the cloud's console.";
    PortsUnavailable = "ports_unavailable", Medium, 0, [],
        "Published ports do not answer on this computer",
        "Another program uses their numbers here.",
        "End the other program, or publish other numbers.";
    Uncoded = "uncoded", Low, 0, [],
        "A warning without a code",
        "A daemon of an older version gave none.",
        "Read the message.";
}

#[cfg(test)]
mod tests {
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
}
