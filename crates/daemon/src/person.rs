//! What this computer tells of its person, made known to the policy: a lock, and sleep, before
//! which the machine hears of us once more.

use std::collections::BTreeMap;
use std::time::Duration;

use lifecycle::Activity;
use platform::session::{self, Event};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::supervisor::Command;

/// Signals that wait; sensors tell few.
const QUEUE: usize = 16;
/// The system holds sleep up for 5 s at most (`InhibitDelayMaxSec`, logind.conf(5)).
const LONGEST_FAREWELL: Duration = Duration::from_secs(3);
/// Where sleep is noted, beside the sensors of the lock.
const SLEEP: &str = "sleep";

/// Listens for as long as it is polled.
pub(crate) async fn heed(activity: Activity, commands: mpsc::Sender<Command>) {
    let (told, mut heard) = mpsc::channel(QUEUE);
    let heeding = async {
        let mut locks = Locks::default();
        while let Some((sensor, signal)) = heard.recv().await {
            let locked = match signal {
                Event::Locked => locks.note(sensor, true),
                Event::Unlocked => locks.note(sensor, false),
                Event::Sleeps(delay) => {
                    tracing::info!("this computer falls asleep");
                    say_alive(&commands).await;
                    drop(delay);
                    locks.note(SLEEP, true)
                }
                Event::Wakes => {
                    tracing::info!("this computer has slept");
                    locks.note(SLEEP, false)
                }
            };
            if let Some(locked) = locked {
                tracing::info!(sensor, locked, "the lock of the screen");
                activity.set_locked(locked);
            }
        }
    };
    tokio::join!(session::listen(session::sensors(), told), heeding);
}

/// A last sign of life, so that the lease counts from here.
async fn say_alive(commands: &mpsc::Sender<Command>) {
    let (answer, answered) = oneshot::channel();
    if commands.send(Command::SayAlive(Some(answer))).await.is_ok() {
        // Where there is no machine the answer is dropped.
        let _ = timeout(LONGEST_FAREWELL, answered).await;
    }
}

/// Each sensor's last word: one that says locked is enough.
#[derive(Debug, Default)]
struct Locks(BTreeMap<&'static str, bool>);

impl Locks {
    /// How things stand now, if that has changed.
    fn note(&mut self, sensor: &'static str, locked: bool) -> Option<bool> {
        let before = self.is_locked();
        self.0.insert(sensor, locked);
        (before != self.is_locked()).then_some(self.is_locked())
    }

    fn is_locked(&self) -> bool {
        self.0.values().any(|locked| *locked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sensor_that_says_locked_is_enough_and_all_have_to_say_that_it_is_not() {
        let mut locks = Locks::default();
        assert_eq!(locks.note("logind", false), None);
        assert_eq!(locks.note("screen saver", true), Some(true));
        assert_eq!(locks.note("logind", true), None);
        assert_eq!(locks.note("screen saver", false), None);
        assert_eq!(locks.note(SLEEP, true), None);
        assert_eq!(locks.note("logind", false), None);
        assert_eq!(locks.note(SLEEP, false), Some(false));
    }
}
