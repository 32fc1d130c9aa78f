//! Gives memory that requests have used back to the system once clients are quiet. The allocator
//! would keep it, in pieces between what lives on: after a thousand streams that opened at once the
//! process would stay large forever.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

/// Commands come in rows: the next one uses the memory of the last one.
const QUIET: Duration = Duration::from_secs(1);
/// If clients are never quiet, memory is given back this often. It takes a few milliseconds at
/// most.
const AT_LEAST_EVERY: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(crate) struct Trim(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// When memory was freed last. `None` while there is none to give back.
    freed: Option<Instant>,
}

impl Trim {
    /// A client has left, or needs little from now on.
    pub(crate) fn note_freed(self: &Arc<Self>) {
        let now = Instant::now();
        if self.inner().freed.replace(now).is_none() {
            // Ends by itself after a minute at most.
            tokio::spawn(trim_when_quiet(Arc::downgrade(self), now));
        }
    }

    // Every critical section leaves it whole.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn trim_when_quiet(trim: Weak<Trim>, begun: Instant) {
    let mut freed = begun;
    loop {
        tokio::time::sleep_until((freed + QUIET).min(begun + AT_LEAST_EVERY)).await;
        let Some(trim) = trim.upgrade() else { return };
        let mut inner = trim.inner();
        match inner.freed {
            Some(last) if last > freed && begun.elapsed() < AT_LEAST_EVERY => freed = last,
            _ => {
                inner.freed = None;
                break;
            }
        }
    }
    platform::memory::trim();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long after the first note memory is given back, when there is another note `every` so
    /// often.
    async fn trimmed_after(every: Duration) -> Duration {
        let (trim, begun) = (Arc::<Trim>::default(), Instant::now());
        trim.note_freed();
        let mut next = begun + every;
        while trim.inner().freed.is_some() {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if Instant::now() >= next && trim.inner().freed.is_some() {
                trim.note_freed();
                next += every;
            }
        }
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_given_back_when_clients_are_quiet_and_at_least_every_minute() {
        let (soon, row, never) =
            (Duration::from_secs(3600), Duration::from_secs(2), Duration::from_millis(300));
        assert!((QUIET..QUIET * 2).contains(&trimmed_after(soon).await));
        assert!((QUIET..QUIET * 2).contains(&trimmed_after(row).await));
        let at_last = AT_LEAST_EVERY..AT_LEAST_EVERY + QUIET;
        assert!(at_last.contains(&trimmed_after(never).await));
    }
}
