//! Prints the progress of a build: lines for users, of which a terminal shows the current one in
//! place, or JSON lines for programs.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};

use image::{Event, Phase};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::output::{complain, say};

/// Seconds between two progress lines where they do not replace each other.
const BETWEEN_LINES: u64 = 10;

/// Prints the events of builds.
pub struct Progress {
    json: bool,
    /// Several builds run at once: each line names its architecture, and no line replaces another.
    several: bool,
    shown: Mutex<Shown>,
}

struct Shown {
    /// The terminal's current line will be replaced by the next one.
    open: bool,
    last: Instant,
}

impl Progress {
    pub fn new(json: bool, several: bool) -> Self {
        Self { json, several, shown: Mutex::new(Shown { open: false, last: Instant::now() }) }
    }

    /// Prints one build's event.
    pub fn show(&self, architecture: &str, event: &Event) {
        if self.json {
            return self.line(architecture, event);
        }
        let prefix = if self.several { format!("[{architecture}] ") } else { String::new() };
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Phase { phase, detail } => {
                shown.last = Instant::now();
                let detail =
                    detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
                self.whole(&mut shown, &format!("  {prefix}{}{detail}", phase.words()));
            }
            Event::Note { message } => {
                self.whole(&mut shown, &format!("  {prefix}note: {message}"))
            }
            Event::Progress { phase, bytes, total, bytes_per_second, seconds_left } => {
                let text = format!(
                    "  {prefix}{}",
                    figures(*phase, *bytes, *total, *bytes_per_second, *seconds_left)
                );
                if !self.several && std::io::stderr().is_terminal() {
                    let _ = write!(std::io::stderr(), "\r{text}\x1b[K");
                    shown.open = true;
                } else if shown.last.elapsed().as_secs() >= BETWEEN_LINES {
                    shown.last = Instant::now();
                    complain(&text);
                }
            }
        }
    }

    /// Prints an event, or a build's result, as JSON.
    pub fn line(&self, architecture: &str, event: &impl Serialize) {
        let mut object = Map::from_iter([("architecture".to_owned(), Value::from(architecture))]);
        if let Ok(Value::Object(fields)) = serde_json::to_value(event) {
            object.extend(fields);
        }
        say(&Value::Object(object).to_string());
    }

    fn whole(&self, shown: &mut Shown, text: &str) {
        if std::mem::take(&mut shown.open) {
            let _ = writeln!(std::io::stderr());
        }
        complain(text);
    }
}

fn figures(phase: Phase, bytes: u64, total: Option<u64>, speed: u64, left: Option<u64>) -> String {
    let of = total.map(|total| format!(" of {}", size(total))).unwrap_or_default();
    let left = left.map(|seconds| format!(", {seconds} s left")).unwrap_or_default();
    format!("{}: {}{of}, {}/s{left}", phase.words(), size(bytes), size(speed))
}

/// `1.50 GB`, in powers of ten.
pub fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for display only")]
    let bytes = bytes as f64;
    match bytes {
        _ if bytes >= 1e9 => format!("{:.2} GB", bytes / 1e9),
        _ if bytes >= 1e6 => format!("{:.1} MB", bytes / 1e6),
        _ => format!("{:.0} kB", bytes / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_shows_speed_and_time_left() {
        assert_eq!(
            figures(Phase::Write, 1_500_000_000, Some(2_000_000_000), 250_000_000, Some(2)),
            "writing the image: 1.50 GB of 2.00 GB, 250.0 MB/s, 2 s left"
        );
        assert_eq!(
            figures(Phase::Write, 2_000, None, 1_000, None),
            "writing the image: 2 kB, 1 kB/s"
        );
    }
}
