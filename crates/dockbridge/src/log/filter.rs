//! Which records of a log are shown: since a time, of a severity, of one request, the last ones.
//! Pure.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::record::{Level, Record};

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

#[cfg(test)]
mod tests {
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
}
