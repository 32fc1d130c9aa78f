//! A stream whose end says that it is one.
//!
//! sshd makes an orderly end of whatever happens to what a channel leads to. Here bytes come in
//! pieces with their length in front, and an end is a piece without bytes: what stops without one
//! has broken off.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Length of a piece, big-endian.
const HEAD: usize = 4;
/// Bytes in one piece at most: what the other side reads at once.
pub const LONGEST: usize = 128 * 1024;

/// A stream over `T`, each direction of which is sealed on its own. The same on both sides.
pub struct Sealed<T> {
    io: T,
    incoming: Incoming,
    /// What was taken and has not left: a head, or a piece with it.
    outgoing: Vec<u8>,
    left: usize,
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

/// What stands in front of a piece of `length` bytes, for whoever moves the bytes themselves by
/// other means.
pub fn head_of_piece(length: usize) -> [u8; HEAD] {
    debug_assert!((1..=LONGEST).contains(&length), "{length} bytes are no piece");
    (length as u32).to_be_bytes()
}

/// The end.
pub fn seal() -> [u8; HEAD] {
    [0; HEAD]
}

impl<T> Sealed<T> {
    /// Before the first byte of either direction.
    pub fn new(io: T) -> Self {
        Self { io, incoming: Incoming::NEXT, outgoing: Vec::new(), left: 0, finished: false }
    }
}

impl<T: AsyncWrite + Unpin> Sealed<T> {
    fn poll_outgoing(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.left < self.outgoing.len() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.outgoing[self.left..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.left += written,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Sealed<T> {
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

impl<T: AsyncWrite + Unpin> AsyncWrite for Sealed<T> {
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
        // Most leaves at once, and only what does not has to be kept.
        let gone = match this.io.is_write_vectored() {
            true => match Pin::new(&mut this.io)
                .poll_write_vectored(cx, &[IoSlice::new(&head), IoSlice::new(piece)])
            {
                Poll::Ready(written) => written?,
                Poll::Pending => return Poll::Pending,
            },
            false => 0,
        };
        this.outgoing.clear();
        this.outgoing.extend_from_slice(&head[gone.min(HEAD)..]);
        this.outgoing.extend_from_slice(&piece[gone.saturating_sub(HEAD)..]);
        this.left = 0;
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
            self.outgoing = seal().to_vec();
            self.left = 0;
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

    fn pair(room: usize) -> (Sealed<DuplexStream>, Sealed<DuplexStream>) {
        let (here, there) = tokio::io::duplex(room);
        (Sealed::new(here), Sealed::new(there))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_byte_arrives_and_the_end_is_one(pieces in proptest::collection::vec(0_usize..300_000, 0..6), room in 1_usize..100_000) {
            let sent: Vec<Vec<u8>> = pieces.iter().map(|length| (0..*length).map(|at| (at * at / 7) as u8).collect()).collect();
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
        fn no_bytes_from_outside_panic(bytes: Vec<u8>) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let (mut other, io) = tokio::io::duplex(1 << 20);
                other.write_all(&bytes).await.unwrap();
                drop(other);
                let _ = Sealed::new(io).read_to_end(&mut Vec::new()).await;
            });
        }
    }

    #[tokio::test]
    async fn what_stops_without_a_seal_has_broken_off() {
        for said in [&b""[..], b"all that was said"] {
            let (mut here, mut there) = pair(1024);
            here.write_all(said).await.unwrap();
            // As sshd does it, whatever happened.
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
    async fn what_stops_within_a_piece_has_broken_off() {
        let (mut here, there) = tokio::io::duplex(1024);
        here.write_all(&[0, 0, 0, 5, b'h', b'a']).await.unwrap();
        drop(here);
        let mut heard = Vec::new();
        assert_eq!(
            Sealed::new(there).read_to_end(&mut heard).await.unwrap_err().kind(),
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
    async fn a_piece_that_is_too_long_is_refused() {
        let (mut here, there) = tokio::io::duplex(1024);
        here.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
        assert_eq!(
            Sealed::new(there).read(&mut [0]).await.unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }
}
