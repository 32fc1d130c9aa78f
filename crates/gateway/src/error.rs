//! Why a request got no response of the engine. `respond` turns these into responses.

use std::error::Error as StdError;

use ports::Conflict;
use thiserror::Error;
use tunnel::OpenError;

use crate::rules::bind_advice::RefusedPath;

#[derive(Debug, Error)]
pub(crate) enum Error {
    /// No stream to the engine.
    #[error("{0}")]
    Open(OpenError),
    /// The stream ended before the engine answered. Whether the engine carried the request out is
    /// unknown.
    #[error(
        "the connection to the machine was lost before it answered; the next command connects again"
    )]
    Lost(#[source] hyper::Error),
    /// The client broke off in the request body.
    #[error("the request broke off")]
    BrokeOff(#[source] hyper::Error),
    /// The engine's response broke off where the gateway reads it as a whole.
    #[error(
        "the connection to the machine was lost while it answered; the next command connects again"
    )]
    Unreadable(#[source] Box<dyn StdError + Send + Sync>),
    /// A web page may have sent the request.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The request names a path of this computer.
    #[error("{0}")]
    LocalPath(Box<RefusedPath>),
    /// The body has to be read as a whole and is too large for that.
    #[error("the request is too large")]
    TooLarge,
    /// The engine's disk is nearly full.
    #[error("{0}")]
    DiskFull(String),
    /// A bug: the thread that examined the request panicked.
    #[error("the request could not be examined")]
    Panicked(#[source] tokio::task::JoinError),
    /// More clients than are served at once.
    #[error("too many connections at once")]
    TooManyClients,
    /// A published port is taken.
    #[error(transparent)]
    Conflict(#[from] Conflict),
}

impl From<hyper::Error> for Error {
    /// What a failed exchange with the engine means.
    fn from(error: hyper::Error) -> Self {
        match OpenError::of(&error) {
            Some(refused) => Self::Open(refused.clone()),
            None if error.is_user() => Self::BrokeOff(error),
            None => Self::Lost(error),
        }
    }
}
