//! The client's socket as the HTTP server reads it: one request at a time, none that can be read in
//! two ways. And a watch on it: hyper does not read while an answer is under way, so somebody else
//! has to notice when the client leaves.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::wire::framing::{self, Body, Refusal};
use crate::wire::socket::Socket;

/// What a client may send ahead of its turn while the watch looks for its end. Enough for any
/// pipelined request; a client that fills it is certainly there.
const READ_AHEAD: usize = 64 * 1024;

/// One read of a head, on the stack: an idle client holds no buffer.
const PIECE: usize = 8 * 1024;

/// Go's server sends trailers to everybody, hyper only to clients that ask for them. Most do not.
const TAKES_TRAILERS: &[u8] = b"TE: trailers\r\n";

struct Shared<S> {
    socket: S,
    /// Read, and not yet given to the server.
    ahead: BytesMut,
    place: Place,
    ended: bool,
    /// The server asked to read since the watch last looked: it is going to notice the end by
    /// itself.
    asked: bool,
    /// The server is told of trailers that the client did not ask for.
    added: bool,
    /// The client waits for a word before it sends its body.
    expects: bool,
    told: Arc<Told>,
    refused: Option<Refusal>,
    /// Left of the version that is written instead of the server's.
    version: &'static [u8],
}

/// Where in the client's requests the next byte for the server is.
enum Place {
    /// In a head that is not complete; so much of it was looked at.
    Head {
        known: usize,
    },
    /// In a head that is good.
    Good {
        left: usize,
        end: usize,
        body: Body,
    },
    /// In what is added to a good head.
    Added {
        left: &'static [u8],
        end: usize,
        body: Body,
    },
    Body(Body),
    /// No requests any more.
    Raw,
    Refused,
}

type Handle<S> = Arc<Mutex<Shared<S>>>;

// All handles live in one task, so the lock is never waited for, and a panic ends them all.
fn lock<S>(shared: &Handle<S>) -> MutexGuard<'_, Shared<S>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the socket and the requests tell each other.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// There is more for the client than its socket takes now.
    blocked: AtomicBool,
    /// The next answer is of version 1.0 only to have neither length nor chunks. The client is told
    /// the engine's version.
    raised: AtomicBool,
}

impl Told {
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Acquire)
    }

    pub(crate) fn raise_version(&self) {
        self.raised.store(true, Ordering::Release);
    }
}

/// Of a raised answer, instead of as many bytes.
const VERSION: &[u8] = b"HTTP/1.1";

/// What the server reads and writes.
pub(crate) struct ClientIo<S>(Handle<S>);

/// What notices that the client leaves.
pub(crate) struct Watch<S>(Handle<S>);

impl<S> Clone for Watch<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

pub(crate) fn watched<S: Socket>(socket: S, told: Arc<Told>) -> (ClientIo<S>, Watch<S>) {
    let shared = Arc::new(Mutex::new(Shared {
        socket,
        ahead: BytesMut::new(),
        place: Place::Head { known: 0 },
        ended: false,
        asked: false,
        added: false,
        expects: false,
        told,
        refused: None,
        version: &[],
    }));
    (ClientIo(shared.clone()), Watch(shared))
}

impl<S: Socket> Watch<S> {
    /// To be called before the server is polled.
    pub(crate) fn arm(&self) {
        lock(&self.0).asked = false;
    }

    /// To be called after the server was polled: ready when the client has closed its writing side.
    /// Pending for ever while more was sent ahead than is taken.
    pub(crate) fn poll_end(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut shared = lock(&self.0);
        loop {
            if shared.ended {
                return Poll::Ready(());
            }
            // A body that is not taken is not looked behind: it would be copied once more, and its
            // end is far.
            let in_body = matches!(shared.place, Place::Body(_)) && !shared.expects;
            if shared.asked || in_body || shared.ahead.len() >= READ_AHEAD {
                return Poll::Pending;
            }
            // A reset client has ended too; the server gets the error when it writes.
            if ready!(shared.poll_read_ahead(cx)).is_err() {
                shared.ended = true;
            }
        }
    }

    /// The client has closed its writing side, and everything that it sent was read.
    pub(crate) fn has_ended(&self) -> bool {
        let shared = lock(&self.0);
        shared.ended && shared.ahead.is_empty()
    }

    /// See [`Socket::hung_up`].
    pub(crate) fn hung_up(&self) -> Option<bool> {
        lock(&self.0).socket.hung_up()
    }

    /// The request that the server was just given has a `TE` that is not the client's.
    pub(crate) fn added_te(&self) -> bool {
        lock(&self.0).added
    }

    /// The client waits for a word before it sends the body of the request that the server was just
    /// given.
    pub(crate) fn waits(&self) -> bool {
        lock(&self.0).expects
    }

    /// The client waited for a word before it sends its body, and sends it all the same.
    pub(crate) fn sends_unbidden(&self) -> bool {
        let shared = lock(&self.0);
        shared.expects && !shared.ahead.is_empty()
    }

    /// Why no more requests are taken.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        lock(&self.0).refused
    }

    /// The connection is taken over: what comes from now on is no request.
    pub(crate) fn becomes_raw(&self) {
        lock(&self.0).place = Place::Raw;
    }
}

impl<S: Socket> Shared<S> {
    fn poll_read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut piece = [const { MaybeUninit::uninit() }; PIECE];
        let mut buf = ReadBuf::uninit(&mut piece);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buf))?;
        self.ended = buf.filled().is_empty();
        self.ahead.extend_from_slice(buf.filled());
        Poll::Ready(Ok(()))
    }

    /// Gives so much of what was read ahead.
    fn give(&mut self, length: usize, buf: &mut ReadBuf<'_>) {
        buf.put_slice(&self.ahead[..length]);
        self.skip(length);
    }

    fn skip(&mut self, length: usize) {
        self.ahead.advance(length);
        if self.ahead.is_empty() {
            self.ahead = BytesMut::new();
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        tracing::debug!(why = refusal.why(), "a request was refused");
        self.place = Place::Refused;
        self.refused = Some(refusal);
        self.ahead = BytesMut::new();
    }

    fn begin_body(&mut self, body: Body) {
        self.place = if body.is_empty() { Place::Head { known: 0 } } else { Place::Body(body) };
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.told.raised.swap(false, Ordering::AcqRel) {
            self.version = VERSION;
        }
        let socket = Pin::new(&mut self.socket);
        let written = if !self.version.is_empty() {
            let written = socket.poll_write(cx, self.version);
            if let Poll::Ready(Ok(length)) = written {
                self.version = &self.version[length..];
            }
            written
        } else if let [buf] = bufs {
            socket.poll_write(cx, buf)
        } else {
            socket.poll_write_vectored(cx, bufs)
        };
        self.told.blocked.store(written.is_pending(), Ordering::Release);
        written
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let room = buf.remaining();
            match &mut self.place {
                Place::Head { known } => {
                    if self.ahead.len() > *known {
                        match framing::head(&self.ahead, *known) {
                            Ok(None) => *known = self.ahead.len(),
                            Ok(Some(head)) => {
                                self.added = head.takes_trailers;
                                self.expects = head.expects;
                                let end = if head.takes_trailers { head.end } else { 0 };
                                self.place =
                                    Place::Good { left: head.length - end, end, body: head.body };
                                continue;
                            }
                            Err(refusal) => {
                                self.refuse(refusal);
                                continue;
                            }
                        }
                    }
                    if self.ended {
                        return Poll::Ready(Ok(()));
                    }
                    ready!(self.poll_read_ahead(cx))?;
                }
                Place::Good { left, end, body } => {
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
                        continue;
                    }
                    return Poll::Ready(Ok(()));
                }
                Place::Added { left, end, body } => {
                    let given = room.min(left.len());
                    buf.put_slice(&left[..given]);
                    *left = &left[given..];
                    if left.is_empty() {
                        self.place = Place::Good { left: *end, end: 0, body: body.clone() };
                        if given < room {
                            continue;
                        }
                    }
                    return Poll::Ready(Ok(()));
                }
                Place::Body(body) => {
                    self.expects = false;
                    let (taken, ended) = if self.ahead.is_empty() {
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
                        let most = room.min(self.ahead.len());
                        let taken = body.take(&self.ahead[..most]);
                        if let Ok((length, _)) = taken {
                            buf.put_slice(&self.ahead[..length]);
                            self.ahead.advance(length);
                        }
                        taken
                    }
                    .map_err(|refusal| {
                        self.refuse(refusal);
                        // The request that it belongs to is answered.
                        self.refused = None;
                        io::Error::new(io::ErrorKind::InvalidData, refusal.why())
                    })?;
                    debug_assert!(taken > 0, "a body that has ended is left");
                    if self.ahead.is_empty() {
                        self.ahead = BytesMut::new();
                    }
                    if ended {
                        self.place = Place::Head { known: 0 };
                    }
                    return Poll::Ready(Ok(()));
                }
                Place::Raw => {
                    if !self.ahead.is_empty() {
                        self.give(room.min(self.ahead.len()), buf);
                    } else if !self.ended {
                        ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
                        self.ended = buf.remaining() == room && room > 0;
                    }
                    return Poll::Ready(Ok(()));
                }
                Place::Refused => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<S: Socket> AsyncRead for ClientIo<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut shared = lock(&self.0);
        shared.asked = true;
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        shared.poll_read(cx, buf)
    }
}

impl<S: Socket> AsyncWrite for ClientIo<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        lock(&self.0).poll_write(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        lock(&self.0).poll_write(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        lock(&self.0).socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.0).socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.0).socket).poll_shutdown(cx)
    }
}
