//! Reads a reply: the API's answer, its refusal, or that of something that is not the API.

use reqwest::StatusCode;
use serde_json::Value;

use crate::budget::RateLimit;
use crate::error::{ApiError, Error, RequestLine, Result, is_gateway};

/// A reply, before it is read.
pub(crate) struct Reply<'a> {
    pub(crate) status: StatusCode,
    /// Target of a redirect.
    pub(crate) location: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) body: &'a [u8],
}

impl Reply<'_> {
    pub(crate) fn read(self, line: &RequestLine, endpoint: &str) -> Result<Value> {
        let Self { status, location, request_id, rate_limit, body } = self;
        let line = line.clone();
        let not_the_api =
            |line, what| Err(Error::NotTheApi { line, endpoint: endpoint.to_owned(), what });
        let number = status.as_u16();
        if status.is_redirection() {
            let to = location.map(|to| format!(" to {to}")).unwrap_or_default();
            return not_the_api(line, format!("it redirects{to} (status {number})"));
        }
        if let Some(page) = page(body)
            && !is_gateway(status)
        {
            return not_the_api(line, format!("it sent a web page{page} (status {number})"));
        }
        if !status.is_success() {
            let error = ApiError::read(line, status, body, request_id, rate_limit);
            return Err(Error::Api(Box::new(error)));
        }
        if status == StatusCode::NO_CONTENT || body.is_empty() {
            return Ok(Value::Null);
        }
        match serde_json::from_slice(body) {
            Ok(read) => Ok(read),
            Err(source) if body.first().is_some_and(|first| *first == b'{' || *first == b'[') => {
                Err(Error::Decode { line, source })
            }
            Err(_) => not_the_api(line, "its reply is not JSON".to_owned()),
        }
    }
}

/// The title of a web page, as in "a web page titled …"; `None` if the body is no web page.
fn page(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body.get(..body.len().min(4096)).unwrap_or_default());
    let lower = text.trim_start().to_ascii_lowercase();
    if !(lower.starts_with("<!doctype html")
        || lower.starts_with("<html")
        || lower.starts_with("<head"))
    {
        return None;
    }
    let title = lower
        .split_once("<title>")
        .and_then(|(_, rest)| rest.split_once("</title>"))
        .map(|(title, _)| title.trim().to_owned());
    // In the page's own spelling; both texts have the same length in bytes.
    let own = title.filter(|title| !title.is_empty()).and_then(|title| {
        let at = lower.find(&title)?;
        text.trim_start()
            .get(at..at + title.len())
            .map(|own| own.chars().take(60).collect::<String>())
    });
    Some(own.map(|title| format!(" titled {title:?}")).unwrap_or_default())
}
