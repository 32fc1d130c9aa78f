//! When clients rest, memory that their requests used goes back to the system. It lies in pieces
//! between what lives on, and nobody else would give it back: a thousand streams that opened at
//! once would cost for ever what opening them did.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

/// Commands come in rows: between two of them the memory of the first is the second's.
const REST: Duration = Duration::from_secs(1);
/// Clients that never rest have it given back all the same; it takes a few milliseconds at most.
const AT_LEAST: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(crate) struct Rest(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// When memory became free last. None while nothing is to be given back.
    freed: Option<Instant>,
}

impl Rest {
    /// A client has left, or needs little from now on.
    pub(crate) fn frees(self: &Arc<Self>) {
        let now = Instant::now();
        if self.inner().freed.replace(now).is_none() {
            tokio::spawn(give_back_at_rest(Arc::downgrade(self), now));
        }
    }

    // Every critical section leaves it whole.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn give_back_at_rest(rest: Weak<Rest>, begun: Instant) {
    let mut freed = begun;
    loop {
        tokio::time::sleep_until((freed + REST).min(begun + AT_LEAST)).await;
        let Some(rest) = rest.upgrade() else { return };
        let mut inner = rest.inner();
        match inner.freed {
            Some(last) if last > freed && begun.elapsed() < AT_LEAST => freed = last,
            _ => {
                inner.freed = None;
                break;
            }
        }
    }
    heap::give_back();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long after the first one it is given back, when something is freed `every` so often.
    async fn given_back_after(every: Duration) -> Duration {
        let (rest, begun) = (Arc::<Rest>::default(), Instant::now());
        rest.frees();
        let mut next = begun + every;
        while rest.inner().freed.is_some() {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if Instant::now() >= next && rest.inner().freed.is_some() {
                rest.frees();
                next += every;
            }
        }
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn it_waits_for_a_rest_but_not_for_ever() {
        let (soon, row, never) =
            (Duration::from_secs(3600), Duration::from_secs(2), Duration::from_millis(300));
        assert!((REST..REST * 2).contains(&given_back_after(soon).await));
        assert!((REST..REST * 2).contains(&given_back_after(row).await));
        assert!((AT_LEAST..AT_LEAST + REST).contains(&given_back_after(never).await));
    }
}
