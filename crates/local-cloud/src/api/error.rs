//! The error envelope, and errors that several routes share. Messages that were recorded from
//! Hetzner are verbatim.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use serde_json::{Value, json};

use super::response::{Answer, json_response, json_text};
use crate::options::Limits;

/// An error answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) details: Value,
}

impl ApiError {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
    ) -> ApiError {
        ApiError { status, code, message: message.into(), details: Value::Null }
    }

    pub(crate) fn unauthorized(message: &str) -> ApiError {
        ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// 401 according to Hetzner's list of errors. A client must not take the token for an invalid
    /// one.
    pub(crate) fn token_readonly() -> ApiError {
        ApiError::new(
            StatusCode::UNAUTHORIZED,
            "token_readonly",
            "token is only allowed to perform GET requests",
        )
    }

    pub(crate) fn rate_limited(limits: Limits) -> ApiError {
        let message = format!("limit of {} requests per hour reached", limits.requests_per_hour);
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", message)
    }

    pub(crate) fn limit_exceeded(message: &str, limit: &str) -> ApiError {
        let mut error = ApiError::new(StatusCode::FORBIDDEN, "resource_limit_exceeded", message);
        error.details = json!({"limits": [{"name": limit}]});
        error
    }

    /// An endpoint that was removed, with the changelog entry that announced it.
    pub(crate) fn removed(announcement: &str) -> ApiError {
        let mut error = ApiError::new(
            StatusCode::GONE,
            "deprecated_api_endpoint",
            "API functionality was removed",
        );
        error.details =
            json!({"announcement": format!("https://docs.hetzner.cloud/changelog#{announcement}")});
        error
    }

    pub(crate) fn not_found(what: &str, id: u64) -> ApiError {
        ApiError::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("{what} with ID '{id}' not found"),
        )
    }

    pub(crate) fn unprocessable(code: &'static str, message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> ApiError {
        ApiError::unprocessable("invalid_input", message)
    }

    pub(crate) fn invalid_field(name: &str, message: impl Into<String>) -> ApiError {
        ApiError::invalid_fields([(name.to_owned(), vec![message.into()])])
    }

    pub(crate) fn invalid_fields(
        fields: impl IntoIterator<Item = (String, Vec<String>)>,
    ) -> ApiError {
        let fields: Vec<_> = fields.into_iter().collect();
        let names: Vec<String> = fields.iter().map(|(name, _)| format!("'{name}'")).collect();
        let word = if names.len() == 1 { "field" } else { "field(s)" };
        let mut error = ApiError::invalid(format!("invalid input in {word} {}", names.join(", ")));
        let fields: Vec<Value> = fields
            .into_iter()
            .map(|(name, messages)| json!({"name": name, "messages": messages}))
            .collect();
        error.details = json!({"fields": fields});
        error
    }

    pub(crate) fn taken(field: &str, message: impl Into<String>) -> ApiError {
        let mut error = ApiError::new(StatusCode::CONFLICT, "uniqueness_error", message);
        error.details = json!({"fields": [{"name": field}]});
        error
    }

    pub(crate) fn locked(what: &str) -> ApiError {
        ApiError::new(
            StatusCode::LOCKED,
            "locked",
            format!("cannot perform operation because {what} is locked"),
        )
    }

    pub(crate) fn protected(what: &str) -> ApiError {
        ApiError::new(StatusCode::LOCKED, "protected", format!("{what} is protected"))
    }

    /// Recorded from December 2025 to March 2026, with `details` in this form.
    pub(crate) fn location_disabled() -> ApiError {
        let mut error = ApiError::new(
            StatusCode::PRECONDITION_FAILED,
            "resource_unavailable",
            "server location disabled",
        );
        error.details = json!({});
        error
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> ApiError {
        ApiError::unprocessable("unsupported_error", message)
    }

    pub(crate) fn into_response(self) -> Answer {
        // Hetzner's front end writes its token errors on one line.
        if self.code == "unauthorized" {
            let content =
                json!({"code": self.code, "message": self.message, "details": self.details});
            return json_response(self.status, &json!({"error": content}));
        }
        let envelope = Envelope {
            error: Content { message: &self.message, code: self.code, details: &self.details },
        };
        let text = serde_json::to_string_pretty(&envelope).unwrap_or_default();
        json_text(self.status, format!("{text}\n"))
    }
}

/// Field order and body length as recorded.
#[derive(Serialize)]
struct Envelope<'a> {
    error: Content<'a>,
}

#[derive(Serialize)]
struct Content<'a> {
    message: &'a str,
    code: &'a str,
    details: &'a Value,
}

/// Hetzner's front end writes this one, with a content type of its own.
pub(super) fn no_such_route() -> Answer {
    const BODY: &str = "{\n  \"error\": {\n    \"message\": \"api route not found\",\n    \
     \"code\": \"not_found\",\n    \"details\": null\n  }\n}\n";
    let mut answer = Response::new(Full::new(Bytes::from_static(BODY.as_bytes())));
    *answer.status_mut() = StatusCode::NOT_FOUND;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"));
    answer
}
