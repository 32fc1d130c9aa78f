//! The log of a test, as text.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::Level;
use tracing::subscriber::DefaultGuard;

use crate::polling::eventually;

/// What the calling thread logs. A test that captures it runs its tasks on one thread.
pub struct CapturedLog {
    bytes: Bytes,
    _capturing: DefaultGuard,
}

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
