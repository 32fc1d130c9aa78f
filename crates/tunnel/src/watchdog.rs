//! Detects a lost path that no error reports. It runs outside the SSH session's task, which may
//! itself be stuck.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;

use crate::closed::{Closed, PathEnded};
use crate::wire::WireState;

/// Between two pings.
const PERIOD: Duration = Duration::from_secs(2);
/// A path is lost when a ping is unanswered and no byte has arrived for this long. Bytes count
/// because a ping waits behind an upload that fills the uplink, while window updates still arrive.
const SILENCE: Duration = Duration::from_secs(6);
/// A ping that is unanswered for this long is enough, whatever else arrives: the other end hangs.
const UNANSWERED: Duration = Duration::from_secs(30);
/// A timer that is later than this was not delayed by load: this process slept or was stopped. The
/// answer may have arrived long ago, with no task awake to read it, and a network takes seconds to
/// wake up, too.
const OVERSLEPT: Duration = Duration::from_secs(1);
/// Below this round trip a path is short: 2 MiB per 3 ms are 700 MB/s, more than a gigabit.
const NEAR: Duration = Duration::from_millis(3);

/// Why a ping failed.
#[derive(Debug, Error)]
pub(crate) enum PingError {
    /// The SSH session ended.
    #[error(transparent)]
    Session(russh::Error),
    /// The path, or its owner, has ended.
    #[error(transparent)]
    Ended(PathEnded),
}

/// Round trips, in microseconds; 0 before the first.
#[derive(Debug, Default)]
pub(crate) struct RoundTrip {
    last: AtomicU64,
    least: AtomicU64,
}

impl RoundTrip {
    /// The last round trip.
    pub(crate) fn last(&self) -> Option<Duration> {
        read(&self.last)
    }

    /// The shortest: the length of the path without queues.
    pub(crate) fn least(&self) -> Option<Duration> {
        read(&self.least)
    }

    /// Whether one channel alone fills the path: sshd's window of 2 MiB holds more than is in
    /// flight.
    pub(crate) fn is_near(&self) -> bool {
        self.least().is_some_and(|least| least < NEAR)
    }

    /// Records a measured round trip.
    pub(crate) fn record(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).max(1);
        self.last.store(micros, Ordering::Relaxed);
        if self.least().is_none_or(|least| duration < least) {
            self.least.store(micros, Ordering::Relaxed);
        }
    }
}

fn read(micros: &AtomicU64) -> Option<Duration> {
    Some(micros.load(Ordering::Relaxed)).filter(|&micros| micros > 0).map(Duration::from_micros)
}

/// Pings until `closed` is set, and sets it when the path is lost.
pub(crate) async fn watch<F>(
    closed: Closed,
    wires: Vec<Arc<WireState>>,
    last: Arc<RoundTrip>,
    mut ping: impl FnMut() -> F + Send,
) where
    F: Future<Output = Result<(), PingError>> + Send,
{
    loop {
        let asked = Instant::now();
        tokio::select! {
            _ = closed.wait() => return,
            answer = ping() => match answer {
                Ok(()) => last.record(asked.elapsed()),
                Err(error) => return closed.set(error.to_string()),
            },
            silence = silence(&wires, asked) => {
                return closed.set(format!("no answer for {} s", silence.as_secs()));
            }
        }
        tokio::select! {
            _ = closed.wait() => return,
            () = tokio::time::sleep_until(asked + PERIOD) => {}
        }
    }
}

async fn silence(wires: &[Arc<WireState>], asked: Instant) -> Duration {
    let mut awake = asked;
    loop {
        let received = wires.iter().map(|wire| wire.last_received()).fold(awake, Instant::max);
        let limit = (received + SILENCE).min(awake + UNANSWERED);
        let late = Instant::now().saturating_duration_since(limit);
        if late > OVERSLEPT {
            awake = Instant::now();
        } else if Instant::now() >= limit {
            return asked.elapsed();
        } else {
            tokio::time::sleep_until(limit).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn watched(answers: impl Fn(u32) -> bool + Send + Sync) -> Duration {
        let (closed, wire, last) =
            (Closed::new(), vec![WireState::new()], Arc::new(RoundTrip::default()));
        let started = Instant::now();
        let mut pings = 0;
        watch(closed.clone(), wire, last, || {
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
        assert!(closed.is_set());
        started.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_path_is_lost_after_six_seconds_of_silence() {
        assert_eq!(watched(|_| false).await.as_secs(), 6);
        assert_eq!(watched(|ping| ping < 5).await.as_secs(), 8 + 6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_ping_ends_the_path_at_once() {
        let closed = Closed::new();
        watch(closed.clone(), vec![WireState::new()], Arc::default(), || async {
            Err(PingError::Ended(PathEnded("gone".to_owned())))
        })
        .await;
        assert_eq!(closed.reason().as_deref(), Some("gone"));
    }

    /// The clock jumps by a hundred seconds while the second ping is in flight, so that every timer
    /// is late. Returns when the path was given up after that.
    async fn lost_after_a_sleep(answer: Option<Duration>) -> Option<Duration> {
        let (closed, woken) = (Closed::new(), std::sync::Mutex::new(Instant::now()));
        let mut pings = 0;
        let watching = watch(closed.clone(), vec![WireState::new()], Arc::default(), || {
            pings += 1;
            let (second, woken) = (pings == 2, &woken);
            async move {
                if second {
                    tokio::time::advance(Duration::from_secs(100)).await;
                    *woken.lock().unwrap() = Instant::now();
                    match answer {
                        Some(after) => tokio::time::sleep(after).await,
                        None => std::future::pending().await,
                    }
                }
                Ok(())
            }
        });
        let _ = tokio::time::timeout(Duration::from_secs(130), watching).await;
        assert_eq!(pings > 2, answer.is_some());
        let woken = *woken.lock().unwrap();
        closed.is_set().then(|| woken.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_arrived_during_sleep_is_read() {
        assert_eq!(lost_after_a_sleep(Some(Duration::from_secs(5))).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_path_lost_during_sleep_is_detected_in_the_usual_time() {
        assert_eq!(lost_after_a_sleep(None).await.map(|took| took.as_secs()), Some(6));
    }
}
