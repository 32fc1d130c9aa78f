//! Time for measurements: the monotonic clock and pauses of whole threads. The benchmark has no
//! runtime that a blocked thread could harm, and runs on a computer that does not go to sleep.

use std::time::{Duration, Instant};

/// Now.
#[expect(clippy::disallowed_methods, reason = "what is measured takes seconds, awake")]
pub fn now() -> Instant {
    Instant::now()
}

/// Blocks this thread.
#[expect(clippy::disallowed_methods, reason = "threads of their own, as a client's would be")]
pub fn pause(length: Duration) {
    std::thread::sleep(length);
}
