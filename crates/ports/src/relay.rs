//! Bytes between a local connection and its stream to the container: each direction ends on its
//! own, and an end is told as what it was.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::counters::Use;

/// A direction begins with this much, so that many idle connections cost little, in bytes.
const FIRST: usize = 8 * 1024;
/// What it grows to while it is filled, in bytes: what the tunnel gives at once.
const MOST: usize = 128 * 1024;

/// Why a connection broke off.
pub(crate) enum Broken {
    /// The client reset it, or is gone.
    ByClient(io::Error),
    /// The container did, or the path to it.
    ByContainer(io::Error),
}

enum End {
    /// To the end, and the end was passed on.
    Whole,
    Source(io::Error),
    Sink(io::Error),
}

/// Returns when both directions have ended, or one has failed in a way that ends the other.
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
            // What the container said before it took no more is still to be delivered.
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
    let mut buffer = vec![0; FIRST];
    loop {
        let length = match source.read(&mut buffer).await {
            Ok(0) => {
                // The end of one side after the other is already gone is still an end.
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
        if length == buffer.len() && length < MOST {
            buffer = vec![0; MOST];
        }
    }
}
