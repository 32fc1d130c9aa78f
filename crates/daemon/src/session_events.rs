//! Session events of this computer for the policy: a locked screen, and sleep, before which the
//! machine receives one more heartbeat.

use std::collections::BTreeMap;
use std::time::Duration;

use lifecycle::Activity;
use platform::session::{self, Event};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::supervisor::Command;

/// Signals that wait; sensors send few.
const QUEUE: usize = 16;
/// The system delays sleep for 5 s at most (`InhibitDelayMaxSec`, logind.conf(5)).
const LONGEST_HEARTBEAT: Duration = Duration::from_secs(3);
/// Sleep counts as a lock, beside the sensors of the screen.
const SLEEP: &str = "sleep";

/// A lock is known only while its sensor is listened to.
struct Unlocking(Activity);

impl Drop for Unlocking {
    fn drop(&mut self) {
        self.0.set_locked(false);
    }
}

/// Listens for as long as it is polled.
pub(crate) async fn heed(activity: Activity, commands: mpsc::Sender<Command>) {
    let _unlocking = Unlocking(activity.clone());
    let (sender, mut received) = mpsc::channel(QUEUE);
    let heeding = async {
        let mut locks = Locks::default();
        while let Some((sensor, signal)) = received.recv().await {
            let locked = match signal {
                Event::Locked => locks.note(sensor, true),
                Event::Unlocked => locks.note(sensor, false),
                Event::Sleeps(delay) => {
                    tracing::info!("this computer falls asleep");
                    send_heartbeat(&commands).await;
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
    tokio::join!(session::listen(session::sensors(), sender), heeding);
}

/// A last heartbeat, so that the lease counts from here.
async fn send_heartbeat(commands: &mpsc::Sender<Command>) {
    let (answer, answered) = oneshot::channel();
    if commands.send(Command::Heartbeat(Some(answer))).await.is_ok() {
        // Without a machine the answer is dropped.
        let _ = timeout(LONGEST_HEARTBEAT, answered).await;
    }
}

/// The last report of each sensor: one that reports a lock is enough.
#[derive(Debug, Default)]
struct Locks(BTreeMap<&'static str, bool>);

impl Locks {
    /// Whether the computer is locked now, if that has changed.
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
    fn one_sensor_locks_and_all_have_to_unlock() {
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
