//! Times as users read them: the clock of their own zone, and roughly how long until then. Pure.

use jiff::{SignedDuration, Zoned};

/// Below this many seconds a clock time has its seconds.
const NEAR: i64 = 120;

/// The present time in the user's zone.
#[derive(Debug, Clone)]
pub struct LocalTime(pub Zoned);

impl LocalTime {
    /// The computer's.
    pub fn now() -> Self {
        Self(Zoned::now())
    }

    /// `16:45`, `15:48:21` if that is near, `Tue 16:45` on another day, `2026-12-24 16:45` in
    /// another week.
    fn clock(&self, ahead: i64) -> String {
        let Ok(at) = self.0.checked_add(SignedDuration::from_secs(ahead)) else {
            return "a time out of range".to_owned();
        };
        let days = (at.date() - self.0.date()).get_days().abs();
        let format = match (days, ahead.abs() < NEAR) {
            (0, true) => "%H:%M:%S",
            (0, false) => "%H:%M",
            (1..7, _) => "%a %H:%M",
            _ => "%Y-%m-%d %H:%M",
        };
        at.strftime(format).to_string()
    }

    /// `16:45 (in 58 min)`.
    pub fn in_another(&self, seconds: u64) -> String {
        let ahead = i64::try_from(seconds).unwrap_or(i64::MAX);
        format!("{} (in {})", self.clock(ahead), rough(seconds))
    }

    /// `15:02 (58 min)`, after `since`.
    pub fn since(&self, seconds: f64) -> String {
        let seconds = whole(seconds);
        format!("{} ({})", self.ago(seconds), rough(seconds))
    }

    /// `15:02`.
    pub fn ago(&self, seconds: u64) -> String {
        self.clock(i64::try_from(seconds).map_or(i64::MIN, |seconds| -seconds))
    }

    /// The clock time of seconds since 1970, with its seconds.
    pub fn exact(&self, at: i64) -> String {
        self.exactly(at.saturating_sub(self.0.timestamp().as_second()))
    }

    /// `15:48:21`, on another day without seconds.
    pub fn exactly_ago(&self, seconds: u64) -> String {
        self.exactly(i64::try_from(seconds).map_or(i64::MIN, |seconds| -seconds))
    }

    fn exactly(&self, ahead: i64) -> String {
        match self.0.checked_add(SignedDuration::from_secs(ahead)) {
            Ok(then) if then.date() == self.0.date() => then.strftime("%H:%M:%S").to_string(),
            _ => self.clock(ahead),
        }
    }

    /// The clock time of seconds since 1970.
    pub fn at(&self, at: i64) -> String {
        self.clock(at.saturating_sub(self.0.timestamp().as_second()))
    }
}

/// `4 s`, `58 min`, `2 h 5 min`, `3 days`.
pub fn rough(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => match seconds % 3_600 / 60 {
            0 => format!("{} h", seconds / 3_600),
            minutes => format!("{} h {minutes} min", seconds / 3_600),
        },
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Seconds of a document, which are never negative.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
pub fn whole(seconds: f64) -> u64 {
    seconds as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_time_is_as_exact_as_its_distance_needs() {
        let now = LocalTime("2026-11-30T15:48:00+01:00[Europe/Berlin]".parse().unwrap());
        for (ahead, said) in [
            (21, "15:48:21 (in 21 s)"),
            (3_420, "16:45 (in 57 min)"),
            (7_500, "17:53 (in 2 h 5 min)"),
            (36_000, "Tue 01:48 (in 10 h)"),
            (30 * 86_400, "2026-12-30 15:48 (in 30 days)"),
        ] {
            assert_eq!(now.in_another(ahead), said);
        }
        assert_eq!(now.since(90.4), "15:46:30 (1 min)");
        assert_eq!(now.since(3_600.0), "14:48 (1 h)");
        let day_before = now.0.timestamp().as_second() - 86_400;
        assert_eq!(now.exact(day_before + 86_400 - 7_201), "13:47:59");
        assert_eq!(now.exact(day_before), "Sun 15:48");
        assert!(now.in_another(u64::MAX).contains("out of range"));
    }

    #[test]
    fn zone_changes_its_offset_between_now_and_then() {
        let now = LocalTime("2026-10-24T23:00:00+02:00[Europe/Berlin]".parse().unwrap());
        assert_eq!(now.in_another(6 * 3_600), "Sun 04:00 (in 6 h)");
    }
}
