//! Why a call to the engine failed.

use std::error::Error as StdError;

use http::StatusCode;

/// Why a call to the engine failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No stream could be opened.
    #[error("the engine cannot be reached")]
    Open(#[source] Box<dyn StdError + Send + Sync>),
    /// The stream broke off.
    #[error("the engine broke off its answer")]
    Exchange(#[source] hyper::Error),
    /// The response broke off or is too long.
    #[error("the engine's answer could not be read")]
    Body(#[source] Box<dyn StdError + Send + Sync>),
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
