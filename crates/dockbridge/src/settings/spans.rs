//! Durations in the settings and their limits, with a message for each violation.

use std::time::Duration;

use super::duration;
use super::kind::{Given, Invalid, Kind};

/// A machine deleted before it was of use would be created again at once, for another started hour
/// each time.
const SHORTEST_LIFETIME: Duration = Duration::from_secs(10 * 60);
/// A longer duration means "forever".
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// A shorter timeout means "at once".
const SHORTEST: Duration = Duration::from_secs(1);

fn within_reason(text: &str) -> Result<Duration, Invalid> {
    match duration::parse(text).map_err(Invalid::new)? {
        span if span > LONGEST => {
            Err(Invalid::new(format!("{text:?} is longer than a year: write less")))
        }
        span => Ok(span),
    }
}

/// A duration, or `None` for `none`.
fn or_none(given: Given) -> Result<Option<String>, Invalid> {
    Ok(Some(given.single()?).filter(|text| text.trim() != "none"))
}

fn show_or_none(span: Option<Duration>) -> String {
    span.map_or_else(|| "none".to_owned(), duration::format)
}

/// A duration, zero included.
pub struct Span;

impl Kind for Span {
    type Value = Duration;

    fn values() -> String {
        "duration".to_owned()
    }

    fn read(given: Given) -> Result<Duration, Invalid> {
        within_reason(&given.single()?)
    }

    fn show(span: &Duration) -> Option<String> {
        Some(duration::format(*span))
    }
}

/// A duration above zero.
pub struct Positive;

impl Kind for Positive {
    type Value = Duration;

    fn values() -> String {
        "duration, `1s` or more".to_owned()
    }

    fn read(given: Given) -> Result<Duration, Invalid> {
        let text = given.single()?;
        match within_reason(&text)? {
            span if span < SHORTEST => {
                Err(Invalid::new(format!("{text:?} is too short: write 1s or more")))
            }
            span => Ok(span),
        }
    }

    fn show(span: &Duration) -> Option<String> {
        Some(duration::format(*span))
    }
}

/// How long a machine stays without use, or `none` for no limit.
pub struct Patience;

impl Kind for Patience {
    type Value = Option<Duration>;

    fn values() -> String {
        "duration, `1s` or more, or `none`".to_owned()
    }

    fn read(given: Given) -> Result<Option<Duration>, Invalid> {
        let Some(text) = or_none(given)? else { return Ok(None) };
        match within_reason(&text) {
            Ok(span) if span < SHORTEST => Err(Invalid::new(format!(
                "{text:?} would delete each machine at once: write 1s or more, or none to switch \
                 it off"
            ))),
            Ok(span) => Ok(Some(span)),
            Err(error) => Err(Invalid::new(format!("{error}, or none"))),
        }
    }

    fn show(span: &Option<Duration>) -> Option<String> {
        Some(show_or_none(*span))
    }
}

/// A machine's maximum age, or `none`.
pub struct Lifetime;

impl Kind for Lifetime {
    type Value = Option<Duration>;

    fn values() -> String {
        "duration, `10m` or more, or `none`".to_owned()
    }

    fn read(given: Given) -> Result<Option<Duration>, Invalid> {
        let Some(text) = or_none(given)? else { return Ok(None) };
        match within_reason(&text)? {
            limit if limit < SHORTEST_LIFETIME => Err(Invalid::new(format!(
                "{text:?} is too short for a machine: choose 10m or more"
            ))),
            limit => Ok(Some(limit)),
        }
    }

    fn show(limit: &Option<Duration>) -> Option<String> {
        Some(show_or_none(*limit))
    }
}
