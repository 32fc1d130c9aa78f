//! Carries bytes between a local connection and its stream to the container. Each direction ends on
//! its own (half-close), and a break stays a break.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::counters::Use;

/// The initial buffer of a direction, in bytes, so that many idle connections cost little.
const INITIAL: usize = 8 * 1024;
/// The size to which the buffer grows while reads fill it, in bytes: what the tunnel returns at
/// once.
const MAX: usize = 128 * 1024;

/// Why a connection broke off.
pub(crate) enum Broken {
    /// The client reset it, or has gone.
    ByClient(io::Error),
    /// The container reset it, or the path to it was lost.
    ByContainer(io::Error),
}

enum End {
    /// The source ended, and the end was passed on.
    Whole,
    Source(io::Error),
    Sink(io::Error),
}

/// Returns when both directions have ended, or one has failed such that the other ends.
pub(crate) async fn relay(
    client: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    container: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    used: &Use,
) -> Result<(), Broken> {
    let mut up = std::pin::pin!(copy(client.0, container.1, |bytes| used.passed_in(bytes)));
    let mut down = std::pin::pin!(copy(container.0, client.1, |bytes| used.passed_out(bytes)));
    let (up, down) = tokio::select! {
        end = &mut up => match end {
            End::Source(error) => return Err(Broken::ByClient(error)),
            // What the container sent before it stopped reading still has to be delivered.
            end @ (End::Whole | End::Sink(_)) => (end, down.await),
        },
        end = &mut down => match end {
            End::Source(error) => return Err(Broken::ByContainer(error)),
            End::Sink(error) => return Err(Broken::ByClient(error)),
            End::Whole => (up.await, End::Whole),
        },
    };
    match (up, down) {
        (_, End::Source(error)) | (End::Sink(error), _) => Err(Broken::ByContainer(error)),
        (End::Source(error), _) | (_, End::Sink(error)) => Err(Broken::ByClient(error)),
        (End::Whole, End::Whole) => Ok(()),
    }
}

async fn copy(
    mut source: impl AsyncRead + Unpin,
    mut sink: impl AsyncWrite + Unpin,
    passed: impl Fn(usize),
) -> End {
    // Zeroed once, not for each read.
    let mut buffer = vec![0; INITIAL];
    loop {
        let length = match source.read(&mut buffer).await {
            Ok(0) => {
                // If the other side has gone already, this is still an orderly end.
                let _ = sink.shutdown().await;
                return End::Whole;
            }
            Ok(length) => length,
            Err(error) => return End::Source(error),
        };
        passed(length);
        let written = async {
            sink.write_all(&buffer[..length]).await?;
            sink.flush().await
        };
        if let Err(error) = written.await {
            return End::Sink(error);
        }
        if length == buffer.len() && length < MAX {
            buffer = vec![0; MAX];
        }
    }
}
