//! A thread of its own for a system whose signals come to whoever runs a loop of that system's: it
//! lives as long as somebody listens.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tokio::sync::oneshot;

use crate::SensorError;

/// Whether the listener has gone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Over(Arc<AtomicBool>);

impl Over {
    /// For a loop that looks at it now and then.
    pub(crate) fn is_over(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Ends the thread with the future that waits for it.
struct End(Over);

impl Drop for End {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Release);
    }
}

/// Runs `follow` on a thread until it returns; it has to return soon after it is over.
pub(crate) async fn on_a_thread(
    name: &str,
    follow: impl FnOnce(Over) -> SensorError + Send + 'static,
) -> SensorError {
    let over = Over::default();
    let end = End(over.clone());
    let (told, ended) = oneshot::channel();
    let begun: io::Result<_> = thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Whoever listened may have gone.
        let _ = told.send(follow(over));
    });
    let outcome = match begun {
        Ok(_) => ended.await.unwrap_or(SensorError::Ended),
        Err(_) => SensorError::Ended,
    };
    drop(end);
    outcome
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_thread_ends_with_whoever_listens() {
        let (told, ended) = oneshot::channel();
        let listening = tokio::spawn(on_a_thread("test", move |over| {
            while !over.is_over() {
                thread::yield_now();
            }
            let _ = told.send(());
            SensorError::Ended
        }));
        tokio::task::yield_now().await;
        listening.abort();
        // Aborted before it was polled, the thread never began, and its end of the channel is gone
        // as well.
        let _ = tokio::time::timeout(Duration::from_secs(20), ended).await.expect(
            "the thread \
            ends",
        );
    }

    #[tokio::test]
    async fn what_the_thread_met_is_told() {
        let met = on_a_thread("test", |_| SensorError::NotThere { service: "a test" }).await;
        assert_eq!(met.to_string(), "a test is not there");
    }
}
