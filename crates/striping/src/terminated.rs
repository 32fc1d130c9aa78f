//! A stream with an explicit end.
//!
//! sshd reports an orderly end of a channel for every failure of the connection behind it. Here the
//! bytes are sent in pieces with a length prefix, and an empty piece is the end: a stream that
//! stops without one has broken off.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of the length prefix, big-endian.
const HEAD: usize = 4;
/// The largest piece, in bytes: the size of one read of the other side.
pub const LONGEST: usize = 128 * 1024;

/// A stream over `T` with an explicit end in each direction. Both sides use it.
pub struct Terminated<T> {
    io: T,
    incoming: Incoming,
    /// Accepted bytes that are not written yet: a head, or a head and a piece.
    outgoing: Vec<u8>,
    written: usize,
    finished: bool,
}

enum Incoming {
    Head { bytes: [u8; HEAD], known: usize },
    Piece { rest: usize },
    Ended,
}

impl Incoming {
    const NEXT: Self = Incoming::Head { bytes: [0; HEAD], known: 0 };
}

/// The length prefix of a piece, for a caller that moves the bytes itself.
pub fn head_of_piece(length: usize) -> [u8; HEAD] {
    debug_assert!((1..=LONGEST).contains(&length), "a piece cannot have {length} bytes");
    (length as u32).to_be_bytes()
}

/// The piece that ends a stream.
pub fn terminator() -> [u8; HEAD] {
    [0; HEAD]
}

impl<T> Terminated<T> {
    /// Wraps a stream that has carried no byte yet.
    pub fn new(io: T) -> Self {
        Self { io, incoming: Incoming::NEXT, outgoing: Vec::new(), written: 0, finished: false }
    }
}

impl<T: AsyncWrite + Unpin> Terminated<T> {
    fn poll_outgoing(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.outgoing.len() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.outgoing[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Terminated<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            match &mut this.incoming {
                Incoming::Ended => return Poll::Ready(Ok(())),
                Incoming::Head { bytes, known } => {
                    let mut head = ReadBuf::new(&mut bytes[*known..]);
                    ready!(Pin::new(&mut this.io).poll_read(cx, &mut head))?;
                    match head.filled().len() {
                        0 => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                        read => *known += read,
                    }
                    if *known == HEAD {
                        this.incoming = match u32::from_be_bytes(*bytes) as usize {
                            0 => Incoming::Ended,
                            rest @ 1..=LONGEST => Incoming::Piece { rest },
                            length => {
                                return Poll::Ready(Err(io::Error::new(
                                    io::ErrorKind::InvalidData,
                                    format!("a piece of {length} bytes"),
                                )));
                            }
                        };
                    }
                }
                Incoming::Piece { rest } => {
                    let room = buf.remaining().min(*rest);
                    let mut piece = ReadBuf::new(buf.initialize_unfilled_to(room));
                    ready!(Pin::new(&mut this.io).poll_read(cx, &mut piece))?;
                    let read = piece.filled().len();
                    if read == 0 {
                        return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                    }
                    buf.advance(read);
                    *rest -= read;
                    if *rest == 0 {
                        this.incoming = Incoming::NEXT;
                    }
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Terminated<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(this.poll_outgoing(cx))?;
        let taken = buf.len().min(LONGEST);
        if taken == 0 {
            return Poll::Ready(Ok(0));
        }
        let (head, piece) = (head_of_piece(taken), &buf[..taken]);
        // Most pieces are written at once; only the remainder is buffered.
        let gone = match this.io.is_write_vectored() {
            true => match Pin::new(&mut this.io)
                .poll_write_vectored(cx, &[IoSlice::new(&head), IoSlice::new(piece)])
            {
                Poll::Ready(count) => count?,
                Poll::Pending => return Poll::Pending,
            },
            false => 0,
        };
        this.outgoing.clear();
        this.outgoing.extend_from_slice(&head[gone.min(HEAD)..]);
        this.outgoing.extend_from_slice(&piece[gone.saturating_sub(HEAD)..]);
        this.written = 0;
        match this.poll_outgoing(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(taken)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_outgoing(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_outgoing(cx))?;
        if !std::mem::replace(&mut self.finished, true) {
            self.outgoing = terminator().to_vec();
            self.written = 0;
        }
        ready!(self.poll_outgoing(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    use super::*;

    fn pair(room: usize) -> (Terminated<DuplexStream>, Terminated<DuplexStream>) {
        let (here, there) = tokio::io::duplex(room);
        (Terminated::new(here), Terminated::new(there))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_byte_and_the_end_arrive(
            pieces in proptest::collection::vec(0_usize..300_000, 0..6),
            room in 1_usize..100_000,
        ) {
            let sent: Vec<Vec<u8>> = pieces
                .iter()
                .map(|length| (0..*length).map(|at| (at * at / 7) as u8).collect())
                .collect();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let heard = runtime.block_on(async {
                let (mut here, mut there) = pair(room);
                let writing = async {
                    for piece in &sent {
                        here.write_all(piece).await.unwrap();
                    }
                    here.shutdown().await.unwrap();
                };
                let mut heard = Vec::new();
                let ((), read) = tokio::join!(writing, there.read_to_end(&mut heard));
                read.unwrap();
                heard
            });
            prop_assert!(heard == sent.concat());
        }

        #[test]
        fn arbitrary_input_does_not_panic(bytes: Vec<u8>) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let (mut other, io) = tokio::io::duplex(1 << 20);
                other.write_all(&bytes).await.unwrap();
                drop(other);
                let _ = Terminated::new(io).read_to_end(&mut Vec::new()).await;
            });
        }
    }

    #[tokio::test]
    async fn a_stream_that_stops_without_a_terminator_is_reset() {
        for said in [&b""[..], b"everything so far"] {
            let (mut here, mut there) = pair(1024);
            here.write_all(said).await.unwrap();
            // sshd ends the channel in the same manner whatever happened.
            here.io.shutdown().await.unwrap();
            let mut heard = vec![0; said.len()];
            there.read_exact(&mut heard).await.unwrap();
            assert_eq!(heard, said);
            assert_eq!(
                there.read(&mut [0]).await.unwrap_err().kind(),
                io::ErrorKind::ConnectionReset
            );
        }
    }

    #[tokio::test]
    async fn a_stream_that_stops_within_a_piece_is_reset() {
        let (mut here, there) = tokio::io::duplex(1024);
        here.write_all(&[0, 0, 0, 5, b'h', b'a']).await.unwrap();
        drop(here);
        let mut heard = Vec::new();
        assert_eq!(
            Terminated::new(there).read_to_end(&mut heard).await.unwrap_err().kind(),
            io::ErrorKind::ConnectionReset
        );
        assert_eq!(heard, b"ha");
    }

    #[tokio::test]
    async fn each_direction_ends_on_its_own() {
        let (mut here, mut there) = pair(1024);
        here.shutdown().await.unwrap();
        assert_eq!(there.read(&mut [0]).await.unwrap(), 0);
        there.write_all(b"still here").await.unwrap();
        there.shutdown().await.unwrap();
        let mut heard = String::new();
        here.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "still here");
        assert_eq!(here.write_all(b"more").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn an_oversized_piece_is_refused() {
        let (mut here, there) = tokio::io::duplex(1024);
        here.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
        assert_eq!(
            Terminated::new(there).read(&mut [0]).await.unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }
}
