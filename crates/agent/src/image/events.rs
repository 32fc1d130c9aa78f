//! Events of the writer, one JSON line each. When no reader is left the writing ends: its client is
//! gone.

use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_proto::image::{WriteEvent, WriteFailure, WritePhase};
use tokio::time::Instant;

use super::failure::Failure;

/// Between two progress events: frequent enough for a user, rare enough for a line that also
/// carries the image.
const INTERVAL: Duration = Duration::from_millis(250);

/// Prints events.
#[derive(Clone)]
pub struct Events {
    last: Arc<Mutex<Instant>>,
}

impl Events {
    pub fn new() -> Self {
        Self { last: Arc::new(Mutex::new(Instant::now())) }
    }

    pub fn send(&self, event: &WriteEvent) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        let mut output = io::stdout().lock();
        output.write_all(&line)?;
        output.flush()
    }

    pub fn phase(&self, phase: WritePhase) -> Result<(), Failure> {
        self.send(&WriteEvent::Phase(phase)).map_err(unheard)
    }

    /// Sends progress, unless it was sent a moment ago.
    pub fn progress(&self, done: u64, total: Option<u64>) -> io::Result<()> {
        {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.elapsed() < INTERVAL {
                return Ok(());
            }
            *last = Instant::now();
        }
        self.send(&WriteEvent::Progress { done, total })
    }
}

/// The failure of an event. It cannot be reported either, but it ends the writing.
pub fn unheard(error: io::Error) -> Failure {
    Failure::new(WriteFailure::Order, format!("no reader is left: {error}"))
}
