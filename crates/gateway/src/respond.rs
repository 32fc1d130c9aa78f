//! The one place that turns errors into responses, in the form that every Docker client
//! understands: status code, and `{"message": …}` with what the user can do.

use std::error::Error as _;

use api::RequestId;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;
use tunnel::OpenError;

use crate::error::Error;
use crate::wire::refusal::Refusal;
use crate::wire::response_body::ResponseBody;

/// The usual name of such a header. The engine sends none.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The `ErrorResponse` of the Engine API.
#[derive(Serialize)]
struct ErrorResponse {
    message: String,
}

pub(crate) fn error(error: Error) -> Response<ResponseBody> {
    let (status, message) = (status(&error), message(&error));
    let cause = error.source().map(ToString::to_string);
    if is_machines(&error) {
        tracing::info!(%status, %message, cause, "answered with an error");
    } else {
        tracing::debug!(%status, %message, cause, "answered with an error");
    }
    let mut response = Response::new(ResponseBody::whole(Bytes::from(body(message))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    name_request(response.headers_mut());
    response
}

/// Names the request that is being answered. The engine's answers pass as they are, also those that
/// are repeated.
pub(crate) fn name_request(headers: &mut HeaderMap) {
    let value = |request: RequestId| HeaderValue::from_str(request.as_str()).ok();
    if let Some(value) = tunnel::current_request().and_then(value) {
        headers.insert(REQUEST_ID, value);
    }
}

/// Whether the machine or the path to it failed the request, which the user looks up in the logs.
/// The supervisor logs itself why there is no machine, once for all requests.
fn is_machines(error: &Error) -> bool {
    match error {
        Error::Open(OpenError::NoMachine(_)) => false,
        Error::Open(_) | Error::Lost(_) | Error::Unreadable(_) => true,
        _ => false,
    }
}

/// The response as text that ends the connection, for clients that no HTTP server serves.
pub(crate) fn error_text(error: &Error, request: RequestId) -> String {
    let body = String::from_utf8(body(message(error))).unwrap_or_default();
    let (status, length) = (status(error), body.len());
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nX-Request-Id: \
            {request}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// The response to a malformed request, as Go's server writes it. It ends the connection: where the
/// next request begins is not known.
pub(crate) fn refusal_text(refusal: Refusal) -> String {
    let Refusal { status, why } = refusal;
    let text = if why.is_empty() { status.to_owned() } else { format!("{status}: {why}") };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: \
            close\r\n\r\n{text}"
    )
}

fn status(error: &Error) -> StatusCode {
    match error {
        Error::Open(_) | Error::TooManyClients => StatusCode::SERVICE_UNAVAILABLE,
        Error::Lost(_) | Error::Unreadable(_) => StatusCode::BAD_GATEWAY,
        Error::BrokeOff(_) | Error::LocalPath(_) => StatusCode::BAD_REQUEST,
        Error::Forbidden(_) => StatusCode::FORBIDDEN,
        Error::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Error::DiskFull(_) => StatusCode::INSUFFICIENT_STORAGE,
        // As dockerd answers.
        Error::Conflict(_) | Error::Panicked(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What the user can do, where the error does not say it itself.
fn hint(error: &Error) -> Option<&'static str> {
    match error {
        Error::Open(OpenError::Dead { .. }) => Some("Try again: the next command connects again"),
        Error::TooManyClients => {
            Some("Is there a program that opens connections and never closes them?")
        }
        // logind keeps a user's sockets there (file-hierarchy(7)).
        Error::Open(OpenError::NotFound { message } | OpenError::Refused { message })
            if message.contains("/run/user/") =>
        {
            Some(
                "The engine of a user runs while that user is logged in, or always after \
                    `loginctl enable-linger USER` there. Is it running?",
            )
        }
        Error::Open(OpenError::NotFound { .. } | OpenError::Refused { .. }) => {
            Some("Is Docker running on the machine?")
        }
        _ => None,
    }
}

fn message(error: &Error) -> String {
    match hint(error) {
        Some(hint) => format!("{}. {hint}", error.to_string().trim_end_matches('.')),
        None => error.to_string(),
    }
}

fn body(message: String) -> Vec<u8> {
    let mut body = serde_json::to_vec(&ErrorResponse { message }).unwrap_or_default();
    body.push(b'\n');
    body
}
