//! What opens streams to an engine.

use std::error::Error as StdError;

use tokio::io::{AsyncRead, AsyncWrite};

/// Opens streams to an engine: to a local Unix socket, or through a tunnel. Each closure that
/// returns a future of a stream is one.
pub trait Connector: Send + Sync {
    /// A stream to the engine. Shutting it down closes the writing half only.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;
    /// Why there is no stream.
    type Error: Into<Box<dyn StdError + Send + Sync>>;

    /// Opens a stream, ready for the first write.
    fn connect(&self) -> impl Future<Output = Result<Self::Stream, Self::Error>> + Send;
}

impl<F, A, S, E> Connector for F
where
    F: Fn() -> A + Send + Sync,
    A: Future<Output = Result<S, E>> + Send,
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    type Stream = S;
    type Error = E;

    fn connect(&self) -> impl Future<Output = Result<S, E>> + Send {
        self()
    }
}
