//! Errors, with everything that the API reports about them. The cause of an error is its `source`,
//! and `Display` does not repeat it.

use std::fmt;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use crate::breaker::Outcome;
use crate::budget::RateLimit;

/// The result of a call.
pub type Result<T> = std::result::Result<T, Error>;

/// Method and path of a request, such as `POST /servers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLine {
    /// The HTTP method.
    pub method: Method,
    /// The path below the endpoint, without the query.
    pub path: String,
}

impl fmt::Display for RequestLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// A call that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API refused.
    #[error(transparent)]
    Api(Box<ApiError>),
    /// An action ended in an error.
    #[error("action {command} ({id}) failed: {message} ({code})")]
    Action {
        /// Id of the action.
        id: u64,
        /// Such as `attach_volume`.
        command: String,
        /// Such as `action_failed`.
        code: Code,
        /// The API's message.
        message: String,
    },
    /// The API no longer lists actions that it had started.
    #[error("the cloud no longer knows the actions {ids:?}")]
    ActionUnknown {
        /// Ids of the actions.
        ids: Vec<u64>,
    },
    /// No reply came. If the request was `sent`, the cloud may have carried it out.
    #[error(
        "{line}: {} {endpoint}{}",
        if *sent { "no usable reply came from" } else { "nothing is reached at" },
        likely(source, *sent)
    )]
    Transport {
        /// The request.
        line: RequestLine,
        /// The API's address in the settings.
        endpoint: String,
        /// Whether any part of the request may have been received.
        sent: bool,
        /// The cause.
        source: reqwest::Error,
    },
    /// Nothing was sent: the circuit breaker is open after calls without an answer.
    #[error("{line}: not asked, for {failures} calls in a row were not answered; the cloud is \
        asked again in {} s", again_in.as_secs() + 1)]
    Suspended {
        /// The request.
        line: RequestLine,
        /// Calls in a row without an answer, each with all its retries.
        failures: u32,
        /// No call is made until then.
        again_in: Duration,
    },
    /// Not the API answers there, but a web page, a redirect or a reply of another form.
    #[error("{line}: what answers at {endpoint} is not the Hetzner API: {what}")]
    NotTheApi {
        /// The request.
        line: RequestLine,
        /// The API's address in the settings.
        endpoint: String,
        /// What answers, human-readable.
        what: String,
    },
    /// The reply is not as the API documents it.
    #[error("{line}: the reply cannot be read")]
    Decode {
        /// The request.
        line: RequestLine,
        /// The cause.
        source: serde_json::Error,
    },
    /// Actions took longer than the limit.
    #[error("the actions {ids:?} have not ended within {} s", after.as_secs())]
    TimedOut {
        /// Ids of the actions that still run.
        ids: Vec<u64>,
        /// The time waited.
        after: Duration,
    },
    /// The endpoint is not an http or https address.
    #[error("the API endpoint {endpoint} is not an http(s) address")]
    Endpoint {
        /// The endpoint.
        endpoint: String,
    },
    /// The token is empty or has characters that cannot be sent. The message does not show it.
    #[error("the API token is empty or has characters that no token has")]
    Token,
    /// The HTTP client cannot be made, for example because the system's certificates cannot be
    /// read.
    #[error("the HTTP client cannot be made")]
    Setup {
        /// The cause.
        source: reqwest::Error,
    },
}

impl Error {
    /// The API's refusal, if it is one.
    pub fn api(&self) -> Option<&ApiError> {
        match self {
            Self::Api(error) => Some(error),
            _ => None,
        }
    }

    /// The API's code, if it refused.
    pub fn code(&self) -> Option<&Code> {
        self.api().map(|error| &error.code)
    }

    /// The server type is out of stock at this location: another type or location may work.
    ///
    /// Four refusals mean this: `resource_unavailable`, `placement_error`, and two forms of
    /// `invalid_input` that only their messages distinguish: the type is not sold at this location,
    /// or it was withdrawn.
    pub fn is_stock_out(&self) -> bool {
        self.api().is_some_and(|error| match error.code {
            Code::ResourceUnavailable | Code::PlacementError => true,
            Code::InvalidInput => {
                let withdrawn = error.message.starts_with("server type ")
                    && error.message.ends_with(" is deprecated");
                withdrawn || error.message.contains("unsupported location for server type")
            }
            _ => false,
        })
    }

    /// This location takes no new volume now: another location may.
    pub fn is_location_full(&self) -> bool {
        matches!(self.code(), Some(Code::NoSpaceLeftInLocation | Code::ResourceUnavailable))
    }

    /// By this computer's clock the API's certificate is expired or not valid yet: mostly the clock
    /// is wrong.
    pub fn is_clock_trouble(&self) -> bool {
        match self {
            Self::Transport { source, .. } => is_clock_trouble(&words(source)),
            _ => false,
        }
    }

    /// The token is not (or no longer) valid.
    pub fn is_unauthorized(&self) -> bool {
        self.api().is_some_and(|error| match error.code {
            Code::Unauthorized => true,
            // The API documents the same status for it, and the token is valid.
            Code::TokenReadonly => false,
            _ => error.status == StatusCode::UNAUTHORIZED,
        })
    }

    /// The token may read but not write.
    pub fn is_read_only(&self) -> bool {
        self.api().is_some_and(|error| match error.code {
            Code::TokenReadonly => true,
            Code::Forbidden => error.line.method != Method::GET,
            _ => false,
        })
    }

    /// An action runs on the resource; the request was not carried out.
    pub fn is_locked(&self) -> bool {
        matches!(self.code(), Some(Code::Locked | Code::ResourceLocked))
    }

    /// Something else uses the resource; the request was not carried out.
    pub fn is_in_use(&self) -> bool {
        self.code() == Some(&Code::ResourceInUse)
    }

    /// The name (or the key) is taken.
    pub fn is_uniqueness(&self) -> bool {
        self.code() == Some(&Code::UniquenessError)
    }

    /// A value in the request cannot be used, such as a deleted image.
    pub fn is_invalid(&self) -> bool {
        self.code() == Some(&Code::InvalidInput)
    }

    /// The resource does not exist. A 404 without the API's own error body does not count: it may
    /// come from any host on the path.
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(&Code::NotFound)
    }

    /// The reply was lost, or a gateway answered instead: the cloud may have carried out the
    /// request.
    pub fn is_lost_reply(&self) -> bool {
        match self {
            Self::Transport { sent, .. } => *sent,
            Self::Api(error) => error.is_gateway(),
            _ => false,
        }
    }

    /// What this error says about the availability of the API.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Transport { sent: false, .. } | Self::NotTheApi { .. } => Outcome::Unsent,
            error if error.is_lost_reply() => Outcome::Unanswered,
            _ => Outcome::Answered,
        }
    }
}

/// The error with its causes, in lower case.
fn words(source: &reqwest::Error) -> String {
    let mut words = String::new();
    let mut cause: Option<&dyn std::error::Error> = Some(source);
    while let Some(error) = cause {
        words.push_str(&error.to_string().to_lowercase());
        cause = error.source();
    }
    words
}

/// rustls refused the certificate for its dates.
fn is_clock_trouble(words: &str) -> bool {
    words.contains("certificate expired") || words.contains("certificate not valid yet")
}

/// What most likely is the matter, for the reader of a message; empty where the cause says enough.
fn likely(source: &reqwest::Error, sent: bool) -> &'static str {
    let words = words(source);
    let says = |text: &str| words.contains(text);
    match () {
        () if source.is_timeout() && sent => " in time",
        () if says("dns error") => " (its name cannot be looked up: this computer may be offline)",
        () if says("tunnel error") || says("proxy") => {
            " (the proxy of HTTPS_PROXY or HTTP_PROXY does not let it through)"
        }
        () if says("connection refused") => " (nothing listens there)",
        () if is_clock_trouble(&words) => {
            " (by this computer's clock its certificate is expired or not valid yet)"
        }
        () if says("certificate") => {
            " (its certificate is not the API's: a proxy or a firewall intercepts the connection)"
        }
        () if says("invalid http version")
            || says("corrupt message")
            || says("invalid contenttype")
            || says("record overflow") =>
        {
            " (what listens there speaks another protocol)"
        }
        () => "",
    }
}

/// The API's refusal of a request.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{line}: {message} ({code})")]
pub struct ApiError {
    /// The request.
    pub line: RequestLine,
    /// HTTP status.
    pub status: StatusCode,
    /// The reason, for programs. `Other("http <status>")` if the reply has no error body.
    pub code: Code,
    /// The reason, human-readable.
    pub message: String,
    /// Details, whose form depends on the code.
    pub details: Option<Value>,
    /// `X-Correlation-ID`, which Hetzner's support asks for.
    pub request_id: Option<String>,
    /// The rate budget after this request.
    pub rate_limit: Option<RateLimit>,
}

impl ApiError {
    pub(crate) fn is_gateway(&self) -> bool {
        is_gateway(self.status)
    }

    /// Reads an error reply of any form, with or without the API's envelope.
    pub(crate) fn read(
        line: RequestLine,
        status: StatusCode,
        body: &[u8],
        request_id: Option<String>,
        rate_limit: Option<RateLimit>,
    ) -> Self {
        #[derive(Deserialize)]
        struct Envelope {
            error: Content,
        }
        #[derive(Deserialize)]
        struct Content {
            code: Code,
            message: Option<String>,
            details: Option<Value>,
        }
        let (code, message, details) = match serde_json::from_slice(body) {
            Ok(Envelope { error }) => (error.code, error.message, error.details),
            Err(_) => (Code::Other(format!("http {}", status.as_u16())), None, None),
        };
        let message = message.filter(|text| !text.is_empty());
        let message = message
            .unwrap_or_else(|| status.canonical_reason().unwrap_or("no reason given").to_owned());
        Self { line, status, code, message, details, request_id, rate_limit }
    }
}

/// Whether a reply with status 502, 503 or 504 comes from a gateway before the API.
pub(crate) fn is_gateway(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    )
}

open_enum! {
    /// Error codes: those of the [API's table](https://docs.hetzner.cloud/reference/cloud#errors)
    /// and others that it has sent.
    Code {
        ActionFailed = "action_failed",
        BadGateway = "bad_gateway",
        Conflict = "conflict",
        DeprecatedApiEndpoint = "deprecated_api_endpoint",
        FirewallAlreadyApplied = "firewall_already_applied",
        FirewallAlreadyRemoved = "firewall_already_removed",
        Forbidden = "forbidden",
        InvalidInput = "invalid_input",
        InvalidServerType = "invalid_server_type",
        JsonError = "json_error",
        LimitExceededError = "limit_exceeded_error",
        Locked = "locked",
        Maintenance = "maintenance",
        MethodNotAllowed = "method_not_allowed",
        NoSpaceLeftInLocation = "no_space_left_in_location",
        NotFound = "not_found",
        PlacementError = "placement_error",
        Protected = "protected",
        RateLimitExceeded = "rate_limit_exceeded",
        ResourceInUse = "resource_in_use",
        ResourceLimitExceeded = "resource_limit_exceeded",
        ResourceLocked = "resource_locked",
        ResourceUnavailable = "resource_unavailable",
        ServerError = "server_error",
        ServerNotStopped = "server_not_stopped",
        ServiceError = "service_error",
        Timeout = "timeout",
        TokenReadonly = "token_readonly",
        Unauthorized = "unauthorized",
        Unavailable = "unavailable",
        UniquenessError = "uniqueness_error",
        UnknownError = "unknown_error",
        UnsupportedError = "unsupported_error",
        UserActionRequired = "user_action_required",
        VolumeAlreadyAttached = "volume_already_attached",
    }
}
