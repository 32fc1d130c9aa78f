//! The client's request body, as it passes to the engine. Each frame counts as activity.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use lifecycle::Guard;

use super::gate::Gate;
use super::request_progress::RequestProgress;

pub(crate) struct RequestBody {
    source: Source,
    guard: Arc<Guard>,
    progress: Option<Arc<RequestProgress>>,
    gate: Option<Arc<Gate>>,
    /// The client broke off. Reported once the engine has what came before.
    broken: Option<hyper::Error>,
}

enum Source {
    Empty,
    Client(Incoming),
    /// Was read as a whole. Boxed because few are: hyper keeps room for 32 requests with their
    /// bodies for each connection.
    Read(Box<Whole>),
}

struct Whole {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl RequestBody {
    /// A body that passes as the client sends it.
    pub(crate) fn streamed(incoming: Incoming, guard: Arc<Guard>) -> Self {
        Self::of(Source::Client(incoming), guard)
    }

    /// A body that was read as a whole.
    pub(crate) fn whole(data: Bytes, trailers: Option<HeaderMap>, guard: Arc<Guard>) -> Self {
        let whole = Whole { data: Some(data).filter(|data| !data.is_empty()), trailers };
        Self::of(Source::Read(Box::new(whole)), guard)
    }

    pub(crate) fn empty(guard: Arc<Guard>) -> Self {
        Self::of(Source::Empty, guard)
    }

    fn of(source: Source, guard: Arc<Guard>) -> Self {
        Self { source, guard, progress: None, gate: None, broken: None }
    }

    /// For a request without a body that is sent a second time.
    pub(crate) fn another_empty(&self) -> Self {
        Self::empty(self.guard.clone())
    }

    /// The client is not asked for the body before the gate opens.
    pub(crate) fn wait_for(&mut self, gate: Arc<Gate>) {
        self.gate = Some(gate);
    }

    /// The connection that is going to carry the body.
    pub(crate) fn travel_on(&mut self, progress: Arc<RequestProgress>) {
        progress.start();
        if self.is_end_stream() {
            progress.finish();
        }
        self.progress = Some(progress);
    }

    fn finish(&self) {
        if let Some(progress) = &self.progress {
            progress.finish();
        }
    }

    fn poll_source(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.source {
            Source::Empty => Poll::Ready(None),
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
            // An error ends the connection, and bytes that were written to it and did not leave yet
            // would be lost.
            return if self.progress.as_ref().is_some_and(|progress| progress.is_blocked()) {
                Poll::Pending
            } else {
                Poll::Ready(self.broken.take().map(Err))
            };
        }
        let frame = ready!(self.poll_source(cx));
        let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
        self.guard.sent(data.map_or(0, Bytes::len));
        match frame {
            Some(Err(error)) => {
                self.broken = Some(error);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            None => self.finish(),
            // hyper asks for nothing behind trailers.
            Some(Ok(ref frame)) if frame.is_trailers() || self.is_end_stream() => self.finish(),
            Some(Ok(_)) => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Empty => true,
            Source::Client(incoming) => incoming.is_end_stream() && self.broken.is_none(),
            Source::Read(whole) => whole.data.is_none() && whole.trailers.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Empty => SizeHint::with_exact(0),
            Source::Client(incoming) => incoming.size_hint(),
            Source::Read(whole) => {
                SizeHint::with_exact(whole.data.as_ref().map_or(0, |data| data.len() as u64))
            }
        }
    }
}
