//! Finds out that a path is dead although nobody says so. Runs outside the SSH session's task, which may itself be stuck.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::death::Death;
use crate::wire::WireState;

/// Between two pings.
const PERIOD: Duration = Duration::from_secs(2);
/// A path is dead when a ping is unanswered and not one byte has arrived for this long. Bytes count because a ping waits behind an
/// upload that fills the uplink, whose acknowledged windows still come back.
const SILENCE: Duration = Duration::from_secs(6);
/// A ping that is unanswered for this long is enough, whatever else arrives: the other end of the session hangs.
const UNANSWERED: Duration = Duration::from_secs(30);

/// The last round trip, in microseconds; 0 before the first.
#[derive(Debug, Default)]
pub(crate) struct RoundTrip(AtomicU64);

impl RoundTrip {
    pub(crate) fn get(&self) -> Option<Duration> {
        Some(self.0.load(Ordering::Relaxed)).filter(|&micros| micros > 0).map(Duration::from_micros)
    }

    fn set(&self, duration: Duration) {
        self.0.store(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
    }
}

/// Pings until `death`, and declares it.
pub(crate) async fn watch<F>(death: Death, wire: Arc<WireState>, last: Arc<RoundTrip>, mut ping: impl FnMut() -> F + Send)
where
    F: Future<Output = Result<(), String>> + Send,
{
    loop {
        let asked = Instant::now();
        tokio::select! {
            _ = death.wait() => return,
            answer = ping() => match answer {
                Ok(()) => last.set(asked.elapsed()),
                Err(reason) => return death.declare(reason),
            },
            silence = silence(&wire, asked) => {
                return death.declare(format!("no answer for {} s", silence.as_secs()));
            }
        }
        tokio::select! {
            _ = death.wait() => return,
            () = tokio::time::sleep_until(asked + PERIOD) => {}
        }
    }
}

async fn silence(wire: &WireState, asked: Instant) -> Duration {
    loop {
        let limit = (wire.last_heard().max(asked) + SILENCE).min(asked + UNANSWERED);
        if Instant::now() >= limit {
            return asked.elapsed();
        }
        tokio::time::sleep_until(limit).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn watched(answers: impl Fn(u32) -> bool + Send + Sync) -> Duration {
        let (death, wire, last) = (Death::new(), WireState::new(), Arc::new(RoundTrip::default()));
        let started = Instant::now();
        let mut pings = 0;
        watch(death.clone(), wire, last, || {
            pings += 1;
            let answered = answers(pings);
            async move {
                match answered {
                    true => Ok(()),
                    false => std::future::pending().await,
                }
            }
        })
        .await;
        assert!(death.is_declared());
        started.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn six_seconds_of_silence_are_the_end() {
        assert_eq!(watched(|_| false).await.as_secs(), 6);
        assert_eq!(watched(|ping| ping < 5).await.as_secs(), 8 + 6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_ping_is_the_end_at_once() {
        let death = Death::new();
        watch(death.clone(), WireState::new(), Arc::default(), || async { Err("gone".to_owned()) }).await;
        assert_eq!(death.reason().as_deref(), Some("gone"));
    }
}
