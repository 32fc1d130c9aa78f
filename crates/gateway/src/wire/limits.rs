//! Limits on HTTP heads, and on bodies that are read as a whole.

use http::HeaderMap;
use http::header::CONTENT_LENGTH;

/// Request line and headers, in bytes. Labels and credentials make them long. This is the default
/// of Go's server, 1 MiB, with its slack.
pub(crate) const MAX_HEAD: usize = (1 << 20) + 4096;

/// Header lines. Go has no limit of its own.
pub(crate) const MAX_HEADERS: usize = 1024;

/// Whether a response announces a body that is short enough to be read as a whole.
pub(crate) fn is_short(headers: &HeaderMap) -> bool {
    let length =
        headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    length.is_some_and(|length| length <= MAX_HEAD)
}
