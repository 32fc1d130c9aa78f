//! Finds out that a path is dead although nobody says so. Runs outside the SSH session's task,
//! which may itself be stuck.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::death::Death;
use crate::wire::WireState;

/// Between two pings.
const PERIOD: Duration = Duration::from_secs(2);
/// A path is dead when a ping is unanswered and not one byte has arrived for this long. Bytes count
/// because a ping waits behind an upload that fills the uplink, whose acknowledged windows still
/// come back.
const SILENCE: Duration = Duration::from_secs(6);
/// A ping that is unanswered for this long is enough, whatever else arrives: the other end of the
/// session hangs.
const UNANSWERED: Duration = Duration::from_secs(30);
/// A timer that is later than this was not late because others were served first: this process
/// slept, or was stopped. The answer may have arrived long ago, with nobody awake to read it; and a
/// network takes seconds to wake up, too.
const OVERSLEPT: Duration = Duration::from_secs(1);
/// A round trip below which a path is short: 2 MiB over 3 ms are 700 MB/s, more than a gigabit
/// takes.
const NEAR: Duration = Duration::from_millis(3);

/// Round trips, in microseconds; 0 before the first.
#[derive(Debug, Default)]
pub(crate) struct RoundTrip {
    last: AtomicU64,
    least: AtomicU64,
}

impl RoundTrip {
    /// The last one.
    pub(crate) fn last(&self) -> Option<Duration> {
        read(&self.last)
    }

    /// The shortest: the length of the path, whatever queues in it.
    pub(crate) fn least(&self) -> Option<Duration> {
        read(&self.least)
    }

    /// One window of sshd, 2 MiB, holds more than is on its way: a channel alone fills the path.
    pub(crate) fn is_near(&self) -> bool {
        self.least().is_some_and(|least| least < NEAR)
    }

    /// One was measured.
    pub(crate) fn heard(&self, duration: Duration) {
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

/// Pings until `death`, and declares it.
pub(crate) async fn watch<F>(
    death: Death,
    wires: Vec<Arc<WireState>>,
    last: Arc<RoundTrip>,
    mut ping: impl FnMut() -> F + Send,
) where
    F: Future<Output = Result<(), String>> + Send,
{
    loop {
        let asked = Instant::now();
        tokio::select! {
            _ = death.wait() => return,
            answer = ping() => match answer {
                Ok(()) => last.heard(asked.elapsed()),
                Err(reason) => return death.declare(reason),
            },
            silence = silence(&wires, asked) => {
                return death.declare(format!("no answer for {} s", silence.as_secs()));
            }
        }
        tokio::select! {
            _ = death.wait() => return,
            () = tokio::time::sleep_until(asked + PERIOD) => {}
        }
    }
}

async fn silence(wires: &[Arc<WireState>], asked: Instant) -> Duration {
    let mut awake = asked;
    loop {
        let heard = wires.iter().map(|wire| wire.last_heard()).fold(awake, Instant::max);
        let limit = (heard + SILENCE).min(awake + UNANSWERED);
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
        let (death, wire, last) =
            (Death::new(), vec![WireState::new()], Arc::new(RoundTrip::default()));
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
        watch(death.clone(), vec![WireState::new()], Arc::default(), || async {
            Err("gone".to_owned())
        })
        .await;
        assert_eq!(death.reason().as_deref(), Some("gone"));
    }

    /// The clock jumps by a hundred seconds while the second ping is on its way; every timer is
    /// late then. Returns when the path was given up after that.
    async fn given_up_after_a_sleep(answer: Option<Duration>) -> Option<Duration> {
        let (death, woken) = (Death::new(), std::sync::Mutex::new(Instant::now()));
        let mut pings = 0;
        let watching = watch(death.clone(), vec![WireState::new()], Arc::default(), || {
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
        death.is_declared().then(|| woken.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn who_slept_reads_the_answer_that_came_meanwhile() {
        assert_eq!(given_up_after_a_sleep(Some(Duration::from_secs(5))).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_path_that_died_while_we_slept_is_found_as_soon_as_any_other() {
        assert_eq!(given_up_after_a_sleep(None).await.map(|took| took.as_secs()), Some(6));
    }
}
