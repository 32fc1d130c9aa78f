//! The engine's last responses to reads, for clients that poll while there is no machine.
//!
//! Containers that ran when the machine went are shown as exited: they were stopped with it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use engine::is_true;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode, Uri};
use lifecycle::Moment;
use serde_json::{Value, json};

use crate::engine_status::EngineState;
use crate::rules::endpoint::Stale;
use crate::wire::response_body::ResponseBody;

/// One response, in bytes: 4,000 containers.
const MAX_RESPONSE: usize = 4 << 20;
/// All responses together, in bytes.
const MAX_TOTAL: usize = 16 << 20;
/// An IDE reads a few lists and each container.
const MAX_RESPONSES: usize = 512;
/// Docker shows it for a container whose end it did not see.
const UNKNOWN_EXIT_CODE: u32 = 255;

/// The last responses, the oldest first. Cheap to clone; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct StaleResponses(Arc<Mutex<VecDeque<Known>>>);

#[derive(Debug)]
struct Known {
    key: String,
    headers: HeaderMap,
    body: Bytes,
    at: Moment,
}

/// A response that is remembered as it passes.
#[derive(Debug)]
pub(crate) struct Recording {
    into: StaleResponses,
    key: String,
    headers: HeaderMap,
    body: BytesMut,
    at: Moment,
}

impl StaleResponses {
    /// Begins to remember the response to `uri`, if it can be repeated. Its body is still to come.
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
                    .filter(|(name, _)| !belongs_to_transfer(name))
                    .map(|(n, v)| (n.clone(), v.clone()))
                    .collect(),
                body: BytesMut::new(),
                at,
            })
        })
    }

    /// The last response to `uri`, changed for the engine's present state. A list that was never
    /// read is empty.
    pub(crate) fn answer(
        &self,
        uri: &Uri,
        stale: Stale,
        state: EngineState,
        now: Moment,
    ) -> Option<Response<ResponseBody>> {
        let (headers, body, age) = {
            let known = self.known();
            match known.iter().rev().find(|known| known.key == key(uri)) {
                Some(found) => (found.headers.clone(), found.body.clone(), now.since(found.at)),
                None => (
                    HeaderMap::new(),
                    Bytes::from_static(empty_list(stale)?.as_bytes()),
                    Duration::ZERO,
                ),
            }
        };
        let body = match state {
            EngineState::Absent => stopped(stale, uri, &body, age).unwrap_or(body),
            EngineState::Up | EngineState::Away => body,
        };
        let mut response = Response::new(ResponseBody::whole(body));
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
    /// Takes a piece of the body. `None` once the body is too large to be kept.
    pub(crate) fn push(mut self: Box<Self>, piece: &Bytes) -> Option<Box<Self>> {
        self.body.extend_from_slice(piece);
        (self.body.len() <= MAX_RESPONSE).then_some(self)
    }

    /// The body is complete.
    pub(crate) fn finish(self) {
        let Self { into, key, headers, body, at } = self;
        let mut known = into.known();
        known.retain(|known| known.key != key);
        known.push_back(Known { key, headers, body: body.freeze(), at });
        while known.len() > MAX_RESPONSES
            || known.iter().map(|known| known.body.len()).sum::<usize>() > MAX_TOTAL
        {
            known.pop_front();
        }
    }
}

fn key(uri: &Uri) -> String {
    uri.path_and_query().map_or_else(|| uri.path().to_owned(), ToString::to_string)
}

/// Headers that belong to one transfer.
fn belongs_to_transfer(name: &HeaderName) -> bool {
    [
        header::DATE,
        header::CONTENT_LENGTH,
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::TRAILER,
    ]
    .contains(name)
}

fn empty_list(stale: Stale) -> Option<&'static str> {
    match stale {
        Stale::List | Stale::Containers => Some("[]\n"),
        Stale::Volumes => Some("{\"Volumes\":[],\"Warnings\":null}\n"),
        Stale::AsIs | Stale::Container | Stale::Info | Stale::DiskUsage => None,
    }
}

/// The same response once the machine is gone. `None` if it does not change, or is not understood.
fn stopped(stale: Stale, uri: &Uri, body: &[u8], age: Duration) -> Option<Bytes> {
    if matches!(stale, Stale::AsIs | Stale::List | Stale::Volumes) {
        return None;
    }
    let mut value: Value = serde_json::from_slice(body).ok()?;
    match stale {
        Stale::Containers => list(&mut value, uri, age)?,
        Stale::Container => inspected(&mut value)?,
        Stale::Info => info(&mut value)?,
        Stale::DiskUsage => value
            .get_mut("Containers")?
            .as_array_mut()?
            .iter_mut()
            .for_each(|container| listed(container, age)),
        Stale::AsIs | Stale::List | Stale::Volumes => {}
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
    container["Status"] = json!(format!("Exited ({UNKNOWN_EXIT_CODE}) {} ago", docker_age(age)));
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

/// An age in the words of Docker's own lists.
fn docker_age(age: Duration) -> String {
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
#[path = "stale_tests.rs"]
mod tests;
