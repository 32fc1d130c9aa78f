//! The engine's last answers to questions that change nothing, for those who repeat them while
//! there is no machine.
//!
//! A list of containers that ran is told as what became of them: they were stopped with the
//! machine.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode, Uri};
use lifecycle::Moment;
use serde_json::{Value, json};

use crate::local::engine_status::EngineState;
use crate::wire::body::ReplyBody;

/// One answer: 4,000 containers.
const MAX_ANSWER: usize = 4 << 20;
/// All answers together.
const MAX_ALL: usize = 16 << 20;
/// An IDE asks for a few lists and for each container.
const MAX_ANSWERS: usize = 512;
/// What Docker says of a container whose end it did not see.
const UNKNOWN_EXIT_CODE: u32 = 255;

/// The last answers, the oldest first. Cheap to clone; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastKnown(Arc<Mutex<VecDeque<Known>>>);

#[derive(Debug)]
struct Known {
    key: String,
    headers: HeaderMap,
    body: Bytes,
    at: Moment,
}

/// An answer that is remembered as it passes.
#[derive(Debug)]
pub(crate) struct Recording {
    into: LastKnown,
    key: String,
    headers: HeaderMap,
    body: BytesMut,
    at: Moment,
}

impl LastKnown {
    /// Remembers the answer to `uri`, if it is one that may be given again; its body is still to
    /// come.
    pub(crate) fn record(
        &self,
        uri: &Uri,
        response: &Response<impl Sized>,
        at: Moment,
    ) -> Option<Box<Recording>> {
        let is_json = response
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        (response.status() == StatusCode::OK && is_json).then(|| {
            Box::new(Recording {
                into: self.clone(),
                key: key(uri),
                headers: response
                    .headers()
                    .iter()
                    .filter(|(name, _)| !is_of_the_moment(name))
                    .map(|(n, v)| (n.clone(), v.clone()))
                    .collect(),
                body: BytesMut::new(),
                at,
            })
        })
    }

    /// The last answer to `uri`, as things stand now. Lists of which nothing is known are empty.
    pub(crate) fn answer(
        &self,
        uri: &Uri,
        standing: EngineState,
        now: Moment,
    ) -> Option<Response<ReplyBody>> {
        let (headers, body, age) = {
            let known = self.known();
            match known.iter().rev().find(|known| known.key == key(uri)) {
                Some(found) => (found.headers.clone(), found.body.clone(), now.since(found.at)),
                None => (
                    HeaderMap::new(),
                    Bytes::from_static(empty_list(uri)?.as_bytes()),
                    Duration::ZERO,
                ),
            }
        };
        let body = match standing {
            EngineState::Absent => stopped(uri, &body, age).unwrap_or(body),
            EngineState::Up | EngineState::Away => body,
        };
        let mut response = Response::new(ReplyBody::whole(body));
        *response.headers_mut() = headers;
        response
            .headers_mut()
            .entry(header::CONTENT_TYPE)
            .or_insert(HeaderValue::from_static("application/json"));
        Some(response)
    }

    // Every critical section leaves it whole.
    fn known(&self) -> MutexGuard<'_, VecDeque<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recording {
    /// A piece of the body. One that grows too large is let go of.
    pub(crate) fn takes(mut self: Box<Self>, piece: &Bytes) -> Option<Box<Self>> {
        self.body.extend_from_slice(piece);
        (self.body.len() <= MAX_ANSWER).then_some(self)
    }

    /// The body has come to its end.
    pub(crate) fn ends(self) {
        let Self { into, key, headers, body, at } = self;
        let mut known = into.known();
        known.retain(|known| known.key != key);
        known.push_back(Known { key, headers, body: body.freeze(), at });
        while known.len() > MAX_ANSWERS
            || known.iter().map(|known| known.body.len()).sum::<usize>() > MAX_ALL
        {
            known.pop_front();
        }
    }
}

fn key(uri: &Uri) -> String {
    uri.path_and_query().map_or_else(|| uri.path().to_owned(), ToString::to_string)
}

/// Headers that belong to one transfer or one moment.
fn is_of_the_moment(name: &HeaderName) -> bool {
    [
        header::DATE,
        header::CONTENT_LENGTH,
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::TRAILER,
    ]
    .contains(name)
}

/// The path without the version.
fn segments(uri: &Uri) -> Vec<&str> {
    let path = uri.path().trim_matches('/');
    let segments: Vec<&str> = path.split('/').collect();
    match segments.first() {
        Some(first)
            if first.starts_with('v')
                && first[1..].starts_with(|digit: char| digit.is_ascii_digit()) =>
        {
            segments[1..].to_vec()
        }
        _ => segments,
    }
}

fn empty_list(uri: &Uri) -> Option<&'static str> {
    match *segments(uri) {
        ["containers" | "images", "json"] | ["networks"] => Some("[]\n"),
        ["volumes"] => Some("{\"Volumes\":[],\"Warnings\":null}\n"),
        _ => None,
    }
}

/// The same answer after the machine has gone. `None` where it stays as it was, or is not
/// understood.
fn stopped(uri: &Uri, body: &[u8], age: Duration) -> Option<Bytes> {
    let mut value: Value = serde_json::from_slice(body).ok()?;
    match *segments(uri) {
        ["containers", "json"] => list(&mut value, uri, age)?,
        ["containers", _, "json"] => inspected(&mut value)?,
        ["info"] => info(&mut value)?,
        ["system", "df"] => value
            .get_mut("Containers")?
            .as_array_mut()?
            .iter_mut()
            .for_each(|container| listed(container, age)),
        _ => return None,
    }
    let mut text = serde_json::to_vec(&value).ok()?;
    text.push(b'\n');
    Some(text.into())
}

fn list(value: &mut Value, uri: &Uri, age: Duration) -> Option<()> {
    let containers = value.as_array_mut()?;
    let query: Vec<(String, String)> =
        url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
    let given =
        |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let is_true = |value: &str| {
        !["", "0", "no", "false", "none"].iter().any(|word| value.eq_ignore_ascii_case(word))
    };
    let of_states = given("filters")
        .and_then(|filters| serde_json::from_str::<Value>(filters).ok())
        .and_then(|filters| states(&filters));
    let shows_stopped = match of_states {
        Some(states) => states.iter().any(|state| state == "exited"),
        None => {
            given("all").is_some_and(is_true)
                || given("limit")
                    .is_some_and(|limit| limit.parse().is_ok_and(|limit: i64| limit > 0))
        }
    };
    if shows_stopped {
        containers.iter_mut().for_each(|container| listed(container, age))
    } else {
        containers.clear()
    }
    Some(())
}

/// The states that a filter asks for: `{"status":["running"]}`, or the older
/// `{"status":{"running":true}}`.
fn states(filters: &Value) -> Option<Vec<String>> {
    match filters.get("status")? {
        Value::Array(states) => {
            Some(states.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        }
        Value::Object(states) => Some(states.keys().cloned().collect()),
        _ => None,
    }
}

fn runs(state: &str) -> bool {
    matches!(state, "running" | "paused" | "restarting")
}

fn listed(container: &mut Value, age: Duration) {
    if !container.get("State").and_then(Value::as_str).is_some_and(runs) {
        return;
    }
    container["State"] = json!("exited");
    container["Status"] =
        json!(format!("Exited ({UNKNOWN_EXIT_CODE}) {} ago", in_dockers_words(age)));
    // Published ports are those of a running container.
    container["Ports"] = json!([]);
}

fn inspected(container: &mut Value) -> Option<()> {
    let state = container.get_mut("State")?.as_object_mut()?;
    if !state.get("Status").and_then(Value::as_str).is_some_and(runs) {
        return None;
    }
    state.insert("Status".to_owned(), json!("exited"));
    for flag in ["Running", "Paused", "Restarting"] {
        state.insert(flag.to_owned(), json!(false));
    }
    state.insert("Pid".to_owned(), json!(0));
    state.insert("ExitCode".to_owned(), json!(UNKNOWN_EXIT_CODE));
    if let Some(ports) = container.pointer_mut("/NetworkSettings/Ports") {
        *ports = json!({});
    }
    Some(())
}

fn info(info: &mut Value) -> Option<()> {
    let info = info.as_object_mut()?;
    let all = info.get("Containers")?.as_u64()?;
    for (name, count) in
        [("ContainersRunning", 0), ("ContainersPaused", 0), ("ContainersStopped", all)]
    {
        info.insert(name.to_owned(), json!(count));
    }
    Some(())
}

/// As Docker's own lists have it.
fn in_dockers_words(age: Duration) -> String {
    match age.as_secs() {
        0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        seconds @ 2..=59 => format!("{seconds} seconds"),
        60..=119 => "About a minute".to_owned(),
        seconds @ 120..=3_599 => format!("{} minutes", seconds / 60),
        3_600..=7_199 => "About an hour".to_owned(),
        seconds @ 7_200..=172_799 => format!("{} hours", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    fn remember(known: &LastKnown, uri: &str, body: &str) {
        let response = Response::builder()
            .header("content-type", "application/json")
            .header("date", "x")
            .header("server", "D")
            .body(());
        let recording =
            known.record(&uri.parse().unwrap(), &response.unwrap(), Moment::default()).unwrap();
        let (first, second) = body.split_at(body.len() / 2);
        recording
            .takes(&first.to_owned().into())
            .unwrap()
            .takes(&second.to_owned().into())
            .unwrap()
            .ends();
    }

    async fn told(known: &LastKnown, uri: &str, standing: EngineState) -> Option<Value> {
        let now = Moment::default().plus(Duration::from_secs(300));
        let response = known.answer(&uri.parse().unwrap(), standing, now)?;
        assert_eq!(response.headers()["content-type"], "application/json");
        assert!(!response.headers().contains_key("date"));
        Some(
            serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes())
                .unwrap(),
        )
    }

    const RUNNING: &str = r#"[{"Id":"1","State":"running","Status":"Up 2 hours","Ports":[{"PrivatePort":80}]},{"Id":"2","State":"created","Status":"Created","Ports":[]}]"#;

    #[tokio::test]
    async fn containers_that_ran_are_told_as_exited_once_the_machine_is_gone() {
        let known = LastKnown::default();
        let uri = "/v1.41/containers/json?all=1";
        remember(&known, uri, RUNNING);
        let told_now = told(&known, uri, EngineState::Absent).await.unwrap();
        assert_eq!(
            told_now[0],
            json!({"Id": "1", "State": "exited", "Status": "Exited (255) 5 minutes ago", "Ports": []})
        );
        assert_eq!(told_now[1]["State"], "created");
        assert_eq!(
            told(&known, uri, EngineState::Away).await.unwrap()[0]["State"],
            "running",
            "it may go on"
        );
    }

    #[tokio::test]
    async fn a_list_of_running_containers_is_empty_without_a_machine() {
        let known = LastKnown::default();
        for (query, count) in [
            ("", 0),
            ("?all=0", 0),
            ("?limit=5", 2),
            ("?filters=%7B%22status%22%3A%5B%22running%22%5D%7D", 0),
            ("?all=1&filters=%7B%22status%22%3A%7B%22running%22%3Atrue%7D%7D", 0),
            ("?filters=%7B%22status%22%3A%5B%22exited%22%5D%7D", 2),
            ("?all=true&filters=%7B%22label%22%3A%5B%22x%22%5D%7D", 2),
        ] {
            let uri = format!("/containers/json{query}");
            remember(&known, &uri, RUNNING);
            assert_eq!(
                told(&known, &uri, EngineState::Absent).await.unwrap().as_array().unwrap().len(),
                count,
                "{query}"
            );
        }
    }

    #[tokio::test]
    async fn one_container_and_the_counts_are_told_alike_and_images_stay_as_they_were() {
        let known = LastKnown::default();
        let one = r#"{"Id":"1","State":{"Status":"running","Running":true,"Pid":7,"ExitCode":0},"NetworkSettings":{"Ports":{"80/tcp":[]}}}"#;
        remember(&known, "/containers/web/json", one);
        let one = told(&known, "/containers/web/json", EngineState::Absent).await.unwrap();
        assert_eq!(
            (&one["State"]["Status"], &one["State"]["Running"], &one["State"]["Pid"]),
            (&json!("exited"), &json!(false), &json!(0))
        );
        assert_eq!(one["NetworkSettings"]["Ports"], json!({}));
        remember(
            &known,
            "/v1.41/info",
            r#"{"Containers":3,"ContainersRunning":2,"ContainersPaused":1,"ContainersStopped":0,"ID":"x"}"#,
        );
        let info = told(&known, "/v1.41/info", EngineState::Absent).await.unwrap();
        assert_eq!(
            (&info["ContainersRunning"], &info["ContainersStopped"], &info["ID"]),
            (&json!(0), &json!(3), &json!("x"))
        );
        remember(&known, "/images/json", r#"[{"Id":"i"}]"#);
        assert_eq!(
            told(&known, "/images/json", EngineState::Absent).await,
            Some(json!([{"Id": "i"}]))
        );
    }

    #[tokio::test]
    async fn what_was_never_asked_is_an_empty_list_or_not_known() {
        let known = LastKnown::default();
        assert_eq!(
            told(&known, "/v1.41/containers/json?all=1", EngineState::Absent).await,
            Some(json!([]))
        );
        assert_eq!(
            told(&known, "/volumes", EngineState::Absent).await,
            Some(json!({"Volumes": [], "Warnings": null}))
        );
        assert_eq!(told(&known, "/info", EngineState::Absent).await, None);
    }

    #[tokio::test]
    async fn the_last_answer_counts_and_all_of_them_are_bounded() {
        let known = LastKnown::default();
        remember(&known, "/info", r#"{"Containers":1}"#);
        remember(&known, "/info", r#"{"Containers":2}"#);
        assert_eq!(told(&known, "/info", EngineState::Away).await.unwrap()["Containers"], 2);
        for container in 0..MAX_ANSWERS + 10 {
            remember(&known, &format!("/containers/{container}/json"), "{}");
        }
        assert_eq!(known.known().len(), MAX_ANSWERS);
        assert_eq!(told(&known, "/info", EngineState::Away).await, None);
        let response =
            Response::builder().header("content-type", "application/json").body(()).unwrap();
        let recording =
            known.record(&"/images/json".parse().unwrap(), &response, Moment::default()).unwrap();
        assert!(recording.takes(&vec![b' '; MAX_ANSWER + 1].into()).is_none());
        let refused = Response::builder()
            .status(404)
            .header("content-type", "application/json")
            .body(())
            .unwrap();
        assert!(
            known.record(&"/info".parse().unwrap(), &refused, Moment::default()).is_none(),
            "a refusal is not remembered"
        );
    }
}
