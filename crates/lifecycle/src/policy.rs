//! What the person wants, and what is known of the machine beside its activity: the two other
//! inputs of a decision.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Moment;

/// The person's settings, sections `activity` and `lock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// A machine goes this long after the last command.
    pub idle_timeout: Duration,
    /// Open but silent connections and running containers keep it this long after the last sign of
    /// life.
    pub connection_timeout: Duration,
    /// Between the verdict and the deed; any activity cancels it.
    pub grace_period: Duration,
    /// What running containers mean.
    pub containers: Containers,
    /// An idle machine stays until shortly before the hour that is paid already is over.
    pub keep_paid_hour: bool,
    /// No machine gets older, whatever it does.
    pub max_lifetime: Option<Duration>,
    /// What a locked screen means.
    pub lock: Lock,
}

impl Policy {
    /// A timeout that ends no machine.
    pub const UNLIMITED: Duration = Duration::MAX;
}

/// What running containers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Containers {
    /// The same as a silent connection: they keep the machine for `connection_timeout` after the
    /// last sign of life.
    #[default]
    Timeout,
    /// They keep it for as long as they run.
    Keep,
    /// Nothing, but for those with a label of their own.
    Ignore,
}

/// What a locked screen, or a computer that falls asleep, means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    /// What is done.
    pub action: LockAction,
    /// How long after the lock; unlocking cancels it.
    pub grace: Duration,
}

/// What is done about a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockAction {
    /// The machine goes after the grace, unless work goes on or it is pinned.
    Shutdown,
    /// Once the grace is over, silent connections, containers and the paid hour keep it no longer
    /// than a command does.
    Shorten,
    /// Nothing.
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
    /// Time is billed in such units, each one whole once it has begun, counted from the machine's
    /// creation.
    pub unit: Duration,
    /// What the way down takes, so that it is over before the next unit begins.
    pub release_takes: Duration,
}

impl Billing {
    /// Units that have begun at this age.
    pub fn begun(&self, age: Duration) -> u64 {
        u64::try_from(age.as_nanos() / self.unit.as_nanos().max(1))
            .unwrap_or(u64::MAX)
            .saturating_add(1)
    }

    /// How old the machine is when the unit that is paid at this age is over.
    pub fn paid_until(&self, age: Duration) -> Duration {
        self.unit.saturating_mul(u32::try_from(self.begun(age)).unwrap_or(u32::MAX))
    }
}

/// Money for a month, in millionths of the currency, net.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// What may be spent.
    pub limit: u64,
    /// What has been, the unit under way included.
    pub spent: u64,
    /// What the next unit would cost.
    pub next_unit: u64,
}

impl Budget {
    /// From here on a person is warned.
    const WARNING_PERCENT: u64 = 80;

    /// Whether another unit of time may begin.
    pub fn allows_another(&self) -> bool {
        self.spent.saturating_add(self.next_unit) <= self.limit
    }

    /// How much of it is spent, in percent, where that is worth a warning.
    pub fn warning(&self) -> Option<u64> {
        let percent = self.spent.saturating_mul(100).checked_div(self.limit).unwrap_or(100);
        (percent >= Self::WARNING_PERCENT).then_some(percent)
    }
}

/// What is known of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenure {
    /// When we got to know it; what happened before belongs to an earlier one.
    pub since: Moment,
    /// How old it was then.
    pub age: Duration,
    /// How it is billed; `None` for a host that costs nothing by the hour.
    pub billing: Option<Billing>,
    /// The person's budget, where there is one.
    pub budget: Option<Budget>,
}

impl Tenure {
    /// One that has just been made and costs nothing.
    pub fn free(since: Moment) -> Self {
        Self { since, age: Duration::ZERO, billing: None, budget: None }
    }

    /// How old it is at a moment.
    pub fn age_at(&self, moment: Moment) -> Duration {
        self.age.saturating_add(moment.since(self.since))
    }

    /// The moment at which it has this age; its first moment with us, if that has passed.
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
    fn a_unit_is_paid_once_it_has_begun() {
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
    fn a_budget_warns_before_it_ends_and_never_allows_what_would_exceed_it() {
        let spent = |spent| Budget { limit: 1_000, spent, next_unit: 100 };
        assert_eq!(
            [spent(799).warning(), spent(800).warning(), spent(1_200).warning()],
            [None, Some(80), Some(120)]
        );
        assert_eq!([spent(900).allows_another(), spent(901).allows_another()], [true, false]);
        assert!(!Budget { limit: 0, spent: 0, next_unit: 1 }.allows_another());
    }
}
