//! The user's settings, and what is known of the machine besides its activity: two of the inputs of
//! a decision.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Containers, Moment};

/// The user's settings, sections `activity` and `lock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// A machine ends this long after the last command.
    pub idle_timeout: Duration,
    /// Open but silent connections and running containers keep it this long after the last
    /// activity.
    pub connection_timeout: Duration,
    /// Time between the decision and its execution; any activity cancels it.
    pub grace_period: Duration,
    /// Whether running containers keep it.
    pub containers: Containers,
    /// An idle machine stays until shortly before the end of the hour that is already paid.
    pub keep_paid_hour: bool,
    /// No machine gets older, even at work.
    pub max_lifetime: Option<Duration>,
    /// The effect of a locked screen.
    pub lock: Lock,
}

impl Policy {
    /// A timeout that ends no machine.
    pub const UNLIMITED: Duration = Duration::MAX;
}

/// The effect of a locked screen, or of a computer that suspends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    /// The effect.
    pub action: LockAction,
    /// Time from the lock to the effect; unlocking cancels it.
    pub grace: Duration,
}

/// The effect of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LockAction {
    /// The machine ends after the grace period, unless work goes on or it is pinned.
    Shutdown,
    /// After the grace period, silent connections, containers and the paid hour keep it no longer
    /// than a command does.
    Shorten,
    /// None.
    Ignore,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(5 * 60),
            connection_timeout: Duration::from_secs(30 * 60),
            grace_period: Duration::from_secs(30),
            containers: Containers::default(),
            keep_paid_hour: true,
            max_lifetime: None,
            lock: Lock { action: LockAction::Shutdown, grace: Duration::from_secs(5 * 60) },
        }
    }
}

/// How a provider bills time, as data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Billing {
    /// Time is billed in started units, counted from the machine's creation.
    pub unit: Duration,
    /// How long a release takes; it begins early enough to end before the next unit begins.
    pub release_takes: Duration,
}

impl Billing {
    /// Units that have started at this age.
    pub fn begun(&self, age: Duration) -> u64 {
        u64::try_from(age.as_nanos() / self.unit.as_nanos().max(1))
            .unwrap_or(u64::MAX)
            .saturating_add(1)
    }

    /// The age at which the unit that is paid at this age ends.
    pub fn paid_until(&self, age: Duration) -> Duration {
        self.unit.saturating_mul(u32::try_from(self.begun(age)).unwrap_or(u32::MAX))
    }
}

/// Money for a month, in millionths of the currency, net.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// What may be spent.
    pub limit: u64,
    /// What is spent, with the unit that has started.
    pub spent: u64,
    /// What the next unit would cost.
    pub next_unit: u64,
}

impl Budget {
    /// From here on the user is warned.
    const WARNING_PERCENT: u64 = 80;

    /// Whether another unit of time may begin.
    pub fn allows_another(&self) -> bool {
        self.spent.saturating_add(self.next_unit) <= self.limit
    }

    /// How much of it is spent, in percent, if that is worth a warning.
    pub fn warning(&self) -> Option<u64> {
        let percent = self.spent.saturating_mul(100).checked_div(self.limit).unwrap_or(100);
        (percent >= Self::WARNING_PERCENT).then_some(percent)
    }
}

/// What is known of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenure {
    /// When this daemon first connected to it; earlier activity belongs to an earlier machine.
    pub since: Moment,
    /// How old it was then.
    pub age: Duration,
    /// How it is billed; `None` for a host that costs nothing by the hour.
    pub billing: Option<Billing>,
    /// The user's budget, if there is one.
    pub budget: Option<Budget>,
}

impl Tenure {
    /// A machine that was just created and costs nothing.
    pub fn free(since: Moment) -> Self {
        Self { since, age: Duration::ZERO, billing: None, budget: None }
    }

    /// How old it is at a moment.
    pub fn age_at(&self, moment: Moment) -> Duration {
        self.age.saturating_add(moment.since(self.since))
    }

    /// The moment at which it reaches this age, or `since` if that has passed.
    pub fn when_aged(&self, age: Duration) -> Moment {
        self.since.plus(age.saturating_sub(self.age))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Billing =
        Billing { unit: Duration::from_secs(3_600), release_takes: Duration::from_secs(60) };

    #[test]
    fn unit_is_paid_once_it_has_started() {
        let at = |seconds| {
            (
                HOUR.begun(Duration::from_secs(seconds)),
                HOUR.paid_until(Duration::from_secs(seconds)).as_secs(),
            )
        };
        assert_eq!(
            [at(0), at(3_599), at(3_600), at(9_000)],
            [(1, 3_600), (1, 3_600), (2, 7_200), (3, 10_800)]
        );
    }

    #[test]
    fn budget_warns_before_it_is_spent_and_is_never_exceeded() {
        let spent = |spent| Budget { limit: 1_000, spent, next_unit: 100 };
        assert_eq!(
            [spent(799).warning(), spent(800).warning(), spent(1_200).warning()],
            [None, Some(80), Some(120)]
        );
        assert_eq!([spent(900).allows_another(), spent(901).allows_another()], [true, false]);
        assert!(!Budget { limit: 0, spent: 0, next_unit: 1 }.allows_another());
    }
}
