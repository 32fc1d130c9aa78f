//! What the writer tells, one line of JSON each. When nobody listens any more the writing ends:
//! whoever ordered it is gone.

use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_proto::image::{WriteEvent, WriteFailure, WritePhase};
use tokio::time::Instant;

use super::Failure;

/// Between two reports of progress: often enough for a person, seldom enough for a line that
/// carries the image as well.
const BETWEEN: Duration = Duration::from_millis(250);

/// Where events go.
#[derive(Clone)]
pub struct Events {
    last: Arc<Mutex<Instant>>,
}

impl Events {
    pub fn new() -> Self {
        Self { last: Arc::new(Mutex::new(Instant::now())) }
    }

    /// Tells one.
    pub fn tell(&self, event: &WriteEvent) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        let mut output = io::stdout().lock();
        output.write_all(&line)?;
        output.flush()
    }

    pub fn phase(&self, phase: WritePhase) -> Result<(), Failure> {
        self.tell(&WriteEvent::Phase(phase)).map_err(unheard)
    }

    /// Tells progress, unless it was told a moment ago.
    pub fn progress(&self, done: u64, total: Option<u64>) -> io::Result<()> {
        {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.elapsed() < BETWEEN {
                return Ok(());
            }
            *last = Instant::now();
        }
        self.tell(&WriteEvent::Progress { done, total })
    }
}

/// Nobody hears this either; it ends the work.
pub fn unheard(error: io::Error) -> Failure {
    Failure::new(WriteFailure::Order, format!("nobody listens: {error}"))
}
