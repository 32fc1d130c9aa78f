//! Answers that are made here: failures, in the form that every Docker client understands.

use std::error::Error as StdError;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use ports::Conflict;
use serde::Serialize;
use thiserror::Error;
use tunnel::OpenError;

use crate::rules::bind_advice::Refused;
use crate::wire::body::ReplyBody;

/// Why a request got no answer of the engine.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// No stream to the engine.
    #[error("{0}")]
    Open(OpenError),
    /// The stream ended before the engine answered. Whether it did what was asked is not known.
    #[error(
        "the connection to the machine was lost before it answered; the next command connects \
            again"
    )]
    Lost(#[source] hyper::Error),
    /// What the client sent broke off.
    #[error("the request broke off")]
    BrokeOff(#[source] hyper::Error),
    /// The engine's answer broke off where it had to be read as a whole.
    #[error(
        "the connection to the machine was lost while it answered; the next command connects \
            again"
    )]
    Unreadable(#[source] Box<dyn StdError + Send + Sync>),
    /// A web page may have sent it.
    #[error("{0}")]
    Forbidden(&'static str),
    /// A folder of this computer is asked for.
    #[error("{0}")]
    Folder(Box<Refused>),
    /// It has to be read as a whole and is too large for that.
    #[error("the request is too large")]
    TooLarge,
    /// The engine's disk has nearly no room.
    #[error("{0}")]
    Full(String),
    /// A mistake of ours.
    #[error("the request could not be looked at")]
    Inside(#[source] tokio::task::JoinError),
    /// More clients than are served at once.
    #[error("too many connections at once")]
    Crowded,
    /// A published port is taken.
    #[error(transparent)]
    Conflict(#[from] Conflict),
}

impl Failure {
    /// What a failed exchange means.
    pub(crate) fn of(error: hyper::Error) -> Self {
        match OpenError::of(&error) {
            Some(refused) => Self::Open(refused.clone()),
            None if error.is_user() => Self::BrokeOff(error),
            None => Self::Lost(error),
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Open(_) | Self::Crowded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Lost(_) | Self::Unreadable(_) => StatusCode::BAD_GATEWAY,
            Self::BrokeOff(_) | Self::Folder(_) => StatusCode::BAD_REQUEST,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
            // As dockerd answers.
            Self::Conflict(_) | Self::Inside(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What the person can do, where the text does not say it by itself.
    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Open(OpenError::Dead { .. }) => {
                Some("Try again: the next command connects again")
            }
            Self::Crowded => {
                Some("Is there a program that opens connections and never closes them?")
            }
            // Where logind keeps what belongs to a user (file-hierarchy(7)).
            Self::Open(OpenError::NotFound { message } | OpenError::Refused { message })
                if message.contains("/run/user/") =>
            {
                Some(
                    "The engine of a user runs while that user is logged in, or always after \
                        `loginctl enable-linger USER` there. Is it running?",
                )
            }
            Self::Open(OpenError::NotFound { .. } | OpenError::Refused { .. }) => {
                Some("Is Docker running on the machine?")
            }
            _ => None,
        }
    }

    fn message(&self) -> String {
        match self.hint() {
            Some(hint) => format!("{}. {hint}", self.to_string().trim_end_matches('.')),
            None => self.to_string(),
        }
    }

    /// All of an answer as bytes, and the end of the connection, where no server is there to write
    /// it.
    pub(crate) fn into_text(self) -> String {
        let body = String::from_utf8(error_body(self.message())).unwrap_or_default();
        let (status, length) = (self.status(), body.len());
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: \
                {length}\r\nConnection: close\r\n\r\n{body}"
        )
    }

    pub(crate) fn into_response(self) -> Response<ReplyBody> {
        let message = self.message();
        tracing::debug!(status = %self.status(), %message, cause = self.source().map(ToString::to_string), "answered with a failure");
        docker_error(self.status(), message)
    }
}

#[derive(Serialize)]
struct ErrorBody {
    message: String,
}

fn error_body(message: String) -> Vec<u8> {
    let mut body = serde_json::to_vec(&ErrorBody { message }).unwrap_or_default();
    body.push(b'\n');
    body
}

/// `{"message": …}`, the `ErrorResponse` of the Engine API.
fn docker_error(status: StatusCode, message: String) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::whole(Bytes::from(error_body(message))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
