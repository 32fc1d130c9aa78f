//! A line that counts while a command waits for something that says nothing itself: on a terminal
//! only, in place, and gone before anything else is printed.

use std::io::{self, IsTerminal as _, Write as _};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

/// A shorter wait is not worth a line.
const WORTH_A_LINE: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_millis(200);

/// Whether the line is on the terminal: a process has one of them.
static SHOWN: AtomicBool = AtomicBool::new(false);

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
    let _gone_at_the_end = Gone;
    loop {
        tokio::select! {
            biased;
            value = &mut future => return value,
            _ = ticks.tick() => {
                if let Some(line) = line(what, begun.elapsed()) {
                    show(&line);
                }
            }
        }
    }
}

fn line(what: &str, waited: Duration) -> Option<String> {
    (waited >= WORTH_A_LINE).then(|| format!("  {what}, {} s", waited.as_secs()))
}

fn show(line: &str) {
    SHOWN.store(true, Ordering::Relaxed);
    let mut out = io::stderr();
    let _ = write!(out, "\r\x1b[K{line}").and_then(|()| out.flush());
}

/// Removes the line before something else is printed. The wait that goes on shows it again.
pub fn erase() {
    if SHOWN.swap(false, Ordering::Relaxed) {
        let mut out = io::stderr();
        let _ = write!(out, "\r\x1b[K").and_then(|()| out.flush());
    }
}

/// Removes the line when the wait ends, or is given up.
struct Gone;

impl Drop for Gone {
    fn drop(&mut self) {
        erase();
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
