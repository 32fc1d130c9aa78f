//! The bundle itself: chunks out by whichever lane has room, chunks in from all of them, in order.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tokio_util::io::poll_read_buf;

use crate::chunk::{self, Chunk, ChunkError, Form, HEAD, LONGEST};
use crate::demand::Demand;
use crate::press::{Press, Unpress};
use crate::speed::Speed;

/// One read of a lane, in bytes: several packets of SSH.
const READ: usize = 256 * 1024;

/// Several lanes that are one stream. It is driven by whoever reads and writes it, in one task.
pub struct Bundle<L> {
    out: Vec<Outgoing<L>>,
    /// The lane out that is asked first next time.
    turn: usize,
    /// The chunk that is being filled.
    open: Vec<u8>,
    next_out: u64,
    speed: Speed,
    demand: Demand,
    press: Press,
    into: Vec<Incoming<L>>,
    next_in: u64,
    /// Chunks that came before their turn, as they came.
    early: BTreeMap<u64, Chunk>,
    /// What of the last chunk nobody has read.
    unread: Bytes,
    unpress: Unpress,
}

/// A lane that is only written.
struct Outgoing<L> {
    io: L,
    outbox: Bytes,
}

/// A lane that is only read.
struct Incoming<L> {
    io: L,
    inbox: BytesMut,
    ended: bool,
}

impl<L: AsyncRead + AsyncWrite + Unpin> Bundle<L> {
    /// Lanes out of here, and lanes that the other side has out of there; each in any order. The
    /// path is known to be so long.
    pub fn new(
        out: impl IntoIterator<Item = L>,
        into: impl IntoIterator<Item = L>,
        round_trip: Duration,
    ) -> Self {
        Self {
            out: out.into_iter().map(|io| Outgoing { io, outbox: Bytes::new() }).collect(),
            turn: 0,
            open: Vec::with_capacity(LONGEST),
            next_out: 0,
            speed: Speed::new(),
            demand: Demand::new(round_trip, Instant::now()),
            press: Press::new(),
            into: into
                .into_iter()
                .map(|io| Incoming { io, inbox: BytesMut::new(), ended: false })
                .collect(),
            next_in: 0,
            early: BTreeMap::new(),
            unread: Bytes::new(),
            unpress: Unpress::default(),
        }
    }

    /// Sends the chunk that is being filled. Pending while no lane has room.
    fn poll_dispatch(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = self.poll_outboxes(cx)?;
        let count = if self.demand.one_does() { 1 } else { self.out.len() };
        let Some(at) = (0..count)
            .map(|step| (self.turn + step) % count)
            .find(|&at| self.out[at].outbox.is_empty())
        else {
            self.speed.waits();
            return Poll::Pending;
        };
        self.turn = (at + 1) % count;
        let begun = Instant::now();
        if let Some(spare) = self.speed.read(begun) {
            self.press.adapt(spare);
        }
        let pressed = self.press.press(&self.open, self.speed.last(), begun)?;
        self.speed.worked(begun.elapsed());
        let (form, body) =
            pressed.as_ref().map_or((Form::Plain, &self.open), |(form, pressed)| (*form, pressed));
        let mut packed = BytesMut::with_capacity(HEAD + body.len());
        chunk::put_head(&mut packed, self.next_out, self.open.len(), body.len(), form);
        packed.extend_from_slice(body);
        self.speed.sent(packed.len());
        self.demand.sent(packed.len(), begun);
        self.next_out += 1;
        self.open.clear();
        self.out[at].outbox = packed.freeze();
        match self.out[at].poll_outbox(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(())),
        }
    }

    /// Bytes that the open chunk may hold.
    fn room(&self) -> usize {
        self.press.room(self.speed.last())
    }

    /// Moves on what was handed to lanes. Ready when all of it is out.
    fn poll_outboxes(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, io::Error> {
        let mut all = Poll::Ready(());
        for lane in &mut self.out {
            match lane.poll_outbox(cx) {
                Poll::Ready(out) => out?,
                Poll::Pending => all = Poll::Pending,
            }
        }
        Ok(all)
    }

    /// Reads every lane once. True when something came.
    fn read_lanes(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut heard = false;
        for lane in self.into.iter_mut().filter(|lane| !lane.ended) {
            match lane.poll_inbox(cx) {
                Poll::Ready(read) => {
                    read?;
                    heard = true;
                }
                Poll::Pending => continue,
            }
            while let Some(chunk) = chunk::take(&mut lane.inbox).map_err(invalid)? {
                let number = chunk.number;
                if number < self.next_in || self.early.insert(number, chunk).is_some() {
                    return Err(invalid(ChunkError::Repeated(number)));
                }
            }
        }
        Ok(heard)
    }
}

fn invalid(error: ChunkError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl<L: AsyncWrite + Unpin> Outgoing<L> {
    fn poll_outbox(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outbox.is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.outbox))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.outbox.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<L: AsyncRead + Unpin> Incoming<L> {
    fn poll_inbox(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inbox.reserve(READ);
        let read = ready!(poll_read_buf(Pin::new(&mut self.io), cx, &mut self.inbox))?;
        if read == 0 {
            self.ended = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl<L: AsyncRead + AsyncWrite + Unpin> AsyncRead for Bundle<L> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.unread.is_empty() {
                let length = buf.remaining().min(this.unread.len());
                buf.put_slice(&this.unread[..length]);
                this.unread.advance(length);
                return Poll::Ready(Ok(()));
            }
            if let Some(chunk) = this.early.remove(&this.next_in) {
                this.next_in += 1;
                this.unread = match chunk.form {
                    Form::Plain => chunk.body,
                    form => this
                        .unpress
                        .unpress(form, &chunk.body, chunk.length)
                        .map_err(invalid)?
                        .into(),
                };
                continue;
            }
            if this.read_lanes(cx)? {
                continue;
            }
            if this.into.iter().any(|lane| !lane.ended) {
                return Poll::Pending;
            }
            let whole = this.early.is_empty() && this.into.iter().all(|lane| lane.inbox.is_empty());
            return Poll::Ready(if whole {
                Ok(())
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            });
        }
    }
}

impl<L: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Bundle<L> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.open.len() == this.room() {
            ready!(this.poll_dispatch(cx))?;
        }
        let taken = buf.len().min(this.room() - this.open.len());
        this.open.extend_from_slice(&buf[..taken]);
        if this.open.len() == this.room()
            && let Poll::Ready(Err(error)) = this.poll_dispatch(cx)
        {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.open.is_empty() {
            ready!(this.poll_dispatch(cx))?;
        }
        ready!(this.poll_outboxes(cx)?);
        for lane in &mut this.out {
            ready!(Pin::new(&mut lane.io).poll_flush(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        for lane in &mut self.out {
            ready!(Pin::new(&mut lane.io).poll_shutdown(cx))?;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    use super::*;

    /// A bundle that knows its path to be one that all lanes are needed for.
    fn fast<L: AsyncRead + AsyncWrite + Unpin>(
        out: impl IntoIterator<Item = L>,
        into: impl IntoIterator<Item = L>,
    ) -> Bundle<L> {
        let mut bundle = Bundle::new(out, into, Duration::from_secs(1));
        bundle.speed = Speed::known(100e6);
        bundle
    }

    fn bundles(lanes: usize, room: usize) -> (Bundle<DuplexStream>, Bundle<DuplexStream>) {
        let (here, mut there): (Vec<_>, Vec<_>) =
            (0..lanes).map(|_| tokio::io::duplex(room)).unzip();
        there.reverse();
        (fast(here, []), fast([], there))
    }

    async fn carried(pieces: &[Vec<u8>], lanes: usize, room: usize, flush_each: bool) -> Vec<u8> {
        let (mut here, mut there) = bundles(lanes, room);
        let writing = async move {
            for piece in pieces {
                here.write_all(piece).await.unwrap();
                if flush_each {
                    here.flush().await.unwrap();
                }
            }
            here.shutdown().await.unwrap();
        };
        let mut arrived = Vec::new();
        let (_, read) = tokio::join!(writing, there.read_to_end(&mut arrived));
        read.unwrap();
        arrived
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_byte_arrives_once_and_in_order(
            pieces in proptest::collection::vec((0_usize..200_000, any::<u8>(), any::<bool>()), 0..12),
            lanes in 1_usize..6,
            room in 1_usize..100_000,
            flush_each: bool,
        ) {
            // Runs compress, counters do not.
            let pieces: Vec<Vec<u8>> = pieces
                .into_iter()
                .map(|(length, byte, run)| (0..length).map(|at| if run { byte } else { (at * at / 7 + at) as u8 ^ byte }).collect())
                .collect();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let arrived = runtime.block_on(carried(&pieces, lanes, room, flush_each));
            prop_assert!(arrived == pieces.concat(), "{} of {} bytes", arrived.len(), pieces.concat().len());
        }

        #[test]
        fn no_bytes_from_outside_panic(bytes: Vec<u8>) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async {
                let (mut lane, other) = tokio::io::duplex(1 << 20);
                lane.write_all(&bytes).await.unwrap();
                drop(lane);
                let _ = fast([], [other]).read_to_end(&mut Vec::new()).await;
            });
        }
    }

    #[tokio::test]
    async fn a_lane_that_rests_holds_up_no_other() {
        let (one, mut resting) = tokio::io::duplex(64);
        let (two, flowing) = tokio::io::duplex(1 << 20);
        let mut here = fast([one, two], []);
        // The first chunk waits in the lane that nobody reads; all others go by the second.
        // Noise: what can be compressed would fit into the lane that rests.
        let mut noise = vec![0; LONGEST];
        rand::RngCore::fill_bytes(&mut rand::rng(), &mut noise);
        for _ in 0..4 {
            here.write_all(&noise).await.unwrap();
        }
        assert_eq!(here.out.iter().filter(|lane| lane.outbox.is_empty()).count(), 1);
        drop(flowing);
        let mut head = [0; HEAD];
        resting.read_exact(&mut head).await.unwrap();
        assert_eq!(head[..8], 0_u64.to_be_bytes());
    }

    #[tokio::test]
    async fn a_lane_that_ends_with_something_missing_is_no_good_end() {
        let (mut lane, other) = tokio::io::duplex(1024);
        let mut second = BytesMut::new();
        chunk::put_head(&mut second, 1, 4, 4, Form::Plain);
        second.extend_from_slice(b"late");
        lane.write_all(&second).await.unwrap();
        drop(lane);
        let error = fast([], [other]).read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn what_was_flushed_arrives_though_more_may_follow() {
        let (mut here, mut there) = bundles(3, 1 << 20);
        for word in [&b"short"[..], b"words"] {
            here.write_all(word).await.unwrap();
            here.flush().await.unwrap();
            let mut heard = [0; 5];
            there.read_exact(&mut heard).await.unwrap();
            assert_eq!(heard, word);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_lane_is_used_where_it_carries_all_that_there_is() {
        let (ours, mut theirs): (Vec<_>, Vec<_>) =
            (0..2).map(|_| tokio::io::duplex(1 << 20)).unzip();
        let mut here = Bundle::new(ours, [], Duration::from_millis(100));
        let mut used = async || {
            for _ in 0..2 {
                here.write_all(b"word").await.unwrap();
                here.flush().await.unwrap();
                tokio::time::sleep(Duration::from_millis(900)).await;
            }
            let mut chunks = [0; 2];
            for (lane, chunks) in theirs.iter_mut().zip(&mut chunks) {
                let mut chunk = [0; HEAD + 4];
                while lane.read_exact(&mut chunk).now_or_never().is_some() {
                    *chunks += 1;
                }
            }
            chunks
        };
        assert_eq!(used().await, [1, 1], "nothing is known");
        assert_eq!(used().await, [2, 0], "some bytes a second");
    }

    #[tokio::test]
    async fn lanes_take_turns() {
        let (mut here, mut there) = bundles(3, 1 << 20);
        for _ in 0..3 {
            here.write_all(b"word").await.unwrap();
            here.flush().await.unwrap();
        }
        for lane in &mut there.into {
            let mut chunk = [0; HEAD + 4];
            lane.io.read_exact(&mut chunk).await.unwrap();
            assert_eq!(chunk[HEAD..], *b"word");
        }
    }

    #[tokio::test]
    async fn a_chunk_that_was_read_before_is_refused() {
        let (mut lane, other) = tokio::io::duplex(1024);
        let mut there = fast([], [other]);
        for _ in 0..2 {
            let mut chunk = BytesMut::new();
            chunk::put_head(&mut chunk, 0, 4, 4, Form::Plain);
            chunk.extend_from_slice(b"once");
            lane.write_all(&chunk).await.unwrap();
            if let Err(error) = there.read_exact(&mut [0; 4]).await {
                assert_eq!(error.kind(), io::ErrorKind::InvalidData);
                return;
            }
        }
        panic!("it was read twice");
    }

    #[tokio::test]
    async fn a_chunk_that_comes_twice_is_refused() {
        let (mut lane, other) = tokio::io::duplex(1024);
        for _ in 0..2 {
            let mut chunk = BytesMut::new();
            chunk::put_head(&mut chunk, 0, 4, 4, Form::Plain);
            chunk.extend_from_slice(b"once");
            lane.write_all(&chunk).await.unwrap();
        }
        let error = fast([], [other]).read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
