//! `GET /events`, which tools leave open for days: no activity, it wakes nothing, and it outlives
//! the machine.
//!
//! The client's stream stays open while there is no engine, and goes on with the next one from the
//! last event that it has told. Events are passed on as whole lines, so that none breaks off in the
//! middle.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::time::sleep;
use tunnel::{Class, Destination};

use crate::context::Busy;
use crate::error::Failure;
use crate::local::engine_status::{EngineState, EngineStatus};
use crate::wire::body::ReplyBody;
use crate::wire::framing::MAX_HEAD;

/// An engine that comes up answers within seconds.
const AGAIN: Duration = Duration::from_secs(1);
/// One event has about 1 KiB; labels make it longer.
const MAX_EVENT: usize = 1 << 20;

/// A stream of events to the client.
pub(crate) type Events = BoxStream<'static, Bytes>;

type Driver = futures::future::BoxFuture<'static, ()>;

struct Following {
    presence: Arc<dyn EngineStatus>,
    /// What the client asked for.
    uri: Uri,
    accept: Option<HeaderValue>,
    /// Where to go on: the time of the last event that was told, or of the stream's beginning, in
    /// nanoseconds since 1970.
    since: i128,
    /// No event has been told yet.
    fresh: bool,
    /// What happened until then was told before the stream went on.
    told_until: Option<i128>,
    open: Option<(Incoming, Option<Driver>)>,
    /// The beginning of a line.
    partial: BytesMut,
    /// The client's request is under way for as long as this is.
    _busy: Busy,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "timeNano")]
    time: i128,
}

/// Answers at once where there is no engine, and with the engine's own head where there is one.
pub(crate) async fn follow(
    presence: Arc<dyn EngineStatus>,
    request: &Request<Incoming>,
    known: http::HeaderMap,
    busy: Busy,
) -> Result<Response<ReplyBody>, Failure> {
    let mut following = Following {
        presence,
        uri: request.uri().clone(),
        accept: request.headers().get(ACCEPT).cloned(),
        since: now(),
        fresh: true,
        told_until: None,
        open: None,
        partial: BytesMut::new(),
        _busy: busy,
    };
    let mut response = Response::new(());
    *response.headers_mut() = known;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if following.presence.state() == EngineState::Up
        && let Ok((parts, body, driver)) = following.asks(following.uri.clone()).await
    {
        let mut parts = parts;
        parts.headers.remove(http::header::CONNECTION);
        if parts.status != StatusCode::OK {
            let body = Limited::new(body, MAX_HEAD).collect();
            let (body, ()) = futures::join!(body, driver);
            parts.headers.remove(http::header::TRANSFER_ENCODING);
            return Ok(Response::from_parts(
                parts,
                ReplyBody::whole(body.map_err(Failure::Unreadable)?.to_bytes()),
            ));
        }
        following.open = Some((body, Some(driver)));
        response = Response::from_parts(parts, ());
    }
    let events = futures::stream::unfold(following, async |mut following| {
        following.next().await.map(|lines| (lines, following))
    });
    Ok(response.map(|()| ReplyBody::Events(events.boxed())))
}

type Answered =
    Result<(http::response::Parts, Incoming, Driver), Box<dyn std::error::Error + Send + Sync>>;

async fn ask(presence: Arc<dyn EngineStatus>, uri: Uri, accept: Option<HeaderValue>) -> Answered {
    let stream = presence.open(Destination::Docker, Class::Interactive).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut driver: Driver = Box::pin(async move {
        // Its failure is seen by whoever reads the body.
        let _ = connection.await;
    });
    let mut request = Request::get(uri).header(HOST, "docker").body(Empty::<Bytes>::new())?;
    if let Some(accept) = accept {
        request.headers_mut().insert(ACCEPT, accept);
    }
    let response = {
        let answer = sender.send_request(request);
        tokio::pin!(answer);
        tokio::select! {
            response = &mut answer => response?,
            () = &mut driver => answer.await?,
        }
    };
    let (parts, body) = response.into_parts();
    // The sender is dropped: the connection ends with this answer.
    Ok((parts, body, driver))
}

impl Following {
    fn asks(&self, uri: Uri) -> impl Future<Output = Answered> + Send + use<> {
        ask(self.presence.clone(), uri, self.accept.clone())
    }

    /// The next whole lines; `None` when an engine refuses to go on.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let Some((body, driver)) = &mut self.open else {
                self.reopen().await?;
                continue;
            };
            let frame = match driver {
                Some(driving) => tokio::select! {
                    biased;
                    frame = body.frame() => frame,
                    () = driving => {
                        // What it has brought is still read.
                        *driver = None;
                        continue;
                    }
                },
                None => body.frame().await,
            };
            match frame {
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

    /// Waits until there is an engine, and asks it for what has happened since. `None` when it
    /// refuses.
    async fn reopen(&mut self) -> Option<()> {
        loop {
            self.presence.until_up().await;
            match self.asks(self.resumed()).await {
                Ok((parts, body, driver)) if parts.status == StatusCode::OK => {
                    self.open = Some((body, Some(driver)));
                    self.told_until = (!self.fresh).then_some(self.since);
                    return Some(());
                }
                Ok((parts, ..)) if parts.status.is_client_error() => {
                    tracing::debug!(status = %parts.status, "the engine refuses to go on with events");
                    return None;
                }
                Ok(_) | Err(_) => sleep(AGAIN).await,
            }
        }
    }

    /// What was asked for, from where it broke off.
    fn resumed(&self) -> Uri {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let asked = url::form_urlencoded::parse(self.uri.query().unwrap_or_default().as_bytes());
        // One who wanted the past, and has not been told any of it, still wants it.
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

    /// Takes a piece in and gives the whole lines out that are news.
    fn lines(&mut self, piece: &[u8]) -> Bytes {
        self.partial.extend_from_slice(piece);
        let Some(end) = self.partial.iter().rposition(|byte| *byte == b'\n') else {
            if self.partial.len() > MAX_EVENT {
                // Not of a kind that ends in lines: it passes as it comes.
                return self.partial.split().freeze();
            }
            return Bytes::new();
        };
        let whole = self.partial.split_to(end + 1);
        let mut news = BytesMut::with_capacity(whole.len());
        for line in whole.split_inclusive(|byte| *byte == b'\n') {
            let text = line.trim_ascii().strip_prefix(b"\x1e").unwrap_or(line);
            match serde_json::from_slice::<Event>(text) {
                // An engine tells what happened at the very time that it is asked to begin from,
                // too.
                Ok(event) if self.told_until.is_some_and(|until| event.time <= until) => continue,
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
