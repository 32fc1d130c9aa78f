//! The log of a test, as text.

use std::io;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Level};

use crate::polling::eventually;

/// What the calling thread logs. A test that captures it runs its tasks on one thread.
pub struct CapturedLog {
    bytes: Bytes,
    _capturing: DefaultGuard,
}

/// A dispatcher that nothing uses. As long as there is only one dispatcher, tracing decides once
/// for all threads what is logged, by the thread that comes first, which may capture nothing.
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));

#[derive(Clone, Default)]
struct Bytes(Arc<Mutex<Vec<u8>>>);

impl io::Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl CapturedLog {
    /// Captures until it is dropped, at the level of a program without settings.
    pub fn begin() -> Self {
        Self::at(Level::INFO)
    }

    /// Captures lines of this level and above.
    pub fn at(level: Level) -> Self {
        LazyLock::force(&SECOND);
        let bytes = Bytes::default();
        let writer = bytes.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        Self { bytes, _capturing: tracing::subscriber::set_default(subscriber) }
    }

    /// All lines so far.
    pub fn text(&self) -> String {
        String::from_utf8(self.bytes.0.lock().unwrap().clone()).unwrap()
    }

    /// Whether a line has all these words.
    pub fn has(&self, words: &[&str]) -> bool {
        self.text().lines().any(|line| words.iter().all(|word| line.contains(word)))
    }

    /// Waits until a line has all these words.
    pub async fn until(&self, what: &str, ceiling: Duration, words: &[&str]) {
        eventually(what, ceiling, async || self.has(words), async || self.text()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step() {
        let _step = tracing::info_span!("step").entered();
        tracing::info!("seen");
    }

    #[test]
    fn what_a_thread_without_a_log_reaches_first_is_captured() {
        let log = CapturedLog::begin();
        std::thread::spawn(step).join().unwrap();
        assert_eq!(log.text(), "");
        step();
        assert!(log.has(&["step", "seen"]), "{}", log.text());
    }
}
