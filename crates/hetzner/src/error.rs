//! What can go wrong, with everything the API told about it. The cause of a failure is its
//! `source`; nothing here is repeated in `Display`.

use std::fmt;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use crate::breaker::Came;
use crate::budget::RateLimit;

/// The result of a call.
pub type Result<T> = std::result::Result<T, Error>;

/// What was asked of the API, such as `POST /servers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The HTTP method.
    pub method: Method,
    /// The path below the endpoint, without the query.
    pub path: String,
}

impl fmt::Display for Operation {
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
    /// An action that was begun ended in an error.
    #[error("action {command} ({id}) failed: {message} ({code})")]
    Action {
        /// Id of the action.
        id: u64,
        /// Such as `attach_volume`.
        command: String,
        /// Such as `action_failed`.
        code: Code,
        /// In the API's words.
        message: String,
    },
    /// The API no longer tells of actions that it had begun.
    #[error("the cloud no longer knows the actions {ids:?}")]
    ActionUnknown {
        /// Ids of the actions.
        ids: Vec<u64>,
    },
    /// No reply came. If it was `sent`, the cloud may have done it.
    #[error("{operation}: {} \
        {endpoint}{}", if *sent { "no usable reply came \
            from" } else { "nothing is reached at" }, likely(source, *sent))]
    Transport {
        /// What was asked.
        operation: Operation,
        /// Where the API should be.
        endpoint: String,
        /// Whether any of the request may have reached the other side.
        sent: bool,
        /// Why.
        source: reqwest::Error,
    },
    /// Nothing was sent: the cloud has left calls without an answer, and is spared for a while.
    #[error("{operation}: not asked, for {failures} calls in a row were not answered; the cloud is \
        asked again in {} s", again_in.as_secs() + 1)]
    Suspended {
        /// What was to be asked.
        operation: Operation,
        /// Calls in a row, each with all its repeats.
        failures: u32,
        /// Until then no call is made.
        again_in: Duration,
    },
    /// Something else than the API answers there: a web page, a redirect, a reply without the API's
    /// form.
    #[error("{operation}: what answers at {endpoint} is not the Hetzner API: {what}")]
    NotTheApi {
        /// What was asked.
        operation: Operation,
        /// Where the API should be.
        endpoint: String,
        /// What was seen, in words for a user.
        what: String,
    },
    /// The reply is not what the API promises.
    #[error("{operation}: the reply cannot be read")]
    Decode {
        /// What was asked.
        operation: Operation,
        /// Why.
        source: serde_json::Error,
    },
    /// Actions went on for longer than we were ready to wait.
    #[error("the actions {ids:?} have not ended within {} s", after.as_secs())]
    TimedOut {
        /// Ids of the actions that still run.
        ids: Vec<u64>,
        /// How long was waited.
        after: Duration,
    },
    /// The endpoint is not an http or https address.
    #[error("the API endpoint {endpoint} is not an http(s) address")]
    Endpoint {
        /// As it was given.
        endpoint: String,
    },
    /// The token is empty or has characters that cannot be sent. (It is not shown.)
    #[error("the API token is empty or has characters that no token has")]
    Token,
    /// The HTTP client cannot be made, for example because the system's certificates cannot be
    /// read.
    #[error("the HTTP client cannot be made")]
    Setup {
        /// Why.
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

    /// This server type is not to be had at this location now: another type or location may do.
    ///
    /// Four refusals mean it: `resource_unavailable`, `placement_error`, and two forms of
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
            // Documented with the same status, and the token is valid.
            Code::TokenReadonly => false,
            _ => error.status == StatusCode::UNAUTHORIZED,
        })
    }

    /// The token may read but not write.
    pub fn is_read_only(&self) -> bool {
        self.api().is_some_and(|error| match error.code {
            Code::TokenReadonly => true,
            Code::Forbidden => error.operation.method != Method::GET,
            _ => false,
        })
    }

    /// An action runs on the resource; nothing was done.
    pub fn is_locked(&self) -> bool {
        matches!(self.code(), Some(Code::Locked | Code::ResourceLocked))
    }

    /// Something else needs the resource; nothing was done.
    pub fn is_in_use(&self) -> bool {
        self.code() == Some(&Code::ResourceInUse)
    }

    /// The name (or the key) is taken.
    pub fn is_uniqueness(&self) -> bool {
        self.code() == Some(&Code::UniquenessError)
    }

    /// Something in the body cannot be used, such as an image that is gone.
    pub fn is_invalid(&self) -> bool {
        self.code() == Some(&Code::InvalidInput)
    }

    /// The resource does not exist. A 404 without the API's own error body does not count: it may
    /// come from anything on the way.
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(&Code::NotFound)
    }

    /// It is not known whether the cloud did what was asked: the reply was lost, or a gateway
    /// answered in its place.
    pub fn is_lost_reply(&self) -> bool {
        match self {
            Self::Transport { sent, .. } => *sent,
            Self::Api(error) => error.is_gateway(),
            _ => false,
        }
    }

    /// What a call that ended so tells of the API.
    pub(crate) fn came(&self) -> Came {
        match self {
            Self::Transport { sent: false, .. } | Self::NotTheApi { .. } => Came::Unsent,
            error if error.is_lost_reply() => Came::Unanswered,
            _ => Came::Answered,
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
            " (the proxy of HTTPS_PROXY or HTTP_PROXY \
            does not let it through)"
        }
        () if says("connection refused") => " (nothing listens there)",
        () if is_clock_trouble(&words) => {
            " (by this computer's clock its certificate is expired or not valid yet)"
        }
        () if says("certificate") => {
            " (its certificate is not the API's: something stands \
            between)"
        }
        () if says(
            "invalid http \
            version",
        ) || says("corrupt message")
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
#[error("{operation}: {message} ({code})")]
pub struct ApiError {
    /// What was asked.
    pub operation: Operation,
    /// HTTP status.
    pub status: StatusCode,
    /// The reason, for programs. `Other("http <status>")` if the reply has no error body.
    pub code: Code,
    /// The reason, for people.
    pub message: String,
    /// More about it; the form depends on the code.
    pub details: Option<Value>,
    /// `X-Correlation-ID`, which Hetzner's support asks for.
    pub request_id: Option<String>,
    /// The rate budget after this request.
    pub rate_limit: Option<RateLimit>,
}

impl ApiError {
    /// 502, 503 and 504: said by what stands before the API.
    pub(crate) fn is_gateway(&self) -> bool {
        matches!(
            self.status,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
        )
    }

    /// Reads an error reply of any form, with or without the API's envelope.
    pub(crate) fn read(
        operation: Operation,
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
        let message = message.unwrap_or_else(|| {
            status
                .canonical_reason()
                .unwrap_or(
                    "no reason \
            given",
                )
                .to_owned()
        });
        Self { operation, status, code, message, details, request_id, rate_limit }
    }
}

open_enum! {
    /// Error codes: those of the [API's table](https://docs.hetzner.cloud/reference/cloud#errors)
    /// and some more that it was seen to send.
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
