//! Answers that are made here: failures, in the form that every Docker client understands.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use ports::Conflict;
use serde::Serialize;
use thiserror::Error;
use tunnel::OpenError;

use crate::body::ReplyBody;

/// Why a request got no answer of the engine.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// No stream to the engine.
    #[error("{0}")]
    Open(OpenError),
    /// The stream ended before the engine answered. Whether it did what was asked is not known.
    #[error("the connection to the machine was lost before it answered; the next command connects again")]
    Lost(#[source] hyper::Error),
    /// What the client sent broke off.
    #[error("the request broke off")]
    BrokeOff(#[source] hyper::Error),
    /// The engine's answer broke off where it had to be read as a whole.
    #[error("the connection to the machine was lost while it answered; the next command connects again")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A published port is taken.
    #[error(transparent)]
    Conflict(#[from] Conflict),
}

impl Failure {
    fn status(&self) -> StatusCode {
        match self {
            Self::Open(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Lost(_) | Self::Unreadable(_) => StatusCode::BAD_GATEWAY,
            Self::BrokeOff(_) => StatusCode::BAD_REQUEST,
            // As dockerd answers.
            Self::Conflict(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What the person can do, where the text does not say it by itself.
    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Open(OpenError::Dead { .. }) => Some("Try again: the next command connects again"),
            Self::Open(OpenError::NotFound { .. } | OpenError::Refused { .. }) => Some("Is Docker running on the machine?"),
            _ => None,
        }
    }

    pub(crate) fn into_response(self) -> Response<ReplyBody> {
        let message = match self.hint() {
            Some(hint) => format!("{}. {hint}", self.to_string().trim_end_matches('.')),
            None => self.to_string(),
        };
        tracing::debug!(status = %self.status(), %message, cause = ?std::error::Error::source(&self).map(ToString::to_string), "answered with a failure");
        docker_error(self.status(), message)
    }
}

#[derive(Serialize)]
struct ErrorBody {
    message: String,
}

/// `{"message": …}`, the `ErrorResponse` of the Engine API.
fn docker_error(status: StatusCode, message: String) -> Response<ReplyBody> {
    let mut body = serde_json::to_vec(&ErrorBody { message }).unwrap_or_default();
    body.push(b'\n');
    let mut response = Response::new(ReplyBody::whole(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
