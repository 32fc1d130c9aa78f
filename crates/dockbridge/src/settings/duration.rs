//! Durations as users write them: `90s`, `5m`, `1h 30m`.

use std::time::Duration;

use jiff::SignedDuration;

/// Parses one. A bare number is refused, because its unit is unclear.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong =
        |why: &str| format!("{text:?} is not a {why}duration: write it as 90s, 5m or 1h 30m");
    let signed: SignedDuration = text.trim().parse().map_err(|_| wrong(""))?;
    Duration::try_from(signed).map_err(|_| wrong("positive "))
}

/// Like `parse`, with days as well: `30d`.
pub fn parse_long(text: &str) -> Result<Duration, String> {
    match text.trim().strip_suffix('d').map(|days| days.trim().parse::<u32>()) {
        Some(Ok(days)) => Ok(Duration::from_secs(u64::from(days) * 24 * 60 * 60)),
        _ => parse(text).map_err(|error| format!("{error}, or 30d")),
    }
}

/// Formats one in the same notation.
pub fn format(duration: Duration) -> String {
    SignedDuration::try_from(duration)
        .map_or_else(|_| format!("{}s", duration.as_secs()), |signed| format!("{signed:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_notations_are_read_and_a_bare_number_is_refused() {
        assert_eq!(parse("5m").unwrap(), Duration::from_secs(300));
        assert_eq!(parse("1h 30m").unwrap(), Duration::from_secs(5_400));
        assert_eq!(parse("90s").unwrap(), Duration::from_secs(90));
        for bad in ["", "5", "five minutes", "-5m"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn days_are_durations_where_long_ones_are_asked_for() {
        assert_eq!(parse_long("30d").unwrap(), Duration::from_secs(30 * 86_400));
        assert_eq!(parse_long("2h").unwrap(), Duration::from_secs(7_200));
        assert!(parse_long("d").is_err() && parse_long("-1d").is_err());
    }

    #[test]
    fn what_is_written_is_read_again() {
        for seconds in [1, 59, 60, 90, 3_600, 86_399] {
            let duration = Duration::from_secs(seconds);
            assert_eq!(parse(&format(duration)).unwrap(), duration, "{}", format(duration));
        }
    }
}
