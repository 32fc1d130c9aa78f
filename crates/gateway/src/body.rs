//! Bodies on their way through: each frame is activity, and the end of an answer frees what it held.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::future::BoxFuture;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use lifecycle::Guard;

use crate::link::{Busy, Link};
use crate::upstream::{HalfClose, Upstream};

/// What the client sends, on its way to the engine.
pub(crate) struct RequestBody {
    inner: Option<Incoming>,
    guard: Arc<Guard>,
    half_close: Option<Arc<HalfClose>>,
}

impl RequestBody {
    pub(crate) fn new(inner: Incoming, guard: Arc<Guard>) -> Self {
        Self { inner: Some(inner), guard, half_close: None }
    }

    /// For a request that is sent again and never had a body.
    pub(crate) fn another_empty(&self) -> Self {
        Self { inner: None, guard: self.guard.clone(), half_close: None }
    }

    /// The stream that it is going to travel on.
    pub(crate) fn travels_on(&mut self, half_close: Arc<HalfClose>) {
        half_close.request_begins();
        if self.is_end_stream() {
            half_close.request_ends();
        }
        self.half_close = Some(half_close);
    }

    fn ends(&self) {
        if let Some(half_close) = &self.half_close {
            half_close.request_ends();
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(inner).poll_frame(cx));
        self.guard.traffic();
        match &frame {
            None => self.ends(),
            Some(Ok(_)) if self.is_end_stream() => self.ends(),
            Some(_) => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// What the client gets.
pub(crate) enum ReplyBody {
    /// Made here.
    Whole(Option<Bytes>),
    /// The engine's.
    Passed(Passed),
    /// None by itself, but without a length: what follows is a raw stream.
    Endless,
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
    /// Has to be done before the first byte is passed on.
    first: Option<BoxFuture<'static, ()>>,
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
    pub(crate) fn new(inner: Incoming, exchange: Exchange, first: Option<BoxFuture<'static, ()>>) -> Self {
        let mut passed = Self { inner, exchange: Some(exchange), first, held: None };
        passed.end_if_ended();
        passed
    }

    fn end_if_ended(&mut self) {
        if self.inner.is_end_stream()
            && let Some(exchange) = self.exchange.take()
        {
            exchange.ended();
        }
    }

    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            Some(Ok(_)) => {
                if let Some(exchange) = &self.exchange {
                    exchange.guard.traffic();
                }
                self.end_if_ended();
            }
            Some(Err(_)) => self.exchange = None,
            None => {
                if let Some(exchange) = self.exchange.take() {
                    exchange.ended();
                }
            }
        }
        Poll::Ready(frame)
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let passed = match &mut *self {
            Self::Whole(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Endless => return Poll::Ready(None),
            Self::Passed(passed) => passed,
        };
        if passed.first.is_none() {
            return passed.poll_inner(cx);
        }
        if passed.held.is_none() {
            match ready!(passed.poll_inner(cx)) {
                Some(Ok(frame)) => passed.held = Some(frame),
                other => {
                    passed.first = None;
                    return Poll::Ready(other);
                }
            }
        }
        if let Some(first) = &mut passed.first {
            ready!(first.as_mut().poll(cx));
            passed.first = None;
        }
        Poll::Ready(passed.held.take().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Endless => false,
            Self::Passed(passed) => passed.held.is_none() && passed.inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Endless => SizeHint::default(),
            Self::Passed(passed) => passed.inner.size_hint(),
        }
    }
}
