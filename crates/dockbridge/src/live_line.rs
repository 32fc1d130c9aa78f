//! A line that counts while a command waits for something that says nothing itself: on a terminal
//! only, in place, and gone before anything else is printed.

use std::io::{self, IsTerminal as _, Write as _};
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

/// A shorter wait is not worth a line.
const WORTH_A_LINE: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_millis(200);

/// Waits for `future`. `what` says what goes on, as in `deleting the machine`.
pub fn counting<T>(what: &str, future: impl Future<Output = T>) -> impl Future<Output = T> {
    // On the heap: it would be part of its caller twice.
    count(what, Box::pin(future))
}

async fn count<T>(what: &str, mut future: Pin<Box<impl Future<Output = T>>>) -> T {
    if !io::stderr().is_terminal() {
        return future.await;
    }
    let begun = Instant::now();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shown = Shown(false);
    loop {
        tokio::select! {
            biased;
            value = &mut future => return value,
            _ = ticks.tick() => {
                if let Some(line) = line(what, begun.elapsed()) {
                    shown.show(&line);
                }
            }
        }
    }
}

fn line(what: &str, waited: Duration) -> Option<String> {
    (waited >= WORTH_A_LINE).then(|| format!("  {what}, {} s", waited.as_secs()))
}

/// Whether the line is on the terminal; it is removed when this is dropped.
struct Shown(bool);

impl Shown {
    fn show(&mut self, line: &str) {
        self.0 = true;
        let mut out = io::stderr();
        let _ = write!(out, "\r\x1b[K{line}").and_then(|()| out.flush());
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if self.0 {
            let mut out = io::stderr();
            let _ = write!(out, "\r\x1b[K").and_then(|()| out.flush());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_wait_of_some_time_has_a_line() {
        assert_eq!(line("deleting", Duration::from_millis(999)), None);
        let said = line("deleting the machine", Duration::from_millis(12_700));
        assert_eq!(said.as_deref(), Some("  deleting the machine, 12 s"));
    }
}
