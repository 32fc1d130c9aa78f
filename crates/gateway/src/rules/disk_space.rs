//! The engine's disk space. A request that fills a nearly full disk is refused, the response to a
//! new container warns of a disk that fills up, and the engine's own "no space left on device" gets
//! advice beside it. How full a disk is, and what the advice is, the daemon knows.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderMap};
use http::{Response, StatusCode};
use serde_json::Value;

use super::endpoint::BodyPaths;
use super::rewrite::{rewrite, with_warning};
use super::route::Route;
use crate::engine_status::EngineStatus;
use crate::error::Error;
use crate::wire::limits::is_short;
use crate::wire::response_body::ResponseBody;

/// ENOSPC, in the words of every program on Linux (errno(3)).
const NO_SPACE: &str = "no space left on device";
/// Where the Engine API has text for a user: in an error, in a stream of progress, and in the older
/// form of the latter.
const TEXTS: [&str; 3] = ["/message", "/errorDetail/message", "/error"];

/// Refuses a request for a full disk. Without a machine nothing is known: the engine decides.
pub(crate) async fn before(
    status: Option<&Arc<dyn EngineStatus>>,
    route: &Route,
) -> Result<(), Error> {
    let Some(status) = status.filter(|_| route.fills) else { return Ok(()) };
    match status.disk().await.and_then(|disk| disk.refusal) {
        Some(refusal) => Err(Error::DiskFull(refusal)),
        None => Ok(()),
    }
}

/// The advice for errors in a response that streams progress.
pub(crate) async fn advice(
    status: Option<&Arc<dyn EngineStatus>>,
    route: &Route,
    headers: &HeaderMap,
) -> Option<Arc<str>> {
    let status = status.filter(|_| route.fills && !headers.contains_key(CONTENT_LENGTH))?;
    Some(status.disk().await?.advice.into())
}

/// Rewrites a short response that is an error or a new container.
pub(crate) async fn after(
    status: Option<&Arc<dyn EngineStatus>>,
    route: &Route,
    response: Response<ResponseBody>,
) -> Result<Response<ResponseBody>, Error> {
    let created =
        route.paths == Some(BodyPaths::Container) && response.status() == StatusCode::CREATED;
    let failed = response.status() == StatusCode::INTERNAL_SERVER_ERROR;
    let Some(status) = status.filter(|_| (created || failed) && is_short(response.headers()))
    else {
        return Ok(response);
    };
    let Some(disk) = status.disk().await.filter(|disk| failed || disk.warning.is_some()) else {
        return Ok(response);
    };
    rewrite(response, |body| match &disk.warning {
        Some(warning) if created => with_warning(body, warning),
        _ => with_advice(body, &disk.advice),
    })
    .await
}

/// Adds advice where the engine reports a full disk. The engine writes each message of a stream at
/// once, so a message arrives whole; a partial one passes unchanged.
pub(crate) fn with_advice(data: Bytes, advice: &str) -> Bytes {
    if !data.windows(NO_SPACE.len()).any(|window| window == NO_SPACE.as_bytes()) {
        return data;
    }
    let lines = data.split_inclusive(|byte| *byte == b'\n');
    lines
        .flat_map(|line| message(line, advice).unwrap_or_else(|| line.to_vec()))
        .collect::<Vec<u8>>()
        .into()
}

fn message(line: &[u8], advice: &str) -> Option<Vec<u8>> {
    let mut message: Value = serde_json::from_slice(line).ok()?;
    let mut changed = false;
    for text in TEXTS {
        if let Some(Value::String(text)) = message.pointer_mut(text)
            && text.contains(NO_SPACE)
        {
            *text = format!("{text}; {advice}");
            changed = true;
        }
    }
    let mut new = serde_json::to_vec(&message).ok().filter(|_| changed)?;
    new.extend_from_slice(&line[line.trim_ascii_end().len()..]);
    Some(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advised(text: &str) -> String {
        let data = with_advice(Bytes::copy_from_slice(text.as_bytes()), "make room");
        String::from_utf8(data.to_vec()).unwrap()
    }

    #[test]
    fn advice_stands_beside_the_engines_words() {
        assert_eq!(
            advised("{\"message\":\"mkdir x: no space left on device\"}\n"),
            "{\"message\":\"mkdir x: no space left on device; make room\"}\n"
        );
        let detail = "{\"message\":\"write y: no space left on device\"}";
        let stream = format!(
            "{{\"status\":\"Extracting\"}}\r\n{{\"errorDetail\":{detail},\"error\":\"write y: no \
                space left on device\"}}\r\n"
        );
        let stream = advised(&stream);
        let lines: Vec<Value> =
            stream.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0], serde_json::json!({"status": "Extracting"}));
        let words = Value::from("write y: no space left on device; make room");
        assert_eq!((&lines[1]["error"], &lines[1]["errorDetail"]["message"]), (&words, &words));
        assert!(stream.ends_with("}\r\n"));
    }

    #[test]
    fn other_data_passes_byte_for_byte() {
        for text in [
            "{\"stream\":  \"no space left on device\"}\n",
            "no space left on device",
            "{\"error\":\"no space left on dev",
            "{\"error\" : \"other\"}\n",
            "",
        ] {
            assert_eq!(advised(text), text);
        }
    }
}
