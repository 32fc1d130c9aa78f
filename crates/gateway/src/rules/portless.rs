//! Containers that were created through this endpoint and publish no port: their start needs no
//! inspect.
//!
//! What a container publishes is fixed when it is created, and its id is never reused.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::body_paths::fields;
use super::rewrite::read;
use crate::error::Error;
use crate::wire::limits::is_short;
use crate::wire::response_body::ResponseBody;

/// About 600 KiB. The start of an older container costs one inspect.
const MAX_IDS: usize = 4096;

/// Full ids.
#[derive(Debug, Default)]
pub(crate) struct Portless(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    ids: BTreeSet<String>,
    /// The oldest first.
    order: VecDeque<String>,
}

#[derive(Deserialize)]
struct Created {
    #[serde(rename = "Id")]
    id: String,
}

impl Portless {
    /// Only full ids are known: a name may pass to another container.
    pub(crate) fn contains(&self, reference: &str) -> bool {
        self.inner().ids.contains(reference)
    }

    /// Reads the engine's response to the creation of a container that publishes nothing.
    pub(crate) async fn learn(
        &self,
        response: Response<ResponseBody>,
    ) -> Result<Response<ResponseBody>, Error> {
        if response.status() != StatusCode::CREATED || !is_short(response.headers()) {
            return Ok(response);
        }
        let (response, body) = read(response).await?;
        self.remember(&body);
        Ok(response)
    }

    fn remember(&self, body: &[u8]) {
        let Ok(Created { id }) = serde_json::from_slice(body) else { return };
        let mut inner = self.inner();
        if inner.ids.insert(id.clone()) {
            inner.order.push_back(id);
        }
        while inner.order.len() > MAX_IDS {
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

/// Whether the body of a creation asks for no published port. `false` if it is not understood.
pub(crate) fn asks_for_no_port(body: &[u8]) -> bool {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return false };
    let host_configs = || fields(&body, "HostConfig");
    let bindings = host_configs().flat_map(|config| fields(config, "PortBindings"));
    let mut publish_all = host_configs().flat_map(|config| fields(config, "PublishAllPorts"));
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
    fn creation_shows_whether_a_container_publishes_ports() {
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
    fn last_ids_are_remembered_in_full() {
        let portless = Portless::default();
        for n in 0..=MAX_IDS {
            portless.remember(format!("{{\"Id\":\"{n:064x}\",\"Warnings\":[]}}\n").as_bytes());
        }
        portless.remember(b"no JSON");
        assert!(
            portless.contains(&format!("{MAX_IDS:064x}"))
                && portless.contains(&format!("{:064x}", 1))
        );
        assert!(!portless.contains(&format!("{:064x}", 0)), "the oldest is forgotten");
        assert!(!portless.contains(&format!("{MAX_IDS:064x}")[..12]) && !portless.contains(""));
        assert_eq!(portless.inner().order.len(), MAX_IDS);
    }
}
