//! Answers `/_ping` and `/version` from the engine's last responses, without a machine.
//!
//! Every client begins with `/_ping`, and IDEs repeat it: a machine that this alone woke or kept
//! would never go. The engine's own headers and body are replayed. Any response of an engine with
//! another identity voids them.
//!
//! A client chooses its API version by the response to `/_ping`, so it may ask an older engine in a
//! version that the last one offered. The gateway asks an engine that it meets for its version, and
//! lowers the version of such requests.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use engine::{ApiVersion, Version, strip_version};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Limited};
use serde::{Deserialize, Serialize};
use tunnel::{OpenError, Stream};

use crate::error::Error;
use crate::rules::endpoint::WithoutMachine;
use crate::rules::route::Route;
use crate::wire::limits::MAX_HEAD;
use crate::wire::response_body::ResponseBody;

/// Headers that belong to one transfer, not to the engine.
const NOT_REPLAYED: [HeaderName; 4] =
    [header::DATE, header::CONTENT_LENGTH, header::CONNECTION, header::TRANSFER_ENCODING];

/// An engine that has just come up answers in milliseconds; a wake waits no longer than this.
const PING_TIMEOUT: Duration = Duration::from_secs(3);

/// Headers that identify an engine. It sends them with every response.
const IDENTITY_HEADERS: [&str; 3] = ["server", "api-version", "ostype"];

/// What the engine last said about itself. Cheap to clone; clones share it.
#[derive(Debug, Clone, Default)]
pub struct EngineIdentity(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    path: Option<PathBuf>,
    known: Mutex<Known>,
    /// The highest API version that any client was offered here.
    offered: Mutex<Option<ApiVersion>>,
    /// One writer at a time.
    saving: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    ping: Option<Said>,
    version: Option<Said>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Said {
    headers: Vec<(String, String)>,
    body: String,
}

impl EngineIdentity {
    /// Nothing is known, and nothing is kept in a file.
    pub fn empty() -> Self {
        Self::default()
    }

    /// What is kept in a file; changes are written to it. If the file is missing or damaged,
    /// nothing is known.
    pub fn load(path: &Path) -> Self {
        let known = std::fs::read(path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        Self(Arc::new(Inner {
            path: Some(path.to_owned()),
            known: Mutex::new(known),
            ..Inner::default()
        }))
    }

    /// The highest API version of the engine, if known.
    pub fn api_version(&self) -> Option<String> {
        self.known().ping.as_ref().and_then(|said| said.header("api-version")).map(str::to_owned)
    }

    /// The headers that the engine sends with every response, if known.
    pub(crate) fn headers(&self) -> HeaderMap {
        let known = self.known();
        let said = known.ping.iter().chain(&known.version).next();
        let headers = said
            .into_iter()
            .flat_map(|said| &said.headers)
            .filter(|(name, _)| IDENTITY_HEADERS.contains(&name.as_str()));
        headers
            .filter_map(|(name, value)| {
                Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
            })
            .collect()
    }

    /// Asks a new engine who it is before requests reach it. `open` connects to it, and is not used
    /// while nothing is known of an earlier engine. Costs a round trip. An engine that does not
    /// answer counts as the earlier one.
    pub async fn meet(&self, open: impl Future<Output = Result<Stream, OpenError>>) {
        if self.known().ping.is_none() {
            return;
        }
        let asked = tokio::time::timeout(PING_TIMEOUT, async { ping(open.await.ok()?).await });
        if let Ok(Some(headers)) = asked.await
            && self.recognize(&headers).await
        {
            self.learn(WithoutMachine::Ping, &headers, &Bytes::new()).await;
        }
    }

    /// Lowers the version of a request to the engine's own if the client chose a higher one that
    /// the gateway had offered. The engine refuses other versions itself.
    pub(crate) fn lower_version(&self, uri: &mut Uri) {
        let highest = self.known().ping.as_ref().and_then(Said::api_version);
        let offered = *self.offered();
        let (Some(version), path) = strip_version(uri.path()) else { return };
        let (Some(highest), Some(offered)) = (highest, offered) else { return };
        if version <= highest || version > offered {
            return;
        }
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        if let Ok(lowered) = format!("/v{highest}{path}{query}").parse() {
            tracing::debug!(%uri, %lowered, "lowered to the version of an older engine");
            *uri = lowered;
        }
    }

    pub(crate) fn answer(&self, method: &Method, route: &Route) -> Option<Response<ResponseBody>> {
        let known = self.known();
        let said = match route.without_machine {
            WithoutMachine::Ping => known.ping.as_ref()?,
            WithoutMachine::Version => known.version.as_ref()?,
            _ => return None,
        };
        if let Some(version) = route.version
            && !known.offers(version)
        {
            // The engine refuses it with words of its own.
            return None;
        }
        self.offer(said);
        let body =
            if method == Method::HEAD { Bytes::new() } else { Bytes::from(said.body.clone()) };
        let mut response = Response::new(ResponseBody::whole(body));
        for (name, value) in &said.headers {
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::try_from(value))
            {
                response.headers_mut().append(name, value);
            }
        }
        if method == Method::HEAD {
            // As dockerd answers it.
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Some(response)
    }

    /// Examines the headers of any response of the engine. Another engine voids what is known.
    /// Returns whether it is another one.
    pub(crate) async fn recognize(&self, headers: &HeaderMap) -> bool {
        let another = {
            let mut known = self.known();
            let another = known.ping.as_ref().or(known.version.as_ref()).is_some_and(|said| {
                IDENTITY_HEADERS.iter().any(|name| {
                    headers.get(*name).is_some_and(|value| {
                        said.header(name).is_some_and(|known| known.as_bytes() != value.as_bytes())
                    })
                })
            });
            if another {
                *known = Known::default();
            }
            another
        };
        if another {
            self.save().await;
        }
        another
    }

    /// Remembers a response to `/_ping` or `/version`.
    pub(crate) async fn learn(&self, answer: WithoutMachine, headers: &HeaderMap, body: &Bytes) {
        let headers = headers
            .iter()
            .filter(|(name, _)| !NOT_REPLAYED.contains(name))
            .filter_map(|(name, value)| {
                Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
            })
            .collect();
        let changed = {
            let mut known = self.known();
            let (slot, body) = match answer {
                WithoutMachine::Ping => (&mut known.ping, "OK".to_owned()),
                WithoutMachine::Version => {
                    (&mut known.version, String::from_utf8_lossy(body).into_owned())
                }
                _ => return,
            };
            let said = Said { headers, body };
            self.offer(&said);
            let changed = slot.as_ref() != Some(&said);
            *slot = Some(said);
            changed
        };
        if changed {
            self.save().await;
        }
    }

    async fn save(&self) {
        let Some(path) = self.0.path.clone() else { return };
        let _one = self.0.saving.lock().await;
        let known = self.known().clone();
        let written = tokio::task::spawn_blocking(move || write(&path, &known)).await;
        if let Err(error) = written.unwrap_or_else(|error| Err(io::Error::other(error))) {
            tracing::warn!(%error, "the engine's identity could not be written");
        }
    }

    /// A client gets this response.
    fn offer(&self, said: &Said) {
        let mut offered = self.offered();
        *offered = (*offered).max(said.api_version());
    }

    // Every critical section leaves it whole.
    fn offered(&self) -> MutexGuard<'_, Option<ApiVersion>> {
        self.0.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // Every critical section leaves it whole.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn offers(&self, version: ApiVersion) -> bool {
        let Some(said) = &self.version else { return false };
        serde_json::from_str(&said.body).is_ok_and(|offered: Version| offered.offers(version))
    }
}

impl Said {
    fn api_version(&self) -> Option<ApiVersion> {
        self.header("api-version").and_then(ApiVersion::parse)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Remembers a response to `/_ping` or `/version` as it passes.
pub(crate) async fn learn(
    identity: &EngineIdentity,
    route: &Route,
    response: Response<ResponseBody>,
) -> Result<Response<ResponseBody>, Error> {
    let is_identity =
        matches!(route.without_machine, WithoutMachine::Ping | WithoutMachine::Version);
    if !is_identity || response.status() != StatusCode::OK {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, MAX_HEAD).collect().await.map_err(Error::Unreadable)?.to_bytes();
    identity.learn(route.without_machine, &parts.headers, &body).await;
    Ok(Response::from_parts(parts, ResponseBody::whole(body)))
}

/// The headers with which an engine identifies itself.
async fn ping(stream: Stream) -> Option<HeaderMap> {
    let request = engine::request(Method::GET, Uri::from_static("/_ping"));
    let response = engine::send(stream, request).await.ok()?;
    response.status().is_success().then(|| response.headers().clone())
}

/// A reader sees the old file or the new one, never a partial one.
fn write(path: &Path, known: &Known) -> io::Result<()> {
    platform::private_file::write(path, &serde_json::to_vec_pretty(known)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(server: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("server", server.parse().unwrap());
        headers.insert("api-version", "1.41".parse().unwrap());
        headers.insert("date", "Sat, 21 Nov 2026 08:00:00 GMT".parse().unwrap());
        headers.insert("content-length", "2".parse().unwrap());
        headers
    }

    fn ask(
        identity: &EngineIdentity,
        method: Method,
        path: &str,
    ) -> Option<Response<ResponseBody>> {
        let route = Route::of(&method, &path.parse().unwrap(), &HeaderMap::new());
        identity.answer(&method, &route)
    }

    #[tokio::test]
    async fn ping_is_replayed_after_a_restart_without_headers_of_the_transfer() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("engine.json");
        let identity = EngineIdentity::load(&path);
        assert!(ask(&identity, Method::GET, "/_ping").is_none());
        identity.learn(WithoutMachine::Ping, &headers("Docker/1"), &Bytes::new()).await;

        let identity = EngineIdentity::load(&path);
        let reply = ask(&identity, Method::GET, "/_ping").unwrap();
        assert_eq!(reply.headers()["api-version"], "1.41");
        assert!(
            !reply.headers().contains_key("date")
                && !reply.headers().contains_key("content-length")
        );
        assert_eq!(reply.into_body().collect().await.unwrap().to_bytes(), "OK");
        let head = ask(&identity, Method::HEAD, "/_ping").unwrap();
        assert!(head.into_body().collect().await.unwrap().to_bytes().is_empty());
        assert_eq!(identity.api_version().as_deref(), Some("1.41"));
    }

    #[tokio::test]
    async fn version_that_the_engine_does_not_offer_is_left_to_the_engine() {
        let identity = EngineIdentity::empty();
        let body = Bytes::from_static(br#"{"ApiVersion":"1.41","MinAPIVersion":"1.12"}"#);
        identity.learn(WithoutMachine::Version, &headers("Docker/1"), &body).await;
        for (path, answered) in [
            ("/version", true),
            ("/v1.41/version", true),
            ("/v1.12/version", true),
            ("/v1.42/version", false),
            ("/v1.9/version", false),
        ] {
            assert_eq!(ask(&identity, Method::GET, path).is_some(), answered, "{path}");
        }
    }

    #[tokio::test]
    async fn another_engine_voids_what_is_known() {
        let identity = EngineIdentity::empty();
        identity.learn(WithoutMachine::Ping, &headers("Docker/1"), &Bytes::new()).await;
        identity.recognize(&headers("Docker/1")).await;
        identity.recognize(&HeaderMap::new()).await;
        assert!(ask(&identity, Method::GET, "/_ping").is_some());
        identity.recognize(&headers("Docker/2")).await;
        assert!(ask(&identity, Method::GET, "/_ping").is_none());
    }

    #[test]
    fn damaged_file_counts_as_missing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("engine.json");
        std::fs::write(&path, b"{\"ping\":{").unwrap();
        assert!(ask(&EngineIdentity::load(&path), Method::GET, "/_ping").is_none());
    }
}
