//! What a warning is about, with the data of the case: hints are chosen by it. Its text names no
//! command and no setting.

use std::fmt;

use crate::warning_code::WarningCode;

/// Something that holds for some time and that the user should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// No agent runs on a machine that bills.
    AgentNotRunning {
        /// The machine's name.
        machine: String,
        /// Why, human-readable.
        reason: String,
    },
    /// Pulls and loads are refused.
    VolumeFull {
        /// The bytes that are left.
        left: u64,
        /// As sold, in GB.
        size: u64,
        /// The size to grow to, in GB; `None` if no larger one is sold.
        larger: Option<u64>,
    },
    /// The volume fills up.
    VolumeNearlyFull {
        /// How full it is.
        percent: u64,
        /// The bytes that are left.
        left: u64,
        /// The size to grow to, in GB; `None` if no larger one is sold.
        larger: Option<u64>,
    },
    /// This computer's clock differs from the cloud's.
    ClockWrong {
        /// Seconds ahead of the cloud's clock; negative if it is behind.
        offset: i64,
    },
    /// Most of the month's budget is spent.
    BudgetNearlySpent {
        /// How much of it.
        percent: u64,
    },
    /// The price of the machine is not known, or that of its address is missing.
    PriceUnknown {
        /// The machine's name.
        machine: String,
        /// The price without the address is known.
        has_part: bool,
    },
    /// Changed settings are refused, and the old ones stay.
    SettingsRefused {
        /// Why, human-readable.
        why: String,
    },
    /// The daemon uses old values of settings until it starts again.
    RestartNeeded {
        /// Such as `section.key`.
        settings: Vec<String>,
    },
    /// Published ports do not answer on this computer.
    PortsUnavailable {
        /// Where they would answer, such as `127.0.0.1:8080`.
        ports: Vec<String>,
    },
}

impl Condition {
    /// The code of its warning.
    pub const fn code(&self) -> WarningCode {
        match self {
            Condition::AgentNotRunning { .. } => WarningCode::AgentNotRunning,
            Condition::VolumeFull { .. } => WarningCode::VolumeFull,
            Condition::VolumeNearlyFull { .. } => WarningCode::VolumeNearlyFull,
            Condition::ClockWrong { .. } => WarningCode::ClockWrong,
            Condition::BudgetNearlySpent { .. } => WarningCode::BudgetNearlySpent,
            Condition::PriceUnknown { .. } => WarningCode::PriceUnknown,
            Condition::SettingsRefused { .. } => WarningCode::SettingsRefused,
            Condition::RestartNeeded { .. } => WarningCode::RestartNeeded,
            Condition::PortsUnavailable { .. } => WarningCode::PortsUnavailable,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::AgentNotRunning { machine, reason } => write!(
                f,
                "no agent runs on {machine} ({reason}): it cannot delete itself. When its lease \
                 ends it powers off and is billed until dockbridge, on this computer or another, \
                 removes it"
            ),
            Condition::VolumeFull { left, size, .. } => {
                write!(f, "the volume is full, with {} left of {size} GB", amount(*left))
            }
            Condition::VolumeNearlyFull { percent, left, .. } => {
                write!(f, "the volume is {percent} % full, with {} left", amount(*left))
            }
            Condition::ClockWrong { offset } => {
                let direction = if *offset > 0 { "ahead of" } else { "behind" };
                write!(
                    f,
                    "this computer's clock is {} {direction} the cloud's: costs, months and times \
                     are wrong until it is set",
                    rough(offset.unsigned_abs())
                )
            }
            Condition::BudgetNearlySpent { percent } => {
                write!(f, "{percent} % of this month's budget are spent")
            }
            Condition::PriceUnknown { machine, has_part: false } => {
                write!(f, "the price of {machine} is not known: costs do not contain it")
            }
            Condition::PriceUnknown { machine, has_part: true } => write!(
                f,
                "the price of the address of {machine} is not known: costs do not contain it"
            ),
            Condition::SettingsRefused { why } => {
                write!(f, "the settings have changed and are refused, so the old ones stay: {why}")
            }
            Condition::RestartNeeded { settings } => write!(
                f,
                "the daemon uses the old value of {} until it starts again",
                settings.join(", ")
            ),
            Condition::PortsUnavailable { ports } => match ports.as_slice() {
                [port] => write!(f, "the published port {port} does not answer on this computer"),
                ports => write!(
                    f,
                    "{} published ports do not answer on this computer: {}",
                    ports.len(),
                    ports.join(", ")
                ),
            },
        }
    }
}

/// In GB and MB as volumes are sold: powers of 1024.
fn amount(bytes: u64) -> String {
    match bytes >> 20 {
        megabytes @ 0..1024 => format!("{megabytes} MB"),
        megabytes => format!("{}.{} GB", megabytes >> 10, ((megabytes & 1023) * 10) >> 10),
    }
}

/// Seconds in the largest unit of which there are two or more.
fn rough(seconds: u64) -> String {
    match seconds {
        minutes @ 0..7_200 => format!("{} min", minutes / 60),
        hours @ 0..172_800 => format!("{} h", hours / 3_600),
        days => format!("{} days", days / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offset_of_the_clock_is_in_its_largest_unit() {
        let said = |offset| Condition::ClockWrong { offset }.to_string();
        for (offset, part) in [
            (400 * 86_400, "400 days ahead of the cloud's"),
            (-5 * 3_600, "5 h behind the cloud's"),
            (301, "5 min ahead"),
        ] {
            assert!(said(offset).contains(part), "{}", said(offset));
        }
    }

    #[test]
    fn what_is_left_of_a_volume_is_in_units_as_sold() {
        let left = |left| Condition::VolumeNearlyFull { percent: 90, left, larger: None };
        assert_eq!(left(2 << 30).to_string(), "the volume is 90 % full, with 2.0 GB left");
        assert_eq!(left(102 << 20).to_string(), "the volume is 90 % full, with 102 MB left");
    }

    #[test]
    fn ports_are_listed() {
        let said = |ports: &[&str]| {
            let ports = ports.iter().map(|port| (*port).to_owned()).collect();
            Condition::PortsUnavailable { ports }.to_string()
        };
        assert_eq!(
            said(&["127.0.0.1:80"]),
            "the published port 127.0.0.1:80 does not answer on this computer"
        );
        assert_eq!(
            said(&["127.0.0.1:80", "127.0.0.1:443"]),
            "2 published ports do not answer on this computer: 127.0.0.1:80, 127.0.0.1:443"
        );
    }
}
