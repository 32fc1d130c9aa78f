//! Pauses between looks at something that passes by itself. Each is twice the last: what passes
//! soon is seen soon, and what takes long costs few requests of the 3,600 an hour that all users of
//! a cloud project share.

use std::time::Duration;

use tokio::time::sleep;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(5);

/// The pauses of one wait.
#[derive(Debug)]
pub(super) struct Looks {
    next: Duration,
}

impl Looks {
    pub(super) fn new() -> Self {
        Self { next: FIRST }
    }

    /// Waits until the next look is due.
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
    async fn a_minute_costs_few_looks_and_the_first_comes_soon() {
        let (begun, mut looks) = (Instant::now(), Looks::new());
        looks.pause().await;
        assert_eq!(begun.elapsed(), FIRST);
        let mut made = 1;
        while begun.elapsed() < Duration::from_secs(60) {
            looks.pause().await;
            made += 1;
        }
        assert!(made <= 16, "{made}");
    }
}
