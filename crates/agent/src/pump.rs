//! Moves bytes between a client's stream and its target. Each direction ends on its own
//! (half-close). A silent stream holds no buffer.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};

/// One read of a direction, in bytes: whole pieces of a lane, and about what it compresses at once.
const PIECE: usize = 4 * agent_proto::LANES_SPLIT;

/// How long a greeting waits for the target's first byte in order to be sent with it: an engine
/// answers a short request in a millisecond.
const JOIN: Duration = Duration::from_millis(3);

thread_local! {
    /// Every stream reads into this buffer. It is empty between two polls: what the other side does
    /// not accept at once is copied.
    static SHARED: RefCell<Vec<u8>> = RefCell::new(vec![0; PIECE]);
}

/// What the client has to be sent when a pump ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing more: dropping the stream is enough.
    Complete,
    /// Nothing more. The client broke off rather than ended, so the target has to be reset.
    ClientReset,
    /// The agent's side ended orderly, but the target accepts no more bytes of the client.
    WritesRefused,
    /// The client had ended its side before the target broke off: dropping the stream would look
    /// like an orderly end.
    Broken {
        /// How many bytes the client was sent.
        after: u64,
    },
}

/// How a direction ended.
pub enum End {
    /// The source ended, and the end was passed on.
    Finished,
    SourceFailed,
    SinkFailed,
}

/// Returns when both directions ended, or one failed such that the other ends. `greeting` is sent
/// to the client before the target's first byte, and together with it if that arrives soon.
pub async fn pump(
    client: impl AsyncRead + AsyncWrite,
    target: impl AsyncRead + AsyncWrite,
    greeting: Vec<u8>,
) -> Outcome {
    let (from_client, to_client) = tokio::io::split(client);
    let (from_target, to_target) = tokio::io::split(target);
    let sent = AtomicU64::new(0);
    let up = copy(from_client, to_target, |_| {});
    let down = copy_after(greeting, from_target, to_client, |length| {
        sent.fetch_add(length as u64, Ordering::Relaxed);
    });
    directions(up, down, || sent.load(Ordering::Relaxed)).await
}

/// Drives both directions. `sent` returns how many bytes the client was sent.
pub async fn directions(
    up: impl Future<Output = End>,
    down: impl Future<Output = End>,
    sent: impl Fn() -> u64,
) -> Outcome {
    let (mut up, mut down) = (std::pin::pin!(up), std::pin::pin!(down));
    tokio::select! {
        end = &mut up => match end {
            // The client is gone, so no reader is left.
            End::SourceFailed => Outcome::ClientReset,
            End::Finished => match down.await {
                End::SourceFailed => Outcome::Broken { after: sent() },
                End::SinkFailed => Outcome::ClientReset,
                End::Finished => Outcome::Complete,
            },
            // What the target sent before it closed still has to be delivered.
            End::SinkFailed => match down.await {
                End::Finished => Outcome::WritesRefused,
                End::SourceFailed | End::SinkFailed => Outcome::Complete,
            },
        },
        end = &mut down => match end {
            End::SourceFailed => Outcome::Complete,
            End::SinkFailed => Outcome::ClientReset,
            End::Finished => match up.await {
                End::SinkFailed => Outcome::WritesRefused,
                End::SourceFailed => Outcome::ClientReset,
                End::Finished => Outcome::Complete,
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
    let first = tokio::time::timeout(
        JOIN,
        poll_fn(|cx| poll_piece(cx, &mut source, |_, piece| greeting.extend_from_slice(piece))),
    )
    .await;
    if sink.write_all(&greeting).await.is_err() {
        return End::SinkFailed;
    }
    sent(greeting.len());
    drop(greeting);
    match first {
        Ok(Err(_)) => End::SourceFailed,
        Ok(Ok(0)) => {
            let _ = sink.shutdown().await;
            End::Finished
        }
        Ok(Ok(_)) | Err(_) => copy(source, sink, sent).await,
    }
}

/// Moves one direction to its end.
pub async fn copy(
    mut source: impl AsyncRead + Unpin,
    mut sink: impl AsyncWrite + Unpin,
    sent: impl Fn(usize),
) -> End {
    let mut rest = Vec::new();
    loop {
        let moved = poll_fn(|cx| {
            let mut taken = Poll::Ready(Ok(()));
            match poll_piece(cx, &mut source, |cx, piece| {
                taken = poll_write_piece(cx, &mut sink, piece, &mut rest)
            }) {
                Poll::Ready(read) => Poll::Ready(Moved::of(read, taken)),
                // The sink may hold bytes back for more to follow; without more they are flushed.
                Poll::Pending => match Pin::new(&mut sink).poll_flush(cx) {
                    Poll::Ready(Err(_)) => Poll::Ready(Moved::SinkFailed),
                    Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
                },
            }
        });
        match moved.await {
            Moved::SourceFailed => return End::SourceFailed,
            Moved::SinkFailed => return End::SinkFailed,
            Moved::Ended => {
                // If the other side has gone already, this is still an orderly end.
                let _ = sink.shutdown().await;
                return End::Finished;
            }
            Moved::Whole(length) => sent(length),
            Moved::Part(length) => {
                if sink.write_all(&std::mem::take(&mut rest)).await.is_err() {
                    return End::SinkFailed;
                }
                sent(length);
            }
        }
    }
}

/// The result of one read.
enum Moved {
    SourceFailed,
    SinkFailed,
    Ended,
    /// All bytes were written.
    Whole(usize),
    /// Some bytes are left.
    Part(usize),
}

impl Moved {
    fn of(read: io::Result<usize>, taken: Poll<io::Result<()>>) -> Self {
        match (read, taken) {
            (Err(_), _) => Moved::SourceFailed,
            (Ok(0), _) => Moved::Ended,
            (Ok(_), Poll::Ready(Err(_))) => Moved::SinkFailed,
            (Ok(length), Poll::Ready(Ok(()))) => Moved::Whole(length),
            (Ok(length), Poll::Pending) => Moved::Part(length),
        }
    }
}

/// Reads once and passes the bytes to `take`. No bytes mean the end.
fn poll_piece(
    cx: &mut Context<'_>,
    source: &mut (impl AsyncRead + Unpin),
    take: impl FnOnce(&mut Context<'_>, &[u8]),
) -> Poll<io::Result<usize>> {
    SHARED.with_borrow_mut(|shared| {
        let mut buf = ReadBuf::new(shared);
        ready!(Pin::new(source).poll_read(cx, &mut buf))?;
        take(cx, buf.filled());
        Poll::Ready(Ok(buf.filled().len()))
    })
}

/// Writes as much as possible now, and copies the remainder to `rest`.
fn poll_write_piece(
    cx: &mut Context<'_>,
    sink: &mut (impl AsyncWrite + Unpin),
    mut piece: &[u8],
    rest: &mut Vec<u8>,
) -> Poll<io::Result<()>> {
    while !piece.is_empty() {
        match Pin::new(&mut *sink).poll_write(cx, piece) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(written)) => piece = &piece[written..],
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => {
                *rest = piece.to_vec();
                return Poll::Pending;
            }
        }
    }
    Poll::Ready(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BufMut as _;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::UnixStream;

    #[tokio::test]
    async fn pending_bytes_arrive_in_order_while_other_streams_use_the_buffer() {
        let mut pumps = Vec::new();
        for seed in 0..3_usize {
            let (mut client, inner) = UnixStream::pair().unwrap();
            let (outer, mut target) = UnixStream::pair().unwrap();
            let pumping = tokio::spawn(async move { pump(inner, outer, b"hello".to_vec()).await });
            let said: Vec<u8> = (0..3 * PIECE).map(|at| (at * (seed + 3) / 7) as u8).collect();
            let expected = [b"hello", said.as_slice()].concat();
            let saying = tokio::spawn(async move {
                target.write_all(&said).await.unwrap();
            });
            let hearing = tokio::spawn(async move {
                let mut heard = Vec::new();
                // Fewer bytes than one write sends.
                while client.read_buf(&mut (&mut heard).limit(10_000)).await.unwrap() > 0 {
                    tokio::task::yield_now().await;
                }
                heard
            });
            pumps.push((saying, hearing, expected, pumping));
        }
        for (saying, hearing, expected, pumping) in pumps {
            saying.await.unwrap();
            assert!(hearing.await.unwrap() == expected);
            pumping.abort();
        }
    }

    #[tokio::test]
    async fn each_direction_ends_on_its_own() {
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
        assert_eq!(pumping.await.unwrap(), Outcome::Complete);
    }

    #[tokio::test]
    async fn a_closed_target_refuses_further_bytes() {
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
