//! Sleep held up by a callback that does not return: for systems that go on once whoever they told
//! has come back to them.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Lives as long as sleep is held up.
#[derive(Debug)]
pub(crate) struct Hold(#[expect(dead_code, reason = "its end is what tells")] Sender<()>);

/// The callback's end of it.
#[derive(Debug)]
pub(crate) struct Held(Receiver<()>);

/// The two ends.
pub(crate) fn hold() -> (Hold, Held) {
    let (hold, held) = channel();
    (Hold(hold), Held(held))
}

impl Held {
    /// Returns when the other end is gone, or the system's patience is at an end.
    pub(crate) fn until_over(self, patience: Duration) {
        // Nothing is ever sent: the end of the channel is waited for.
        let _ = self.0.recv_timeout(patience);
    }
}

#[cfg(test)]
mod tests {
    use std::thread::spawn;

    use super::*;

    #[test]
    fn sleep_goes_on_when_nobody_holds_it_up_any_more() {
        let (hold, held) = hold();
        let waiting = spawn(move || held.until_over(Duration::from_secs(600)));
        drop(hold);
        waiting.join().unwrap();
    }

    #[test]
    fn the_systems_patience_is_not_overdrawn() {
        let (_hold, held) = hold();
        held.until_over(Duration::from_millis(10));
    }
}
