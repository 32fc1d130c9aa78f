//! Delays sleep by a callback that does not return, for systems that go to sleep once all callbacks
//! have returned.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Lives while sleep is delayed.
#[derive(Debug)]
pub(crate) struct Hold(#[expect(dead_code, reason = "dropping it ends the delay")] Sender<()>);

/// The callback's end of a [`Hold`].
#[derive(Debug)]
pub(crate) struct Held(Receiver<()>);

/// A delay and the callback's end of it.
pub(crate) fn hold() -> (Hold, Held) {
    let (hold, held) = channel();
    (Hold(hold), Held(held))
}

impl Held {
    /// Returns when the hold is dropped, or after the system's `limit`.
    pub(crate) fn wait(self, limit: Duration) {
        // No value is ever sent: the channel's end is what counts.
        let _ = self.0.recv_timeout(limit);
    }
}

#[cfg(test)]
mod tests {
    use std::thread::spawn;

    use super::*;

    #[test]
    fn dropping_the_hold_ends_the_delay() {
        let (hold, held) = hold();
        let waiting = spawn(move || held.wait(Duration::from_secs(600)));
        drop(hold);
        waiting.join().unwrap();
    }

    #[test]
    fn the_delay_does_not_exceed_the_limit() {
        let (_hold, held) = hold();
        held.wait(Duration::from_millis(10));
    }
}
