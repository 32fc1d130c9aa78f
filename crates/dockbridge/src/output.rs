//! Printing. All that a person or a program reads goes through here.

use std::io::Write as _;
use std::time::Duration;

use daemon::Status;
use daemon::client::Client;

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

/// Prints the stages of a wake as they end, until the machine is up or has failed; returns the last status.
pub async fn follow_wake(daemon: &Client, limit: Duration) -> Result<Status, daemon::client::ClientError> {
    let begun = tokio::time::Instant::now();
    let mut told = 0;
    loop {
        let status = daemon.status().await?;
        for phase in status.phases.iter().filter(|phase| phase.over).skip(told) {
            let detail = phase.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
            say(&format!("  {:<40} {:>7}", format!("{}{detail}", phase.words), seconds(phase.seconds)));
            told += 1;
        }
        // A wake that has begun leads to `absent` or `releasing` only where an order called it off.
        let under_way = matches!(status.state.as_str(), "waking" | "lost");
        if !under_way || begun.elapsed() > limit {
            return Ok(status);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
