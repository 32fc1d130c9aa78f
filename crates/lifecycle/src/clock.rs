//! A clock that goes on while the computer sleeps, and one that tests turn by hand.
//!
//! `std::time::Instant` stands still during suspend on Linux and runs on elsewhere: an idle machine
//! would outlive a closed lid by a day.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A point in time: how long ago the computer booted, sleep included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(Duration);

impl Moment {
    /// From the time since boot.
    pub const fn since_boot(duration: Duration) -> Self {
        Self(duration)
    }

    /// How long before `self` the `earlier` moment was; zero if it was not.
    pub fn since(self, earlier: Moment) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// This moment plus a duration, never past the end of time.
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// This moment less a duration, never before the boot.
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration))
    }
}

/// Where "now" comes from.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The present moment.
    fn now(&self) -> Moment;
    /// The time for which the computer has been awake since it booted. What other programs do every
    /// second has this rhythm, sleep or not.
    fn awake(&self) -> Duration;
}

/// The computer's clock, suspend counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct SuspendClock;

impl Clock for SuspendClock {
    fn now(&self) -> Moment {
        Moment(platform::clock::since_boot())
    }

    fn awake(&self) -> Duration {
        // Elsewhere than on Linux this may count sleep: rhythms then look broken once after each.
        platform::clock::awake()
    }
}

/// A clock that moves only when it is told to.
#[derive(Debug, Default)]
pub struct FakeClock {
    passed: AtomicU64,
    slept: AtomicU64,
}

impl FakeClock {
    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        self.passed.fetch_add(nanoseconds(by), Ordering::Relaxed);
    }

    /// The computer sleeps: the clock goes on, and nothing of this computer happened meanwhile.
    pub fn suspend(&self, length: Duration) {
        self.slept.fetch_add(nanoseconds(length), Ordering::Relaxed);
        self.advance(length);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Moment {
        Moment(Duration::from_nanos(self.passed.load(Ordering::Relaxed)))
    }

    fn awake(&self) -> Duration {
        Duration::from_nanos(
            self.passed.load(Ordering::Relaxed).saturating_sub(self.slept.load(Ordering::Relaxed)),
        )
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
