//! A thread for a system that delivers events only to its own event loop. The thread lives while
//! the sensor listens.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tokio::sync::oneshot;

use super::event::SensorError;

/// Whether the listener has gone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// The loop polls this.
    pub(crate) fn is_requested(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Stops the thread when the future that waits for it is dropped.
struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Release);
    }
}

/// Runs `follow` on a thread until it returns. It has to return soon after a stop is requested.
pub(crate) async fn run_on_thread(
    name: &str,
    follow: impl FnOnce(Stop) -> SensorError + Send + 'static,
) -> SensorError {
    let stop = Stop::default();
    let stop_on_drop = StopOnDrop(stop.clone());
    let (sender, ended) = oneshot::channel();
    let begun: io::Result<_> = thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Fails if the listener has gone.
        let _ = sender.send(follow(stop));
    });
    let outcome = match begun {
        Ok(_) => ended.await.unwrap_or(SensorError::Ended),
        Err(_) => SensorError::Ended,
    };
    drop(stop_on_drop);
    outcome
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_thread_ends_with_its_listener() {
        let (sender, ended) = oneshot::channel();
        let listening = tokio::spawn(run_on_thread("test", move |stop| {
            while !stop.is_requested() {
                thread::yield_now();
            }
            let _ = sender.send(());
            SensorError::Ended
        }));
        tokio::task::yield_now().await;
        listening.abort();
        // If it was aborted before it was polled, the thread never began, and its end of the
        // channel is gone as well.
        let ended = tokio::time::timeout(Duration::from_secs(20), ended).await;
        let _ = ended.expect("the thread ends");
    }

    #[tokio::test]
    async fn the_error_of_the_thread_is_returned() {
        let error =
            run_on_thread("test", |_| SensorError::NotAvailable { service: "a test" }).await;
        assert_eq!(error.to_string(), "a test is not available");
    }
}
