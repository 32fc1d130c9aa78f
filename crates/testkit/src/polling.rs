//! Polling with a ceiling.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Time between two checks.
const BETWEEN: Duration = Duration::from_millis(100);

/// Polls until the condition holds. Panics with the last state at the ceiling.
pub async fn eventually(
    what: &str,
    ceiling: Duration,
    mut holds: impl AsyncFnMut() -> bool,
    state: impl AsyncFn() -> String,
) {
    let begun = Instant::now();
    while !holds().await {
        assert!(
            begun.elapsed() < ceiling,
            "not within {} s: {what}; {}",
            ceiling.as_secs(),
            state().await
        );
        sleep(BETWEEN).await;
    }
}
