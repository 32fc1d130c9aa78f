//! How a build is shown: lines for a person, with one that changes where that is a terminal, or
//! JSON lines for a program.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};

use image::{Event, Phase};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::output::{complain, say};

/// Between two lines of progress where they do not replace each other, in seconds.
const BETWEEN_LINES: u64 = 10;

/// Shows what builds tell.
pub struct Progress {
    json: bool,
    /// Several builds at once: each line says whose it is, and none replaces another.
    several: bool,
    shown: Mutex<Shown>,
}

struct Shown {
    /// A line stands on the terminal that the next one replaces.
    open: bool,
    last: Instant,
}

impl Progress {
    /// For people, or for programs.
    pub fn new(json: bool, several: bool) -> Self {
        Self { json, several, shown: Mutex::new(Shown { open: false, last: Instant::now() }) }
    }

    /// Shows what one build tells.
    pub fn show(&self, architecture: &str, event: &Event) {
        if self.json {
            return self.line(architecture, event);
        }
        let whose = if self.several { format!("[{architecture}] ") } else { String::new() };
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Phase { phase, detail } => {
                shown.last = Instant::now();
                let detail =
                    detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
                self.whole(&mut shown, &format!("  {whose}{}{detail}", phase.words()));
            }
            Event::Note { message } => self.whole(&mut shown, &format!("  {whose}note: {message}")),
            Event::Progress { phase, bytes, total, bytes_per_second, seconds_left } => {
                let text = format!(
                    "  {whose}{}",
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

    /// For a program: what came of a build, too.
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

/// `1.50 GB`, in powers of ten, as disks are sold.
pub fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
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
    fn figures_tell_speed_and_what_is_left() {
        assert_eq!(
            figures(Phase::Write, 1_500_000_000, Some(2_000_000_000), 250_000_000, Some(2)),
            "writing the image: 1.50 GB of 2.00 GB, 250.0 MB/s, 2 s left"
        );
        assert_eq!(
            figures(Phase::Write, 2_000, None, 1_000, None),
            "writing the image: 2 kB, 1 \
            kB/s"
        );
    }
}
