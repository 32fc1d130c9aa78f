//! Moves bytes between a client's stream and what it leads to, each direction closed on its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// One read of a direction, in bytes; as much as one frame carries. A thousand streams take 64 MiB of these.
const BUFFER: usize = 32 * 1024;

/// How long a greeting waits for the target's first byte, to leave with it: an engine answers a short request in a millisecond.
const TOGETHER: Duration = Duration::from_millis(3);

/// What is to be said to the client when a pump ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Dropping the stream says it all.
    Told,
    /// The same, and the client broke off rather than ended: so shall what it was connected to.
    ClientReset,
    /// Our side of the stream ended well, but nobody takes the client's bytes any more.
    WritesRefused,
    /// The client had ended its side before the target broke off: dropping the stream would look like an end.
    Broken {
        /// Bytes that the client was sent.
        after: u64,
    },
}

enum End {
    /// To the end, and the end was passed on.
    Finished,
    SourceFailed,
    SinkFailed,
}

/// Returns when both directions ended, or one failed in a way that ends the other. `greeting` goes to the client before the target's first byte, and
/// together with it where that comes soon.
pub async fn pump(client: impl AsyncRead + AsyncWrite, target: impl AsyncRead + AsyncWrite, greeting: Vec<u8>) -> Outcome {
    let (from_client, to_client) = tokio::io::split(client);
    let (from_target, to_target) = tokio::io::split(target);
    let sent = AtomicU64::new(0);
    let mut up = std::pin::pin!(copy(from_client, to_target, |_| {}));
    let mut down = std::pin::pin!(copy_after(greeting, from_target, to_client, |length| {
        sent.fetch_add(length as u64, Ordering::Relaxed);
    }));
    tokio::select! {
        end = &mut up => match end {
            // The client is gone: nobody is left to read.
            End::SourceFailed => Outcome::ClientReset,
            End::Finished => match down.await {
                End::SourceFailed => Outcome::Broken { after: sent.load(Ordering::Relaxed) },
                End::SinkFailed => Outcome::ClientReset,
                End::Finished => Outcome::Told,
            },
            // What the target said before it went is still to be delivered.
            End::SinkFailed => match down.await {
                End::Finished => Outcome::WritesRefused,
                End::SourceFailed | End::SinkFailed => Outcome::Told,
            },
        },
        end = &mut down => match end {
            End::SourceFailed => Outcome::Told,
            End::SinkFailed => Outcome::ClientReset,
            End::Finished => match up.await {
                End::SinkFailed => Outcome::WritesRefused,
                End::SourceFailed => Outcome::ClientReset,
                End::Finished => Outcome::Told,
            },
        },
    }
}

async fn copy_after(
    mut greeting: Vec<u8>,
    mut source: impl AsyncRead + Unpin,
    mut sink: impl AsyncWrite + Unpin,
    sent: impl Fn(usize),
) -> End {
    let ours = greeting.len();
    greeting.reserve(BUFFER);
    let first = tokio::time::timeout(TOGETHER, source.read_buf(&mut greeting)).await;
    if sink.write_all(&greeting).await.is_err() {
        return End::SinkFailed;
    }
    sent(greeting.len());
    match first {
        Ok(Err(_)) => End::SourceFailed,
        Ok(Ok(_)) if greeting.len() == ours => {
            let _ = sink.shutdown().await;
            End::Finished
        }
        Ok(Ok(_)) | Err(_) => {
            drop(greeting);
            copy(source, sink, sent).await
        }
    }
}

async fn copy(mut source: impl AsyncRead + Unpin, mut sink: impl AsyncWrite + Unpin, sent: impl Fn(usize)) -> End {
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = match source.read(&mut buffer).await {
            Ok(0) => {
                // The end of one side after the other is already gone is still an end.
                let _ = sink.shutdown().await;
                return End::Finished;
            }
            Ok(length) => length,
            Err(_) => return End::SourceFailed,
        };
        if sink.write_all(&buffer[..length]).await.is_err() {
            return End::SinkFailed;
        }
        sent(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixStream;

    #[tokio::test]
    async fn each_direction_is_closed_on_its_own() {
        let (mut client, inner) = UnixStream::pair().unwrap();
        let (outer, mut target) = UnixStream::pair().unwrap();
        let pumping = tokio::spawn(async move { pump(inner, outer, Vec::new()).await });
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut question = String::new();
        target.read_to_string(&mut question).await.unwrap();
        target.write_all(b"answer").await.unwrap();
        drop(target);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!((question.as_str(), answer.as_str()), ("question", "answer"));
        assert_eq!(pumping.await.unwrap(), Outcome::Told);
    }

    #[tokio::test]
    async fn a_target_that_is_gone_after_its_last_word_refuses_further_bytes() {
        let (mut client, inner) = UnixStream::pair().unwrap();
        let (outer, mut target) = UnixStream::pair().unwrap();
        let pumping = tokio::spawn(async move { pump(inner, outer, Vec::new()).await });
        target.write_all(b"too early").await.unwrap();
        drop(target);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "too early");
        client.write_all(b"more").await.unwrap();
        assert_eq!(pumping.await.unwrap(), Outcome::WritesRefused);
    }
}
