//! The id of a request in what the daemon answers: in its errors, and in each answer of the control
//! socket.

use api::{Error, RequestId};
use axum::extract::Request;
use axum::http::header::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;
use tunnel::{current_request, for_request};

/// As in answers of the gateway.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The error as the request in progress gets it. Another one's may have failed first, in an attempt
/// that both waited for.
pub(crate) fn named(error: Error) -> Error {
    match current_request() {
        Some(request) => Error { request_id: Some(request.to_string()), ..error },
        None => error,
    }
}

/// Gives a command of the control socket its id, which is in everything that is logged meanwhile.
pub(crate) async fn traced(command: Request, next: Next) -> Response {
    let id = RequestId::new(rand::random());
    // Level debug: `wake` and `status` ask several times a second.
    let span = tracing::debug_span!("command", %id, path = command.uri().path());
    let mut response = for_request(id, next.run(command)).instrument(span).await;
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}
