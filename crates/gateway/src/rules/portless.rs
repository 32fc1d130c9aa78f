//! Containers that were created through this endpoint and publish no port: their start needs no
//! inspect.
//!
//! What a container publishes is fixed when it is created, and its id is never given to another.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;
use serde_json::Value;

use crate::error::Failure;
use crate::rules::body_paths::seen;
use crate::rules::disk_space::is_short;
use crate::wire::body::ReplyBody;
use crate::wire::framing::MAX_HEAD;

/// About 600 KiB. Each of the oldest beyond that costs one inspect when it is started.
const MOST: usize = 4096;

/// Full ids.
#[derive(Debug, Default)]
pub(crate) struct Created(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    ids: BTreeSet<String>,
    /// The oldest first.
    order: VecDeque<String>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Id")]
    id: String,
}

impl Created {
    /// Whether this container is known to publish nothing. Only full ids are known: another
    /// container may get the name.
    pub(crate) fn publishes_nothing(&self, reference: &str) -> bool {
        self.inner().ids.contains(reference)
    }

    /// Reads the engine's answer to the creation of a container that publishes nothing.
    pub(crate) async fn learn(
        &self,
        response: Response<ReplyBody>,
    ) -> Result<Response<ReplyBody>, Failure> {
        if response.status() != StatusCode::CREATED || !is_short(response.headers()) {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body =
            Limited::new(body, MAX_HEAD).collect().await.map_err(Failure::Unreadable)?.to_bytes();
        self.remember(&body);
        Ok(Response::from_parts(parts, ReplyBody::whole(body)))
    }

    fn remember(&self, answer: &Bytes) {
        let Ok(Answer { id }) = serde_json::from_slice(answer) else { return };
        let mut inner = self.inner();
        if inner.ids.insert(id.clone()) {
            inner.order.push_back(id);
        }
        while inner.order.len() > MOST {
            if let Some(oldest) = inner.order.pop_front() {
                inner.ids.remove(&oldest);
            }
        }
    }

    // Every critical section leaves it whole.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a container that is created like this publishes nothing. `false` where that is not
/// understood.
pub(crate) fn asks_for_no_port(body: &[u8]) -> bool {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return false };
    let host_configs = || seen(&body, "HostConfig");
    let bindings = host_configs().flat_map(|config| seen(config, "PortBindings"));
    let mut publish_all = host_configs().flat_map(|config| seen(config, "PublishAllPorts"));
    let is_empty =
        |value: &Value| value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
    body.is_object()
        && bindings.into_iter().all(is_empty)
        && !publish_all.any(|value| value == &Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asks_for_no_port_is_known_by_its_creation() {
        for body in [
            r#"{"Image":"a"}"#,
            r#"{"Image":"a","ExposedPorts":{"80/tcp":{}},"HostConfig":null}"#,
            r#"{"HostConfig":{"PortBindings":{},"PublishAllPorts":false}}"#,
            r#"{"HostConfig":{"PortBindings":null}}"#,
        ] {
            assert!(asks_for_no_port(body.as_bytes()), "{body}");
        }
        for body in [
            "",
            "[]",
            "{\"HostConfig\":{",
            r#"{"HostConfig":{"PublishAllPorts":true}}"#,
            r#"{"hostconfig":{"portbindings":{"80/tcp":[{"HostPort":""}]}}}"#,
            r#"{"HostConfig":{"PortBindings":{"80/tcp":null}}}"#,
        ] {
            assert!(!asks_for_no_port(body.as_bytes()), "{body}");
        }
    }

    #[test]
    fn the_last_ones_are_remembered_by_their_full_id() {
        let created = Created::default();
        for n in 0..=MOST {
            created.remember(&Bytes::from(format!("{{\"Id\":\"{n:064x}\",\"Warnings\":[]}}\n")));
        }
        created.remember(&Bytes::from("no JSON"));
        assert!(
            created.publishes_nothing(&format!("{MOST:064x}"))
                && created.publishes_nothing(&format!("{:064x}", 1))
        );
        assert!(!created.publishes_nothing(&format!("{:064x}", 0)), "the oldest gives way");
        assert!(
            !created.publishes_nothing(&format!("{MOST:064x}")[..12])
                && !created.publishes_nothing("")
        );
        assert_eq!(created.inner().order.len(), MOST);
    }
}
