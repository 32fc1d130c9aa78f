//! Why the engine did not answer.

use http::StatusCode;
use thiserror::Error;
use tunnel::OpenError;

/// Why the engine did not say.
#[derive(Debug, Error)]
pub enum EngineError {
    /// No stream to it.
    #[error("the engine cannot be reached")]
    Open(#[source] OpenError),
    /// The stream broke.
    #[error("the engine broke off its answer")]
    Exchange(#[source] hyper::Error),
    /// The answer broke off or is endless.
    #[error("the engine's answer could not be read")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It refused.
    #[error("the engine answered {status}: {message}")]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// Its own words.
        message: String,
    },
    /// It said something that the Engine API does not know.
    #[error("the engine's answer was not understood")]
    Decode(#[source] serde_json::Error),
}
