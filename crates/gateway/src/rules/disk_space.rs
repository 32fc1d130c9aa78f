//! The disk behind the engine. What would fill it is refused while nearly nothing is left, a new
//! container tells of a disk that fills up, and where the engine itself says that there is no room,
//! what can be done stands beside its words. How full a disk is, and what can be done, is not known
//! here.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderMap};
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use serde_json::Value;

use crate::error::Failure;
use crate::local::engine_status::EngineStatus;
use crate::rules::endpoints::{Binds, Route};
use crate::wire::body::ReplyBody;
use crate::wire::framing::MAX_HEAD;

/// ENOSPC, in the words of every program on Linux (errno(3)).
const NO_ROOM: &str = "no space left on device";
/// Where the Engine API has a text for a person: in an error, in a stream of progress, and in what
/// both clients and engines made of it before.
const TEXTS: [&str; 3] = ["/message", "/errorDetail/message", "/error"];

/// Before the engine hears of it. Without a machine there is nothing to look at: the engine says by
/// itself what it thinks.
pub(crate) async fn before(
    presence: Option<&Arc<dyn EngineStatus>>,
    route: &Route,
) -> Result<(), Failure> {
    let Some(presence) = presence.filter(|_| route.fills) else { return Ok(()) };
    match presence.disk().await.and_then(|disk| disk.refusal) {
        Some(refusal) => Err(Failure::Full(refusal)),
        None => Ok(()),
    }
}

/// What stands beside the engine's words in an answer that has no length and goes on.
pub(crate) async fn advice(
    presence: Option<&Arc<dyn EngineStatus>>,
    route: &Route,
    headers: &HeaderMap,
) -> Option<Arc<str>> {
    let presence = presence.filter(|_| route.fills && !headers.contains_key(CONTENT_LENGTH))?;
    Some(presence.disk().await?.advice.into())
}

/// The engine's answer as a whole, where it is an error or a new container.
pub(crate) async fn after(
    presence: Option<&Arc<dyn EngineStatus>>,
    route: &Route,
    response: Response<ReplyBody>,
) -> Result<Response<ReplyBody>, Failure> {
    let created = route.binds == Some(Binds::Container) && response.status() == StatusCode::CREATED;
    let failed = response.status() == StatusCode::INTERNAL_SERVER_ERROR;
    let Some(presence) = presence.filter(|_| (created || failed) && is_short(response.headers()))
    else {
        return Ok(response);
    };
    let Some(disk) = presence.disk().await.filter(|disk| failed || disk.warning.is_some()) else {
        return Ok(response);
    };
    let (mut parts, body) = response.into_parts();
    let body =
        Limited::new(body, MAX_HEAD).collect().await.map_err(Failure::Unreadable)?.to_bytes();
    let body = match &disk.warning {
        Some(warning) if created => warned(body, warning),
        _ => explained(body, &disk.advice),
    };
    parts.headers.insert(CONTENT_LENGTH, body.len().into());
    Ok(Response::from_parts(parts, ReplyBody::whole(body)))
}

pub(crate) fn is_short(headers: &HeaderMap) -> bool {
    let length =
        headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    length.is_some_and(|length| length <= MAX_HEAD)
}

/// The same with what can be done, where the engine says that there is no room. The engine writes
/// each message of a stream at once, so it comes whole; what does not is left as it is.
pub(crate) fn explained(data: Bytes, advice: &str) -> Bytes {
    if !data.windows(NO_ROOM.len()).any(|window| window == NO_ROOM.as_bytes()) {
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
    let mut told = false;
    for text in TEXTS {
        if let Some(Value::String(text)) = message.pointer_mut(text)
            && text.contains(NO_ROOM)
        {
            *text = format!("{text}; {advice}");
            told = true;
        }
    }
    let mut new = serde_json::to_vec(&message).ok().filter(|_| told)?;
    new.extend_from_slice(&line[line.trim_ascii_end().len()..]);
    Some(new)
}

/// The answer to a creation, which has a place for warnings.
pub(crate) fn warned(body: Bytes, warning: &str) -> Bytes {
    let Ok(Value::Object(mut answer)) = serde_json::from_slice(&body) else { return body };
    let warnings = answer.entry("Warnings").or_insert(Value::Null);
    match warnings {
        Value::Array(warnings) => warnings.push(warning.into()),
        _ => *warnings = vec![Value::from(warning)].into(),
    }
    serde_json::to_vec(&answer).map_or(body, Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        String::from_utf8(explained(Bytes::copy_from_slice(text.as_bytes()), "make room").to_vec())
            .unwrap()
    }

    #[test]
    fn where_the_engine_has_no_room_what_can_be_done_stands_beside_its_words() {
        assert_eq!(
            told("{\"message\":\"mkdir x: no space left on device\"}\n"),
            "{\"message\":\"mkdir x: no space left on device; make room\"}\n"
        );
        let stream = "{\"status\":\"Extracting\"}\r\n{\"errorDetail\":{\"message\":\"write y: no space left on device\"},\"error\":\"write y: no space left on device\"}\r\n";
        let lines: Vec<Value> =
            told(stream).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0], serde_json::json!({"status": "Extracting"}));
        assert_eq!(
            (&lines[1]["error"], &lines[1]["errorDetail"]["message"]),
            (
                &lines[1]["errorDetail"]["message"],
                &"write y: no space left on device; make room".into()
            )
        );
        assert!(told(stream).ends_with("}\r\n"));
    }

    #[test]
    fn what_is_no_such_message_passes_byte_for_byte() {
        for text in [
            "{\"stream\":  \"no space left on device\"}\n",
            "no space left on device",
            "{\"error\":\"no space left on dev",
            "{\"error\" : \"other\"}\n",
            "",
        ] {
            assert_eq!(told(text), text);
        }
    }

    #[test]
    fn a_new_container_has_the_warning_among_the_engines() {
        let warned = |text: &str| -> Value {
            serde_json::from_slice(&warned(Bytes::copy_from_slice(text.as_bytes()), "it fills up"))
                .unwrap()
        };
        assert_eq!(
            warned("{\"Id\":\"4f\",\"Warnings\":[\"a\"]}\n"),
            serde_json::json!({"Id": "4f", "Warnings": ["a", "it fills up"]})
        );
        assert_eq!(
            warned("{\"Id\":\"4f\",\"Warnings\":null}")["Warnings"],
            serde_json::json!(["it fills up"])
        );
        assert_eq!(warned("{\"Id\":\"4f\"}")["Warnings"], serde_json::json!(["it fills up"]));
    }
}
