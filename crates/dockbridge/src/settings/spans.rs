//! Limits of durations in the settings, with a message for each violation.

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::duration;

/// A machine deleted before it was of use would be created again at once, for another started hour
/// each time.
const SHORTEST_LIFETIME: Duration = Duration::from_secs(10 * 60);
/// A longer duration means "forever".
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(String, Duration), D::Error> {
    let text = String::deserialize(deserializer)?;
    let span = within_reason(&text).map_err(D::Error::custom)?;
    Ok((text, span))
}

fn within_reason(text: &str) -> Result<Duration, String> {
    match duration::parse(text)? {
        span if span > LONGEST => Err(format!("{text:?} is longer than a year: write less")),
        span => Ok(span),
    }
}

/// A duration, zero included.
pub(super) struct Span(pub(super) Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer).map(|(_, span)| Self(span))
    }
}

/// A duration above zero.
pub(super) struct Positive(pub(super) Duration);

impl<'de> Deserialize<'de> for Positive {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match read(deserializer)? {
            (text, span) if span < Duration::from_secs(1) => {
                Err(D::Error::custom(format!("{text:?} is too short: write 1s or more")))
            }
            (_, span) => Ok(Self(span)),
        }
    }
}

/// How long a machine stays without use, or `none` for no limit.
pub(super) struct Patience(pub(super) Option<Duration>);

impl<'de> Deserialize<'de> for Patience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.trim() == "none" {
            return Ok(Self(None));
        }
        match within_reason(&text) {
            Ok(span) if span < Duration::from_secs(1) => Err(D::Error::custom(format!(
                "{text:?} would delete each machine at once: write 1s or more, or none to switch \
                 it off"
            ))),
            Ok(span) => Ok(Self(Some(span))),
            Err(error) => Err(D::Error::custom(format!("{error}, or none"))),
        }
    }
}

/// A machine's maximum age, or `none`.
pub(super) struct Lifetime(pub(super) Option<Duration>);

impl<'de> Deserialize<'de> for Lifetime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.trim() == "none" {
            return Ok(Self(None));
        }
        match within_reason(&text).map_err(D::Error::custom)? {
            limit if limit < SHORTEST_LIFETIME => Err(D::Error::custom(format!(
                "{text:?} is too short for a machine: choose 10m or more"
            ))),
            limit => Ok(Self(Some(limit))),
        }
    }
}
