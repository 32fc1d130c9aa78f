//! Bodies on their way through: each frame is activity, and the end of an answer frees what it
//! held.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::task::AtomicWaker;
use http::HeaderMap;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use lifecycle::Guard;

use crate::context::{Busy, Link};
use crate::local::events::Events;
use crate::local::stale::Recording;
use crate::local::wait_progress::Frames;
use crate::rules::disk_space;
use crate::takeover::relay::Relay;
use crate::upstream::connection::{Upstream, Way};

/// What the client sends, on its way to the engine.
pub(crate) struct RequestBody {
    inner: Source,
    guard: Arc<Guard>,
    way: Option<Arc<Way>>,
    gate: Option<Arc<Gate>>,
    /// The client broke off. Told when the engine has what came before.
    broken: Option<hyper::Error>,
}

enum Source {
    None,
    Client(Incoming),
    /// Was read as a whole. Boxed, as few are: hyper keeps room for 32 requests with their bodies
    /// for each connection.
    Read(Box<Whole>),
}

struct Whole {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl RequestBody {
    pub(crate) fn new(inner: Incoming, guard: Arc<Guard>) -> Self {
        Self::of(Source::Client(inner), guard)
    }

    /// One that was read as a whole.
    pub(crate) fn read(data: Bytes, trailers: Option<HeaderMap>, guard: Arc<Guard>) -> Self {
        let whole = Whole { data: Some(data).filter(|data| !data.is_empty()), trailers };
        Self::of(Source::Read(Box::new(whole)), guard)
    }

    /// None.
    pub(crate) fn none(guard: Arc<Guard>) -> Self {
        Self::of(Source::None, guard)
    }

    fn of(inner: Source, guard: Arc<Guard>) -> Self {
        Self { inner, guard, way: None, gate: None, broken: None }
    }

    /// For a request that is sent again and never had a body.
    pub(crate) fn another_empty(&self) -> Self {
        Self::of(Source::None, self.guard.clone())
    }

    /// It is not asked for before this is open: the client waits for the engine's word.
    pub(crate) fn waits_for(&mut self, gate: Arc<Gate>) {
        self.gate = Some(gate);
    }

    /// The stream that it is going to travel on.
    pub(crate) fn travels_on(&mut self, way: Arc<Way>) {
        way.request_begins();
        if self.is_end_stream() {
            way.request_ends();
        }
        self.way = Some(way);
    }

    fn ends(&self) {
        if let Some(way) = &self.way {
            way.request_ends();
        }
    }

    fn poll_source(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.inner {
            Source::None => Poll::Ready(None),
            Source::Client(incoming) => Pin::new(incoming).poll_frame(cx),
            Source::Read(whole) => Poll::Ready(
                whole
                    .data
                    .take()
                    .map(Frame::data)
                    .or_else(|| whole.trailers.take().map(Frame::trailers))
                    .map(Ok),
            ),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.gate.as_ref().is_some_and(|gate| !gate.is_open(cx)) {
            return Poll::Pending;
        }
        self.gate = None;
        if self.broken.is_some() {
            // An error ends the connection, and what was written to it and did not leave yet would
            // be lost.
            return if self.way.as_ref().is_some_and(|way| way.is_blocked()) {
                Poll::Pending
            } else {
                Poll::Ready(self.broken.take().map(Err))
            };
        }
        let frame = ready!(self.poll_source(cx));
        self.guard.traffic();
        match frame {
            Some(Err(error)) => {
                self.broken = Some(error);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            None => self.ends(),
            // Nobody asks for more behind trailers.
            Some(Ok(ref frame)) if frame.is_trailers() || self.is_end_stream() => self.ends(),
            Some(Ok(_)) => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Source::None => true,
            Source::Client(incoming) => incoming.is_end_stream() && self.broken.is_none(),
            Source::Read(whole) => whole.data.is_none() && whole.trailers.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Source::None => SizeHint::with_exact(0),
            Source::Client(incoming) => incoming.size_hint(),
            Source::Read(whole) => {
                SizeHint::with_exact(whole.data.as_ref().map_or(0, |data| data.len() as u64))
            }
        }
    }
}

/// Holds a body back until the engine, or the client, says that it is wanted.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    open: AtomicBool,
    waiting: AtomicWaker,
}

impl Gate {
    pub(crate) fn open(&self) {
        self.open.store(true, Ordering::Release);
        self.waiting.wake();
    }

    fn is_open(&self, cx: &Context<'_>) -> bool {
        self.waiting.register(cx.waker());
        self.open.load(Ordering::Acquire)
    }
}

/// What the client gets.
pub(crate) enum ReplyBody {
    /// Made here.
    Whole(Option<Bytes>),
    /// The engine's.
    Passed(Passed),
    /// What happens on the engine, over the lives of several.
    Events(Events),
    /// Progress while the engine is waited for, then the engine's.
    Waited(Frames),
    /// None by itself, but without a length: what follows is a raw stream.
    Endless,
    /// None by itself, but in chunks: they are relayed behind the head.
    Relayed(Option<Relay>, Arc<Link>),
}

impl ReplyBody {
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }
}

/// The engine's answer on its way to the client.
pub(crate) struct Passed {
    inner: Incoming,
    /// Taken when the answer has come to its end; dropped with the body when it has not.
    exchange: Option<Exchange>,
    first: Option<Box<First>>,
    /// The engine broke off. Told when the client has what came before.
    broken: Option<hyper::Error>,
    /// Remembers what passes.
    recording: Option<Box<Recording>>,
    /// What can be done where the engine says that it has no room.
    advice: Option<Arc<str>>,
    link: Arc<Link>,
}

/// Has to be done before the first byte is passed on, which is held until then. Few answers have
/// it.
struct First {
    done: BoxFuture<'static, ()>,
    held: Option<Frame<Bytes>>,
}

/// What a request holds until its answer has ended.
pub(crate) struct Exchange {
    pub(crate) guard: Arc<Guard>,
    pub(crate) upstream: Upstream,
    pub(crate) link: Arc<Link>,
    pub(crate) busy: Busy,
}

impl Exchange {
    /// The upstream can serve the client's next request.
    fn ended(self) {
        self.link.park(self.upstream);
        drop(self.busy);
    }
}

impl Passed {
    pub(crate) fn new(
        inner: Incoming,
        exchange: Exchange,
        first: Option<BoxFuture<'static, ()>>,
        recording: Option<Box<Recording>>,
    ) -> Self {
        let link = exchange.link.clone();
        let first = first.map(|done| Box::new(First { done, held: None }));
        let mut passed = Self {
            inner,
            exchange: Some(exchange),
            first,
            broken: None,
            recording,
            advice: None,
            link,
        };
        if passed.inner.is_end_stream() {
            passed.ended();
        }
        passed
    }

    pub(crate) fn with_advice(self, advice: Option<Arc<str>>) -> Self {
        Self { advice, ..self }
    }

    fn ended(&mut self) {
        if let Some(recording) = self.recording.take() {
            recording.ends();
        }
        if let Some(exchange) = self.exchange.take() {
            exchange.ended();
        }
    }

    fn poll_inner(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.broken.is_some() {
            // An error ends the connection, and what was written to it and did not leave yet would
            // be lost.
            return if self.link.told().is_blocked() {
                Poll::Pending
            } else {
                Poll::Ready(self.broken.take().map(Err))
            };
        }
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        let frame = match &self.advice {
            Some(advice) => frame.map(|frame| {
                frame.map(|frame| frame.map_data(|data| disk_space::explained(data, advice)))
            }),
            None => frame,
        };
        match frame {
            Some(Ok(ref frame)) => {
                if let Some(exchange) = &self.exchange {
                    exchange.guard.traffic();
                }
                if let (Some(recording), Some(data)) = (self.recording.take(), frame.data_ref()) {
                    self.recording = recording.takes(data);
                }
                // Nobody asks for more behind trailers.
                if frame.is_trailers() || self.inner.is_end_stream() {
                    self.ended();
                }
            }
            Some(Err(error)) => {
                (self.exchange, self.recording) = (None, None);
                self.broken = Some(error);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            None => self.ended(),
        }
        Poll::Ready(frame)
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let passed = match &mut *self {
            Self::Whole(bytes) => {
                return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))));
            }
            Self::Events(events) => {
                return events
                    .poll_next_unpin(cx)
                    .map(|lines| lines.map(|lines| Ok(Frame::data(lines))));
            }
            Self::Waited(frames) => return frames.poll_next_unpin(cx),
            Self::Endless => return Poll::Ready(None),
            Self::Relayed(relay, link) => {
                // The head stands in front of it in what hyper writes next.
                if let Some(relay) = relay.take() {
                    link.relays(relay);
                }
                return Poll::Pending;
            }
            Self::Passed(passed) => passed,
        };
        let Some(mut first) = passed.first.take() else { return passed.poll_inner(cx) };
        if first.held.is_none() {
            match passed.poll_inner(cx) {
                Poll::Ready(Some(Ok(frame))) => first.held = Some(frame),
                Poll::Ready(other) => return Poll::Ready(other),
                Poll::Pending => {
                    passed.first = Some(first);
                    return Poll::Pending;
                }
            }
        }
        match first.done.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(first.held.take().map(Ok)),
            Poll::Pending => {
                passed.first = Some(first);
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Events(_) | Self::Waited(_) | Self::Endless | Self::Relayed(..) => false,
            Self::Passed(passed) => {
                passed.first.as_ref().is_none_or(|first| first.held.is_none())
                    && passed.broken.is_none()
                    && passed.inner.is_end_stream()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Events(_) | Self::Waited(_) | Self::Endless | Self::Relayed(..) => {
                SizeHint::default()
            }
            Self::Passed(passed) => passed.inner.size_hint(),
        }
    }
}
