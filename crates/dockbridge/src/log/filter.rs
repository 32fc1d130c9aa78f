//! Which records of a log are shown: since a time, of a severity, of one request. Pure, except that
//! arguments are read with the present time.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::civil::{DateTime, Time};
use jiff::{Timestamp, Zoned};

use super::record::{Level, Record};
use crate::settings::duration;

/// What a record has to fulfill.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Not older than this.
    pub since: Option<Timestamp>,
    /// At least as severe as this.
    pub level: Option<Level>,
    /// With the id of this request.
    pub request: Option<String>,
}

impl Filter {
    /// Whether the record is shown. One without a time counts as new.
    pub fn admits(&self, record: &Record) -> bool {
        self.since.is_none_or(|since| record.at.is_none_or(|at| at >= since))
            && self.level.is_none_or(|level| record.level <= level)
            && self.request.as_ref().is_none_or(|id| names(&record.json, id))
    }
}

/// Whether the id is in the record as a word of its own: another id may contain it.
fn names(record: &str, id: &str) -> bool {
    record.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == id)
}

/// The last records.
#[derive(Debug)]
pub struct Tail {
    records: VecDeque<Record>,
    /// `None` for all.
    lines: Option<usize>,
}

impl Tail {
    /// An empty one for this many lines.
    pub fn of(lines: Option<usize>) -> Self {
        Self { records: VecDeque::new(), lines }
    }

    /// Adds a record, and drops the oldest one if there are too many.
    pub fn push(&mut self, record: Record) {
        self.records.push_back(record);
        if self.lines.is_some_and(|lines| self.records.len() > lines) {
            self.records.pop_front();
        }
    }

    /// The records, the oldest first.
    pub fn into_records(self) -> impl Iterator<Item = Record> {
        self.records.into_iter()
    }
}

/// Reads a moment: a duration before now, or a time of this computer's time zone.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    moment_at(text, &Zoned::now())
}

fn moment_at(text: &str, now: &Zoned) -> Result<Timestamp, String> {
    let wrong = || {
        format!(
            "{text:?} is neither a duration such as 10m nor a time such as 2026-11-29 10:00, \
             10:00 or 2026-11-29T10:00:00Z"
        )
    };
    if let Ok(ago) = duration::parse_long(text) {
        return before(now, ago).ok_or_else(wrong);
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let civil = match text.parse::<Time>() {
        Ok(time) => Some(now.date().to_datetime(time)),
        Err(_) => text.parse::<DateTime>().ok(),
    };
    let at = civil.and_then(|civil| civil.to_zoned(now.time_zone().clone()).ok());
    at.map(|at| at.timestamp()).ok_or_else(wrong)
}

fn before(now: &Zoned, ago: Duration) -> Option<Timestamp> {
    now.timestamp().checked_sub(ago).ok()
}

/// Reads the id of a request: twelve letters and digits.
pub fn request_id(text: &str) -> Result<String, String> {
    let is_id = text.len() == 12 && text.bytes().all(|c| matches!(c, b'a'..=b'z' | b'2'..=b'7'));
    match is_id {
        true => Ok(text.to_owned()),
        false => Err("an id of a request has twelve letters and digits, such as k3vq7xw2hdrm; \
                      it is in the header X-Request-Id"
            .to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    fn record(at: i64, level: Level, message: &str) -> Record {
        Record::new(Timestamp::from_second(at).ok(), level, "t", message)
    }

    #[test]
    fn record_is_admitted_by_time_level_and_request_together() {
        let filter = Filter {
            since: Timestamp::from_second(100).ok(),
            level: Some(Level::Warn),
            request: Some("k3vq7xw2hdrm".to_owned()),
        };
        let message = "stream 3 of request k3vq7xw2hdrm: no engine";
        assert!(filter.admits(&record(100, Level::Warn, message)));
        assert!(!filter.admits(&record(99, Level::Warn, message)));
        assert!(!filter.admits(&record(100, Level::Info, message)));
        assert!(!filter.admits(&record(100, Level::Error, "another request")));
        assert!(!filter.admits(&record(100, Level::Error, "xk3vq7xw2hdrm")));
        assert!(Filter::default().admits(&record(0, Level::Trace, "")));
    }

    #[test]
    fn tail_has_the_last_records_in_order() {
        let texts = |lines| {
            let mut tail = Tail::of(lines);
            (0..4).for_each(|at| tail.push(record(at, Level::Info, &at.to_string())));
            tail.into_records().map(|record| record.text).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(texts(Some(2)), "2 3");
        assert_eq!(texts(Some(0)), "");
        assert_eq!(texts(None), "0 1 2 3");
    }

    #[test]
    fn moment_is_a_duration_ago_or_a_time_of_this_computer() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let now: Timestamp = "2026-11-29T10:30:00Z".parse().unwrap();
        let now = now.to_zoned(zone);
        for (text, expected) in [
            ("10m", "2026-11-29T10:20:00Z"),
            ("2d", "2026-11-27T10:30:00Z"),
            ("10:00", "2026-11-29T08:00:00Z"),
            ("2026-11-28 10:00", "2026-11-28T08:00:00Z"),
            ("2026-11-28T10:00:00Z", "2026-11-28T10:00:00Z"),
        ] {
            assert_eq!(moment_at(text, &now).unwrap().to_string(), expected, "{text}");
        }
        for wrong in ["", "5", "yesterday", "-5m", "25:00"] {
            assert!(moment_at(wrong, &now).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn id_of_a_request_has_twelve_letters_and_digits() {
        assert!(request_id(api::RequestId::new(1).as_str()).is_ok());
        for wrong in ["", "k3vq7xw2hdr", "K3VQ7XW2HDRM", "k3vq7xw2hdr1"] {
            assert!(request_id(wrong).is_err(), "{wrong:?}");
        }
    }
}
