//! The bundle: sends chunks over any lane that has room, reads chunks from all lanes and orders
//! them.

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
use crate::compress::{Compressor, Decompressor};
use crate::demand::Demand;
use crate::pause::Pause;
use crate::rate::Rate;

/// One read from a lane, in bytes: several SSH packets.
const READ: usize = 256 * 1024;

/// Several lanes that form one stream. One task reads and writes it, and so drives all lanes.
pub struct Bundle<L> {
    out: Vec<Outgoing<L>>,
    /// The outgoing lane that is tried first for the next chunk.
    turn: usize,
    /// The chunk that is being filled.
    open: Vec<u8>,
    next_out: u64,
    rate: Rate,
    demand: Demand,
    pause: Pause,
    compressor: Compressor,
    into: Vec<Incoming<L>>,
    next_in: u64,
    /// Chunks that arrived before their turn, still compressed.
    early: BTreeMap<u64, Chunk>,
    /// The unread part of the last chunk.
    unread: Bytes,
    decompressor: Decompressor,
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
    /// A bundle over outgoing and incoming lanes, each in any order. `round_trip` is the path's
    /// measured round trip.
    pub fn new(
        out: impl IntoIterator<Item = L>,
        into: impl IntoIterator<Item = L>,
        round_trip: Duration,
    ) -> Self {
        let now = Instant::now();
        Self {
            out: out.into_iter().map(|io| Outgoing { io, outbox: Bytes::new() }).collect(),
            turn: 0,
            open: Vec::with_capacity(LONGEST),
            next_out: 0,
            rate: Rate::new(),
            demand: Demand::new(round_trip, now),
            pause: Pause::new(now),
            compressor: Compressor::new(),
            into: into
                .into_iter()
                .map(|io| Incoming { io, inbox: BytesMut::new(), ended: false })
                .collect(),
            next_in: 0,
            early: BTreeMap::new(),
            unread: Bytes::new(),
            decompressor: Decompressor::default(),
        }
    }

    /// Sends the chunk that is being filled. Pending while no lane has room.
    fn poll_dispatch(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = self.poll_outboxes(cx)?;
        let count = if self.demand.one_lane_suffices() { 1 } else { self.out.len() };
        let Some(at) = (0..count)
            .map(|step| (self.turn + step) % count)
            .find(|&at| self.out[at].outbox.is_empty())
        else {
            self.rate.waits();
            return Poll::Pending;
        };
        self.turn = (at + 1) % count;
        let begun = Instant::now();
        if self.pause.is_over(begun) {
            self.compressor.resume();
            self.demand.resume(begun);
        }
        if let Some(spare) = self.rate.read(begun) {
            self.compressor.adapt(spare);
        }
        let compressed = self.compressor.compress(&self.open, self.rate.last(), begun)?;
        self.rate.worked(begun.elapsed());
        let (form, body) =
            compressed.as_ref().map_or((Form::Plain, &self.open), |(form, body)| (*form, body));
        let mut packed = BytesMut::with_capacity(HEAD + body.len());
        chunk::put_head(&mut packed, self.next_out, self.open.len(), body.len(), form);
        packed.extend_from_slice(body);
        self.rate.sent(packed.len());
        self.demand.sent(packed.len(), begun);
        self.next_out += 1;
        self.open.clear();
        self.out[at].outbox = packed.freeze();
        match self.out[at].poll_outbox(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(())),
        }
    }

    /// How many bytes the open chunk may hold.
    fn room(&self) -> usize {
        self.compressor.room(self.rate.last())
    }

    /// Writes the lanes' outboxes. Ready when all of them are empty.
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

    /// Reads every lane once. Returns whether anything arrived.
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
                        .decompressor
                        .decompress(form, &chunk.body, chunk.length)
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
mod tests;
