//! Reads a client's socket one request at a time, and gives the HTTP server no bytes of a request
//! that is ambiguous.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};

use super::framing::{self, Body};
use super::refusal::Refusal;

/// Bytes that a client may send ahead of its turn while the gateway looks for its end. Enough for
/// any pipelined request; a client that fills it is certainly there.
const READ_AHEAD: usize = 64 * 1024;

/// One read of a head, on the stack: an idle client holds no buffer.
const PIECE: usize = 8 * 1024;

/// Added to the heads of clients that take trailers without saying so: Go's server sends trailers
/// to every client, hyper only to clients that ask for them.
const TAKES_TRAILERS: &[u8] = b"TE: trailers\r\n";

pub(crate) struct RequestReader<S> {
    pub(crate) socket: S,
    /// Read, and not yet given to the server.
    ahead: BytesMut,
    place: Place,
    ended: bool,
    added_te: bool,
    expects: bool,
    refused: Option<Refusal>,
}

/// Where in the client's requests the next byte for the server is.
enum Place {
    /// In a head that is not complete. `known` bytes of it were examined.
    Head { known: usize },
    /// In a head that is accepted: so many bytes, then `end` bytes of its empty line.
    Accepted { left: usize, end: usize, body: Body },
    /// In what is added to an accepted head.
    Added { left: &'static [u8], end: usize, body: Body },
    /// In the body.
    Body(Body),
    /// The connection was taken over: no more requests.
    Raw,
    /// A request was refused: no more requests.
    Refused,
}

/// Whether more can be put into the caller's buffer.
enum Step {
    Again,
    Done,
}

impl<S: AsyncRead + Unpin> RequestReader<S> {
    pub(crate) fn new(socket: S) -> Self {
        Self {
            socket,
            ahead: BytesMut::new(),
            place: Place::Head { known: 0 },
            ended: false,
            added_te: false,
            expects: false,
            refused: None,
        }
    }

    /// The head that was given last has a `TE` that the client did not send.
    pub(crate) fn added_te(&self) -> bool {
        self.added_te
    }

    /// The client waits for `100 Continue` before it sends the body of the request that was given
    /// last.
    pub(crate) fn expects(&self) -> bool {
        self.expects
    }

    /// The client was to wait for `100 Continue`, and sends its body all the same, or has closed
    /// its writing side and will never send it: an engine that asks for no body would wait forever.
    pub(crate) fn stopped_waiting(&self) -> bool {
        self.expects && (self.ended || !self.ahead.is_empty())
    }

    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.refused
    }

    /// The client has closed its writing side, and everything that it sent was given.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended && self.ahead.is_empty()
    }

    /// The client has closed its writing side.
    pub(crate) fn is_at_end(&self) -> bool {
        self.ended
    }

    /// What comes from now on is no request.
    pub(crate) fn become_raw(&mut self) {
        self.place = Place::Raw;
    }

    /// Reads ahead until the client has closed its writing side. Pending while the server reads by
    /// itself, and forever once the buffer is full.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.ended {
                return Poll::Ready(());
            }
            // Behind a body that the engine does not take yet the end is far, and reading ahead
            // would copy the body once more.
            let in_body = matches!(self.place, Place::Body(_)) && !self.expects;
            if in_body || self.ahead.len() >= READ_AHEAD {
                return Poll::Pending;
            }
            // A client that reset the connection has ended, too; the server gets the error when it
            // writes.
            if ready!(self.poll_read_ahead(cx)).is_err() {
                self.ended = true;
            }
        }
    }

    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let step = match self.place {
                Place::Head { known } => ready!(self.poll_head(cx, known))?,
                Place::Accepted { .. } => self.give_head(buf),
                Place::Added { .. } => self.give_added(buf),
                Place::Body(_) => return self.poll_body(cx, buf),
                Place::Raw => return self.poll_raw(cx, buf),
                Place::Refused => Step::Done,
            };
            if let Step::Done = step {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Examines what came of a head, and reads more if it is not complete.
    fn poll_head(&mut self, cx: &mut Context<'_>, known: usize) -> Poll<io::Result<Step>> {
        if self.ahead.len() > known {
            match framing::head(&self.ahead, known) {
                Ok(None) => self.place = Place::Head { known: self.ahead.len() },
                Ok(Some(head)) => {
                    self.added_te = head.takes_trailers;
                    self.expects = head.expects;
                    let end = if head.takes_trailers { head.end } else { 0 };
                    self.place = Place::Accepted { left: head.length - end, end, body: head.body };
                    return Poll::Ready(Ok(Step::Again));
                }
                Err(refusal) => {
                    self.refuse(refusal);
                    return Poll::Ready(Ok(Step::Again));
                }
            }
        }
        if self.ended {
            return Poll::Ready(Ok(Step::Done));
        }
        ready!(self.poll_read_ahead(cx))?;
        Poll::Ready(Ok(Step::Again))
    }

    fn give_head(&mut self, buf: &mut ReadBuf<'_>) -> Step {
        let Place::Accepted { left, end, body } = &mut self.place else { return Step::Again };
        let room = buf.remaining();
        let given = room.min(*left);
        *left -= given;
        if *left == 0 {
            let (end, body) = (*end, body.clone());
            if end > 0 {
                self.place = Place::Added { left: TAKES_TRAILERS, end, body };
            } else {
                self.begin_body(body);
            }
        }
        self.give(given, buf);
        if matches!(self.place, Place::Added { .. }) && given < room {
            Step::Again
        } else {
            Step::Done
        }
    }

    fn give_added(&mut self, buf: &mut ReadBuf<'_>) -> Step {
        let Place::Added { left, end, body } = &mut self.place else { return Step::Again };
        let room = buf.remaining();
        let given = room.min(left.len());
        buf.put_slice(&left[..given]);
        *left = &left[given..];
        if left.is_empty() {
            self.place = Place::Accepted { left: *end, end: 0, body: body.clone() };
            if given < room {
                return Step::Again;
            }
        }
        Step::Done
    }

    fn poll_body(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Place::Body(body) = &mut self.place else { return Poll::Ready(Ok(())) };
        self.expects = false;
        let taken = if self.ahead.is_empty() {
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
            let new = &buf.filled()[before..];
            if new.is_empty() {
                self.ended = true;
                return Poll::Ready(Ok(()));
            }
            let taken = body.take(new);
            if let Ok((length, _)) = taken {
                // The next request, or nonsense behind this one.
                self.ahead.extend_from_slice(&new[length..]);
                buf.set_filled(before + length);
            }
            taken
        } else {
            let most = buf.remaining().min(self.ahead.len());
            let taken = body.take(&self.ahead[..most]);
            if let Ok((length, _)) = taken {
                buf.put_slice(&self.ahead[..length]);
                self.ahead.advance(length);
            }
            taken
        };
        let (length, ended) = taken.map_err(|refusal| {
            self.refuse(refusal);
            // The request that it belongs to gets the answer.
            self.refused = None;
            io::Error::new(io::ErrorKind::InvalidData, refusal.why)
        })?;
        debug_assert!(length > 0, "a body that has ended is left");
        if self.ahead.is_empty() {
            self.ahead = BytesMut::new();
        }
        if ended {
            self.place = Place::Head { known: 0 };
        }
        Poll::Ready(Ok(()))
    }

    fn poll_raw(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let room = buf.remaining();
        if !self.ahead.is_empty() {
            self.give(room.min(self.ahead.len()), buf);
        } else if !self.ended {
            ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
            self.ended = buf.remaining() == room && room > 0;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut piece = [const { MaybeUninit::uninit() }; PIECE];
        let mut buf = ReadBuf::uninit(&mut piece);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buf))?;
        self.ended = buf.filled().is_empty();
        self.ahead.extend_from_slice(buf.filled());
        Poll::Ready(Ok(()))
    }

    /// Gives so many bytes of what was read ahead.
    fn give(&mut self, length: usize, buf: &mut ReadBuf<'_>) {
        buf.put_slice(&self.ahead[..length]);
        self.ahead.advance(length);
        if self.ahead.is_empty() {
            self.ahead = BytesMut::new();
        }
    }

    fn begin_body(&mut self, body: Body) {
        self.place = if body.is_empty() { Place::Head { known: 0 } } else { Place::Body(body) };
    }

    fn refuse(&mut self, refusal: Refusal) {
        tracing::debug!(why = refusal.why, "a request was refused");
        self.place = Place::Refused;
        self.refused = Some(refusal);
        self.ahead = BytesMut::new();
    }
}
