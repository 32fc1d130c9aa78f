//! Errors of queries to the engine.

use http::StatusCode;
use thiserror::Error;
use tunnel::OpenError;

/// Why a query to the engine failed.
#[derive(Debug, Error)]
pub enum EngineError {
    /// No stream could be opened.
    #[error("the engine cannot be reached")]
    Open(#[source] OpenError),
    /// The stream broke off.
    #[error("the engine broke off its answer")]
    Exchange(#[source] hyper::Error),
    /// The response broke off or is too long.
    #[error("the engine's answer could not be read")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The engine refused.
    #[error("the engine answered {status}: {message}")]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// The engine's message.
        message: String,
    },
    /// The response does not match the Engine API.
    #[error("the engine's answer could not be decoded")]
    Decode(#[source] serde_json::Error),
}
