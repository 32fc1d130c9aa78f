//! The arguments of `logs`, as the user types them: a number of lines, a moment, a request id.

use std::time::Duration;

use jiff::civil::{DateTime, Time};
use jiff::{Timestamp, Zoned};

use crate::settings::duration;

/// A number of lines; `None` for all.
#[derive(Debug, Clone, Copy)]
pub struct Lines(pub Option<usize>);

/// Reads a number of lines.
pub fn lines(text: &str) -> Result<Lines, String> {
    match text {
        "all" => Ok(Lines(None)),
        number => number
            .parse()
            .map(|number| Lines(Some(number)))
            .map_err(|_| "write a number of lines, or `all`".to_owned()),
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
    // A date with a time can be read as a time, too.
    let civil = match text.parse::<DateTime>() {
        Ok(civil) => Some(civil),
        Err(_) => text.parse::<Time>().ok().map(|time| now.date().to_datetime(time)),
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

    #[test]
    fn lines_are_a_number_or_all() {
        assert_eq!(lines("3").unwrap().0, Some(3));
        assert_eq!(lines("all").unwrap().0, None);
        assert!(lines("some").is_err() && lines("-1").is_err());
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
