//! A clock that counts suspend, and one that tests set.
//!
//! `std::time::Instant` stops during suspend on Linux and goes on elsewhere: an idle machine would
//! outlive a closed lid by a day.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A point in time: the time since the computer booted, suspend included.
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

    /// This moment minus a duration, never before the boot.
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration))
    }
}

/// The source of "now".
pub trait Clock: fmt::Debug + Send + Sync {
    /// The present moment.
    fn now(&self) -> Moment;
    /// How long the computer has been awake since it booted. What other programs do every second
    /// has this rhythm, also over a suspend.
    fn awake(&self) -> Duration;
}

/// The computer's clock, suspend included.
#[derive(Debug, Clone, Copy, Default)]
pub struct SuspendClock;

impl Clock for SuspendClock {
    fn now(&self) -> Moment {
        Moment(platform::clock::since_boot())
    }

    fn awake(&self) -> Duration {
        // On other systems than Linux this may count suspend: each then breaks a rhythm once.
        platform::clock::awake()
    }
}

/// A clock that moves only when a test moves it.
#[derive(Debug, Default)]
pub struct FakeClock {
    passed: AtomicU64,
    slept: AtomicU64,
}

impl FakeClock {
    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.passed.fetch_add(nanoseconds(by), Ordering::Relaxed);
    }

    /// Suspends the computer: the clock goes on, the time awake does not.
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
