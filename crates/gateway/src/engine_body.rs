//! The body of the engine's response, as it passes to the client. Each frame counts as activity,
//! and the end of the body frees what the request held.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::future::BoxFuture;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use lifecycle::Guard;

use crate::context::ClientContext;
use crate::local::stale::Recording;
use crate::rules::disk_space;
use crate::upstream::connection::Upstream;
use crate::wire::in_flight::Busy;

pub(crate) struct EngineBody {
    inner: Incoming,
    /// Taken at the end of the response; dropped with the body if the response breaks off.
    exchange: Option<Exchange>,
    first: Option<Box<First>>,
    /// The engine broke off. Reported once the client has what came before.
    broken: Option<hyper::Error>,
    recording: Option<Box<Recording>>,
    /// Added where the engine reports a full disk.
    advice: Option<Arc<str>>,
    client: Arc<ClientContext>,
}

/// Must be done before the first frame is passed on, which is held until then.
struct First {
    done: BoxFuture<'static, ()>,
    held: Option<Frame<Bytes>>,
}

/// What a request holds until its response has ended.
pub(crate) struct Exchange {
    pub(crate) guard: Arc<Guard>,
    pub(crate) upstream: Upstream,
    pub(crate) client: Arc<ClientContext>,
    pub(crate) busy: Busy,
}

impl Exchange {
    /// The connection can serve the client's next request.
    fn finish(self) {
        self.client.connections.park(self.upstream);
        drop(self.busy);
    }
}

impl EngineBody {
    pub(crate) fn new(inner: Incoming, exchange: Exchange) -> Self {
        let client = exchange.client.clone();
        let (first, broken, recording, advice) = (None, None, None, None);
        let exchange = Some(exchange);
        let mut body = Self { inner, exchange, first, broken, recording, advice, client };
        if body.inner.is_end_stream() {
            body.finish();
        }
        body
    }

    /// The first frame waits for `done`.
    pub(crate) fn after(self, done: Option<BoxFuture<'static, ()>>) -> Self {
        let first = done.map(|done| Box::new(First { done, held: None }));
        Self { first, ..self }
    }

    pub(crate) fn recorded(mut self, recording: Option<Box<Recording>>) -> Self {
        if self.exchange.is_some() {
            return Self { recording, ..self };
        }
        // The body is empty, and has ended already.
        self.recording = None;
        if let Some(recording) = recording {
            recording.finish();
        }
        self
    }

    pub(crate) fn with_advice(self, advice: Option<Arc<str>>) -> Self {
        Self { advice, ..self }
    }

    fn finish(&mut self) {
        if let Some(recording) = self.recording.take() {
            recording.finish();
        }
        if let Some(exchange) = self.exchange.take() {
            exchange.finish();
        }
    }

    fn poll_inner(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.broken.is_some() {
            // An error ends the connection, and bytes that were written to it and did not leave yet
            // would be lost.
            return if self.client.write_state.is_blocked() {
                Poll::Pending
            } else {
                Poll::Ready(self.broken.take().map(Err))
            };
        }
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        let frame = match &self.advice {
            Some(advice) => frame.map(|frame| {
                frame.map(|frame| frame.map_data(|data| disk_space::with_advice(data, advice)))
            }),
            None => frame,
        };
        match frame {
            Some(Ok(ref frame)) => {
                if let Some(exchange) = &self.exchange {
                    exchange.guard.received(frame.data_ref().map_or(0, Bytes::len));
                }
                if let (Some(recording), Some(data)) = (self.recording.take(), frame.data_ref()) {
                    self.recording = recording.push(data);
                }
                // hyper asks for nothing behind trailers.
                if frame.is_trailers() || self.inner.is_end_stream() {
                    self.finish();
                }
            }
            Some(Err(error)) => {
                (self.exchange, self.recording) = (None, None);
                self.broken = Some(error);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            None => self.finish(),
        }
        Poll::Ready(frame)
    }
}

impl Body for EngineBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(mut first) = self.first.take() else { return self.poll_inner(cx) };
        if first.held.is_none() {
            match self.poll_inner(cx) {
                Poll::Ready(Some(Ok(frame))) => first.held = Some(frame),
                Poll::Ready(other) => return Poll::Ready(other),
                Poll::Pending => {
                    self.first = Some(first);
                    return Poll::Pending;
                }
            }
        }
        match first.done.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(first.held.take().map(Ok)),
            Poll::Pending => {
                self.first = Some(first);
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.as_ref().is_none_or(|first| first.held.is_none())
            && self.broken.is_none()
            && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
