//! `GET /events`, which tools leave open for days: it is no activity, wakes nothing, and outlives
//! the machine.
//!
//! The client's stream stays open while there is no engine, and goes on with the next engine from
//! the last event that was passed on. Events are passed on as whole lines.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use engine::Body;
use futures::StreamExt as _;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use serde::Deserialize;
use tokio::time::sleep;
use tunnel::{Class, Destination};

use crate::engine_status::{EngineState, EngineStatus};
use crate::error::Error;
use crate::respond;
use crate::wire::in_flight::Busy;
use crate::wire::limits::MAX_HEAD;
use crate::wire::response_body::ResponseBody;

/// Between two requests to an engine that does not answer yet; it comes up within seconds.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// In bytes. An event has about 1 KiB; labels make it longer.
const MAX_EVENT: usize = 1 << 20;

struct Following {
    status: Arc<dyn EngineStatus>,
    /// As the client sent it.
    uri: Uri,
    accept: Option<HeaderValue>,
    /// Where to go on: the time of the last event that was passed on, or of the stream's beginning,
    /// in nanoseconds since 1970.
    since: i128,
    /// No event was passed on yet.
    fresh: bool,
    /// Events until this time were passed on before the stream went on.
    passed_until: Option<i128>,
    /// The engine's stream.
    open: Option<Body>,
    /// The beginning of a line.
    partial: BytesMut,
    /// The client's request is in flight until this is dropped.
    _busy: Busy,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "timeNano")]
    time: i128,
}

/// Answers at once if there is no engine, and with the engine's own head if there is one.
pub(crate) async fn follow(
    status: Arc<dyn EngineStatus>,
    request: &Request<Incoming>,
    known: http::HeaderMap,
    busy: Busy,
) -> Result<Response<ResponseBody>, Error> {
    let mut following = Following {
        status,
        uri: request.uri().clone(),
        accept: request.headers().get(ACCEPT).cloned(),
        since: now(),
        fresh: true,
        passed_until: None,
        open: None,
        partial: BytesMut::new(),
        _busy: busy,
    };
    let mut response = Response::new(());
    *response.headers_mut() = known;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    respond::name_request(response.headers_mut());
    if following.status.state() == EngineState::Up
        && let Ok(answered) = following.ask(following.uri.clone()).await
    {
        let (mut parts, body) = answered.into_parts();
        parts.headers.remove(http::header::CONNECTION);
        if parts.status != StatusCode::OK {
            let body = Limited::new(body, MAX_HEAD).collect().await.map_err(Error::Unreadable)?;
            parts.headers.remove(http::header::TRANSFER_ENCODING);
            return Ok(Response::from_parts(parts, ResponseBody::whole(body.to_bytes())));
        }
        following.open = Some(body);
        response = Response::from_parts(parts, ());
    }
    let events = futures::stream::unfold(following, async |mut following| {
        following.next().await.map(|lines| (Ok(Frame::data(lines)), following))
    });
    Ok(response.map(|()| ResponseBody::streamed(StreamBody::new(events.boxed()))))
}

type Answered = Result<Response<Body>, Box<dyn std::error::Error + Send + Sync>>;

async fn ask(status: Arc<dyn EngineStatus>, uri: Uri, accept: Option<HeaderValue>) -> Answered {
    let stream = status.open(Destination::Docker, Class::Interactive).await?;
    let mut request = engine::request(Method::GET, uri);
    if let Some(accept) = accept {
        request.headers_mut().insert(ACCEPT, accept);
    }
    Ok(engine::send(stream, request).await?)
}

impl Following {
    fn ask(&self, uri: Uri) -> impl Future<Output = Answered> + Send + use<> {
        ask(self.status.clone(), uri, self.accept.clone())
    }

    /// The next whole lines. `None` when an engine refuses to go on.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let Some(body) = &mut self.open else {
                self.reopen().await?;
                continue;
            };
            match body.frame().await {
                Some(Ok(frame)) => {
                    let lines = frame.data_ref().map(|data| self.lines(data)).unwrap_or_default();
                    if !lines.is_empty() {
                        return Some(lines);
                    }
                }
                Some(Err(_)) | None => {
                    self.open = None;
                    self.partial.clear();
                }
            }
        }
    }

    /// Waits until there is an engine, and asks it for the events since. `None` if it refuses.
    async fn reopen(&mut self) -> Option<()> {
        loop {
            self.status.until_up().await;
            match self.ask(self.resumed()).await {
                Ok(answered) if answered.status() == StatusCode::OK => {
                    self.open = Some(answered.into_body());
                    self.passed_until = (!self.fresh).then_some(self.since);
                    return Some(());
                }
                Ok(answered) if answered.status().is_client_error() => {
                    tracing::debug!(status = %answered.status(), "the engine refuses events");
                    return None;
                }
                Ok(_) | Err(_) => sleep(RETRY_AFTER).await,
            }
        }
    }

    /// The client's request, from where the stream broke off.
    fn resumed(&self) -> Uri {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let asked = url::form_urlencoded::parse(self.uri.query().unwrap_or_default().as_bytes());
        // A client that asked for past events and has got none still wants them.
        let wants_the_past =
            self.fresh && asked.clone().any(|(name, value)| name == "since" && !value.is_empty());
        query.extend_pairs(asked.filter(|(name, _)| name != "since" || wants_the_past));
        if !wants_the_past {
            query.append_pair(
                "since",
                &format!("{}.{:09}", self.since / 1_000_000_000, self.since % 1_000_000_000),
            );
        }
        format!("{}?{}", self.uri.path(), query.finish())
            .parse()
            .unwrap_or_else(|_| self.uri.clone())
    }

    /// Takes a piece of the stream, and returns the whole lines that are new.
    fn lines(&mut self, piece: &[u8]) -> Bytes {
        self.partial.extend_from_slice(piece);
        let Some(end) = self.partial.iter().rposition(|byte| *byte == b'\n') else {
            if self.partial.len() > MAX_EVENT {
                // No stream of lines: it passes as it comes.
                return self.partial.split().freeze();
            }
            return Bytes::new();
        };
        let whole = self.partial.split_to(end + 1);
        let mut news = BytesMut::with_capacity(whole.len());
        for line in whole.split_inclusive(|byte| *byte == b'\n') {
            let text = line.trim_ascii().strip_prefix(b"\x1e").unwrap_or(line);
            match serde_json::from_slice::<Event>(text) {
                // An engine repeats the events of the very time that it is asked to begin with.
                Ok(event) if self.passed_until.is_some_and(|until| event.time <= until) => continue,
                Ok(event) => {
                    (self.since, self.fresh) =
                        (if self.fresh { event.time } else { event.time.max(self.since) }, false)
                }
                Err(_) => {}
            }
            news.extend_from_slice(line);
        }
        news.freeze()
    }
}

/// Nanoseconds since 1970.
fn now() -> i128 {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| i128::try_from(since.as_nanos()).unwrap_or(i128::MAX))
}
