//! HTTP answers with a JSON body.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::Value;

pub(super) type Answer = Response<Full<Bytes>>;

pub(super) fn json_response(status: StatusCode, body: &Value) -> Answer {
    json_text(status, body.to_string())
}

pub(super) fn json_text(status: StatusCode, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
