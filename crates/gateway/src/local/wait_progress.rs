//! Progress for a client that waits for an engine, where Docker's protocol has a place for it: the
//! answers to pull, push, load and build are lines of JSON, so the wait is reported as lines in
//! front of the engine's own.
//!
//! A line needs the status `200`, and the engine's real status is not known yet. An error of the
//! engine therefore becomes the error line that dockerd writes when it fails in mid-stream. A short
//! wait is not reported: its request keeps the engine's status code.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Limited, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep};

use crate::engine_status::{EngineStatus, Wait};
use crate::respond;
use crate::rules::endpoint::Lines;
use crate::wire::limits::MAX_HEAD;
use crate::wire::response_body::ResponseBody;

/// A wait that ends within this time is not reported.
const SHORT: Duration = Duration::from_secs(2);
/// How often the stage is read. A stage that begins and ends between two reads is left out.
const READ_EVERY: Duration = Duration::from_millis(250);
/// A stage that goes on for longer is reported again, with its duration so far.
const REPEAT_AFTER: Duration = Duration::from_secs(15);

/// The pipeline's answer to the request, to be polled until the engine answers.
pub(crate) type Answering = BoxFuture<'static, Response<ResponseBody>>;

/// Returns the engine's answer if it comes soon or if nothing is waited for. Otherwise returns
/// `200` with `headers` and a body that reports the wait and goes on with the engine's answer.
pub(crate) async fn answer(
    mut answering: Answering,
    status: Arc<dyn EngineStatus>,
    lines: Lines,
    headers: HeaderMap,
) -> Response<ResponseBody> {
    tokio::select! {
        biased;
        response = &mut answering => return response,
        () = sleep(SHORT) => {}
    }
    if status.wait().is_none() {
        return answering.await;
    }
    let mut reads = interval_at(Instant::now(), READ_EVERY);
    reads.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let progress = Progress { step: Step::Waiting(answering), status, lines, reads, shown: None };
    let frames = futures::stream::unfold(progress, async |mut progress| {
        progress.next().await.map(|frame| (frame, progress))
    });
    let mut response = Response::new(ResponseBody::streamed(StreamBody::new(frames.boxed())));
    *response.headers_mut() = headers;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    respond::name_request(response.headers_mut());
    response
}

struct Progress {
    step: Step,
    status: Arc<dyn EngineStatus>,
    lines: Lines,
    reads: Interval,
    shown: Option<Shown>,
}

enum Step {
    Waiting(Answering),
    Passing(ResponseBody),
    Ended,
}

/// The last line about a stage.
struct Shown {
    stage: String,
    at: Instant,
}

impl Progress {
    async fn next(&mut self) -> Option<Result<Frame<Bytes>, hyper::Error>> {
        loop {
            match &mut self.step {
                Step::Waiting(answering) => tokio::select! {
                    biased;
                    response = answering => {
                        if response.status().is_success() {
                            self.step = Step::Passing(response.into_body());
                            continue;
                        }
                        self.step = Step::Ended;
                        return Some(Ok(Frame::data(error_line(response).await)));
                    }
                    _ = self.reads.tick() => {
                        let text = self.status.wait().and_then(|wait| {
                            report(&mut self.shown, &wait, Instant::now())
                        });
                        if let Some(text) = text {
                            return Some(Ok(Frame::data(line(self.lines, &text))));
                        }
                    }
                },
                Step::Passing(body) => return body.frame().await,
                Step::Ended => return None,
            }
        }
    }
}

/// What to say about a stage, if there is anything new to say.
fn report(shown: &mut Option<Shown>, wait: &Wait, now: Instant) -> Option<String> {
    let usual = wait.usual.map(|usual| format!(", usually {}", seconds(usual))).unwrap_or_default();
    let lasted = match shown {
        Some(shown) if shown.stage == wait.stage => {
            if now.duration_since(shown.at) < REPEAT_AFTER {
                return None;
            }
            format!(" for {}", seconds(wait.lasted))
        }
        _ => String::new(),
    };
    *shown = Some(Shown { stage: wait.stage.clone(), at: now });
    Some(format!("Waiting for the machine: {}{lasted}{usual}", wait.stage))
}

fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 9.95 { format!("{seconds:.1} s") } else { format!("{seconds:.0} s") }
}

fn line(lines: Lines, text: &str) -> Bytes {
    let value = match lines {
        Lines::Status => json!({ "status": text }),
        Lines::Stream => json!({ "stream": format!("{text}\n") }),
    };
    ended(&value)
}

/// An error answer as the line that dockerd writes when it fails in mid-stream.
async fn error_line(response: Response<ResponseBody>) -> Bytes {
    let (parts, body) = response.into_parts();
    let message = match Limited::new(body, MAX_HEAD).collect().await {
        Ok(body) => message(parts.status, &body.to_bytes()),
        Err(error) => {
            tracing::debug!(%error, "an error answer of the engine broke off");
            parts.status.to_string()
        }
    };
    ended(&json!({ "error": message, "errorDetail": { "message": message } }))
}

/// The text of an `ErrorResponse`, or whatever else stands in its place.
fn message(status: StatusCode, body: &[u8]) -> String {
    let parsed: Option<Value> = serde_json::from_slice(body).ok();
    let message = parsed.as_ref().and_then(|value| value.get("message")?.as_str());
    let text = message.map_or_else(|| String::from_utf8_lossy(body), Into::into);
    if text.trim().is_empty() { status.to_string() } else { text.trim().to_owned() }
}

/// dockerd ends its lines with CR LF.
fn ended(value: &Value) -> Bytes {
    format!("{value}\r\n").into()
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tunnel::{Class, Connector, Destination, OpenError, Stream};

    use super::*;
    use crate::engine_status::EngineState;

    /// A machine that boots forever, or one that is up.
    #[derive(Debug)]
    struct Machine {
        boots: bool,
    }

    impl Connector for Machine {
        fn open(&self, _: Destination, _: Class) -> BoxFuture<'_, Result<Stream, OpenError>> {
            futures::future::pending().boxed()
        }
    }

    impl EngineStatus for Machine {
        fn state(&self) -> EngineState {
            EngineState::Absent
        }

        fn wait(&self) -> Option<Wait> {
            self.boots.then(|| Wait {
                stage: "booting".to_owned(),
                lasted: Duration::from_secs(17),
                usual: Some(Duration::from_millis(8_400)),
            })
        }

        fn until_up(&self) -> BoxFuture<'_, ()> {
            futures::future::pending().boxed()
        }
    }

    /// The engine answers 404 after so many milliseconds.
    async fn answered_after(milliseconds: u64, boots: bool) -> (StatusCode, String) {
        let answering = async move {
            sleep(Duration::from_millis(milliseconds)).await;
            let body =
                ResponseBody::whole(Bytes::from_static(b"{\"message\":\"no such image\"}\n"));
            let mut response = Response::new(body);
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        };
        let machine = Arc::new(Machine { boots });
        let response = answer(answering.boxed(), machine, Lines::Status, HeaderMap::new()).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status, String::from_utf8(body.to_vec()).unwrap())
    }

    const PLAIN: &str = "{\"message\":\"no such image\"}\n";
    const ERROR: &str =
        "{\"error\":\"no such image\",\"errorDetail\":{\"message\":\"no such image\"}}\r\n";

    #[tokio::test(start_paused = true)]
    async fn short_wait_keeps_the_engines_status_code() {
        assert_eq!(answered_after(1_900, true).await, (StatusCode::NOT_FOUND, PLAIN.to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn slow_engine_that_is_up_keeps_its_status_code() {
        assert_eq!(answered_after(60_000, false).await, (StatusCode::NOT_FOUND, PLAIN.to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn long_wait_is_reported_and_an_error_ends_it_as_a_line() {
        let first = "{\"status\":\"Waiting for the machine: booting, usually 8.4 s\"}\r\n";
        assert_eq!(answered_after(9_000, true).await, (StatusCode::OK, format!("{first}{ERROR}")));
        let again = "{\"status\":\"Waiting for the machine: booting for 17 s, usually 8.4 s\"}\r\n";
        let (status, body) = answered_after(40_000, true).await;
        assert_eq!((status, body), (StatusCode::OK, format!("{first}{again}{again}{ERROR}")));
    }

    #[test]
    fn classic_builder_gets_lines_in_its_stream() {
        let line = line(Lines::Stream, "booting");
        assert_eq!(&line[..], b"{\"stream\":\"booting\\n\"}\r\n");
    }

    #[test]
    fn error_without_a_message_is_reported_by_its_text_or_status() {
        let status = StatusCode::BAD_GATEWAY;
        assert_eq!(message(status, b"{\"message\":\"gone\"}"), "gone");
        assert_eq!(message(status, b"plain text\n"), "plain text");
        assert_eq!(message(status, b""), "502 Bad Gateway");
    }
}
