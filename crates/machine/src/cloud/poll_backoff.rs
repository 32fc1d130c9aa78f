//! Pauses between polls of something that the cloud does. Each pause is twice the last: a short
//! action is seen to end soon, and a long one costs few of the 3,600 requests an hour that all
//! users of a cloud project share.

use std::time::Duration;

use tokio::time::sleep;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(5);

/// The pauses of one wait.
#[derive(Debug)]
pub(super) struct PollBackoff {
    next: Duration,
}

impl PollBackoff {
    pub(super) fn new() -> Self {
        Self { next: FIRST }
    }

    /// Waits until the next poll is due.
    pub(super) async fn pause(&mut self) {
        sleep(self.next).await;
        self.next = (self.next * 2).min(LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn first_poll_comes_soon_and_a_minute_costs_few() {
        let (begun, mut backoff) = (Instant::now(), PollBackoff::new());
        backoff.pause().await;
        assert_eq!(begun.elapsed(), FIRST);
        let mut made = 1;
        while begun.elapsed() < Duration::from_secs(60) {
            backoff.pause().await;
            made += 1;
        }
        assert!(made <= 16, "{made}");
    }
}
