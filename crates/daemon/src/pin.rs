//! The user's pin, in a file, so that it outlives the daemon. It has calendar time, for the clock
//! that counts from boot starts at zero.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use lifecycle::Activity;
use serde::{Deserialize, Serialize};

use crate::json_file;

/// The pin's file.
#[derive(Debug, Clone)]
pub(crate) struct PinFile(PathBuf);

#[derive(Serialize, Deserialize)]
struct Stored {
    /// Seconds since 1970; `null` for a pin without an end.
    until: Option<i64>,
}

impl PinFile {
    pub(crate) fn in_directory(directory: &Path) -> Self {
        Self(directory.join("pin.json"))
    }

    /// Sets the pin again unless it is over. A damaged file is no pin.
    pub(crate) fn restore(&self, activity: &Activity, now: Timestamp) {
        let Some(stored) = json_file::read::<Stored>(&self.0) else { return };
        match stored.until.map(|until| u64::try_from(until.saturating_sub(now.as_second()))) {
            None => activity.pin(None),
            Some(Ok(left)) if left > 0 => activity.pin(Some(Duration::from_secs(left))),
            Some(_) => {}
        }
    }

    /// Pins for a time, or without an end.
    pub(crate) fn pin(
        &self,
        activity: &Activity,
        length: Option<Duration>,
        now: Timestamp,
    ) -> std::io::Result<()> {
        let seconds = |length: Duration| i64::try_from(length.as_secs()).unwrap_or(i64::MAX);
        let until = length.map(|length| now.as_second().saturating_add(seconds(length)));
        json_file::write(&self.0, &Stored { until })?;
        activity.pin(length);
        Ok(())
    }

    /// Removes the pin. Returns whether there was one.
    pub(crate) fn unpin(&self, activity: &Activity) -> std::io::Result<bool> {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(activity.unpin())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lifecycle::{Clock as _, FakeClock};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn pin_outlives_the_daemon_and_ends_by_the_calendar() {
        let directory = tempfile::tempdir().unwrap();
        let file = PinFile::in_directory(directory.path());
        let restored = |now| {
            let clock = Arc::new(FakeClock::default());
            let activity = Activity::new(clock.clone());
            file.restore(&activity, at(now));
            activity
                .snapshot()
                .pin
                .map(|pin| pin.until.map(|until| until.since(clock.now()).as_secs()))
        };
        let activity = Activity::new(Arc::new(FakeClock::default()));
        assert_eq!(restored(1_000), None);
        file.pin(&activity, Some(Duration::from_secs(600)), at(1_000)).unwrap();
        assert_eq!(
            [restored(1_100), restored(1_600), restored(5_000)],
            [Some(Some(500)), None, None]
        );
        file.pin(&activity, None, at(1_000)).unwrap();
        assert_eq!(restored(999_999), Some(None));
        assert!(file.unpin(&activity).unwrap() && !file.unpin(&activity).unwrap());
        assert_eq!(restored(1_000), None);
        std::fs::write(directory.path().join("pin.json"), b"{\"until\":").unwrap();
        assert_eq!(restored(1_000), None, "a damaged file is no pin");
    }
}
