//! Printing. All that a person or a program reads goes through here.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use daemon::Status;
use daemon::client::Client;
use machine::History;

/// A line on standard output. A reader that went away is no error.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A line on standard error.
pub fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// `1.2 s`, `75 s`.
pub fn seconds(seconds: f64) -> String {
    if seconds < 10.0 { format!("{seconds:.1} s") } else { format!("{seconds:.0} s") }
}

/// A stage that goes on, with how long it usually takes: `booting (cx23 in fsn1) for 12 s, usually 18 s`.
pub fn running_stage(status: &Status, wakes: &History) -> Option<String> {
    let phase = status.phases.last().filter(|phase| !phase.over)?;
    let detail = phase.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
    let usual = wakes.usual(&phase.words).map(|usual| format!(", usually {}", seconds(usual.as_secs_f64()))).unwrap_or_default();
    Some(format!("{}{detail} for {}{usual}", phase.words, seconds(phase.seconds)))
}

/// The stage that goes on, shown in place on a terminal; elsewhere each once, when it has lasted for a while.
struct Running {
    is_terminal: bool,
    /// Stages that have ended when the last one was shown.
    shown: Option<usize>,
}

impl Running {
    /// Elsewhere than on a terminal a short stage is not worth a line of its own.
    const WORTH_A_LINE: f64 = 3.0;

    fn show(&mut self, status: &Status, wakes: &History, ended: usize) {
        let Some(stage) = running_stage(status, wakes) else { return };
        if self.is_terminal {
            let mut out = std::io::stdout();
            let _ = write!(out, "\r\x1b[K  {stage}").and_then(|()| out.flush());
            self.shown = Some(ended);
        } else if self.shown != Some(ended) && status.phases.last().is_some_and(|phase| phase.seconds >= Self::WORTH_A_LINE) {
            say(&format!("  {stage}"));
            self.shown = Some(ended);
        }
    }

    fn clear(&mut self) {
        if self.is_terminal && self.shown.take().is_some() {
            let mut out = std::io::stdout();
            let _ = write!(out, "\r\x1b[K").and_then(|()| out.flush());
        }
    }
}

/// Prints the stages of a wake as they end, and the one that goes on with its usual time, until the machine is up or has failed; returns the last status.
pub async fn follow_wake(daemon: &Client, limit: Duration, wakes: &History) -> Result<Status, daemon::client::ClientError> {
    let begun = tokio::time::Instant::now();
    let mut running = Running { is_terminal: std::io::stdout().is_terminal(), shown: None };
    let mut told = 0;
    loop {
        let status = daemon.status().await?;
        if status.phases.iter().filter(|phase| phase.over).count() > told {
            running.clear();
        }
        for phase in status.phases.iter().filter(|phase| phase.over).skip(told) {
            let detail = phase.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
            say(&format!("  {:<40} {:>7}", format!("{}{detail}", phase.words), seconds(phase.seconds)));
            told += 1;
        }
        let under_way = matches!(status.state.as_str(), "waking" | "absent" | "lost" | "releasing");
        if !under_way || begun.elapsed() > limit {
            running.clear();
            return Ok(status);
        }
        running.show(&status, wakes, told);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
