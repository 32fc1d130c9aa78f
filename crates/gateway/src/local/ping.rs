//! What the engine said about itself the last time: enough to answer `/_ping` and `/version`
//! without a machine.
//!
//! Every client opens with `/_ping`; a machine that was woken or kept by that alone would never go.
//! What is replayed are the engine's own headers and body. Any answer of an engine that differs in
//! what it calls itself voids the knowledge.
//!
//! A client chooses its API version by what `/_ping` said, so it may speak to an older engine in a
//! version that the last one offered. An engine that has just been met is asked for its own
//! version, and such requests go to it in that one.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, Uri};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio_util::task::AbortOnDropHandle;
use tunnel::{OpenError, Stream};

use crate::rules::endpoints::{Answer, ApiVersion, Route, strip_version};
use crate::wire::body::ReplyBody;

/// Headers that belong to one transfer or one moment, not to the engine.
const NOT_REPLAYED: [HeaderName; 4] =
    [header::DATE, header::CONTENT_LENGTH, header::CONNECTION, header::TRANSFER_ENCODING];

/// An engine that has just answered says what it is in milliseconds; a wake does not wait for more
/// than this.
const LONGEST_QUESTION: Duration = Duration::from_secs(3);

/// Headers by which an engine is recognised; it sends them with every answer.
const RECOGNISED_BY: [&str; 3] = ["server", "api-version", "ostype"];

/// The last known self-description of the engine. Cheap to clone; clones share it.
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

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VersionBody {
    api_version: Option<String>,
    #[serde(rename = "MinAPIVersion")]
    min_api_version: Option<String>,
}

impl EngineIdentity {
    /// Nothing known, nothing kept.
    pub fn empty() -> Self {
        Self::default()
    }

    /// What is kept in a file, and is kept there from now on. A file that is missing or was damaged
    /// is an engine not known yet.
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

    /// The API version that the engine offers, where known.
    pub fn api_version(&self) -> Option<String> {
        self.known().ping.as_ref().and_then(|said| said.header("api-version")).map(str::to_owned)
    }

    /// The headers that the engine sends with everything, as far as they are known.
    pub(crate) fn headers(&self) -> HeaderMap {
        let known = self.known();
        let said = known.ping.iter().chain(&known.version).next();
        let headers = said
            .into_iter()
            .flat_map(|said| &said.headers)
            .filter(|(name, _)| RECOGNISED_BY.contains(&name.as_str()));
        headers
            .filter_map(|(name, value)| {
                Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
            })
            .collect()
    }

    /// An engine that requests are going to go to: whether it is another one than before. `open`
    /// leads to it, and is not used where nothing is known. Costs a round trip; an engine that does
    /// not say stays as it was.
    pub async fn meet(&self, open: impl Future<Output = Result<Stream, OpenError>>) {
        if self.known().ping.is_none() {
            return;
        }
        let asked = tokio::time::timeout(LONGEST_QUESTION, async { ping(open.await.ok()?).await });
        if let Ok(Some(headers)) = asked.await
            && self.recognise(&headers).await
        {
            self.learn(Answer::Ping, &headers, &Bytes::new()).await;
        }
    }

    /// The same request in the engine's own version, where its client chose a higher one that was
    /// offered here. Others are the engine's to refuse.
    pub(crate) fn lower(&self, uri: &mut Uri) {
        let highest = self.known().ping.as_ref().and_then(Said::api_version);
        let offered = *self.offered();
        let (Some(version), path) = strip_version(uri.path()) else { return };
        let (Some(highest), Some(offered)) = (highest, offered) else { return };
        if version <= highest || version > offered {
            return;
        }
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        if let Ok(lowered) = format!("/v{highest}{path}{query}").parse() {
            tracing::debug!(%uri, %lowered, "the engine is older than the one whose version the client was offered");
            *uri = lowered;
        }
    }

    pub(crate) fn answer(&self, method: &Method, route: &Route) -> Option<Response<ReplyBody>> {
        let answer = route.answer?;
        let known = self.known();
        let said = match answer {
            Answer::Ping => known.ping.as_ref()?,
            Answer::Version => known.version.as_ref()?,
        };
        if let Some(version) = route.version
            && !known.offers(version)
        {
            // The engine has words of its own for this.
            return None;
        }
        self.offers(said);
        let body =
            if method == Method::HEAD { Bytes::new() } else { Bytes::from(said.body.clone()) };
        let mut response = Response::new(ReplyBody::whole(body));
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

    /// An answer of the engine, of any kind: another engine voids what was known. Returns whether
    /// it is another one.
    pub(crate) async fn recognise(&self, headers: &HeaderMap) -> bool {
        let another = {
            let mut known = self.known();
            let another = known.ping.as_ref().or(known.version.as_ref()).is_some_and(|said| {
                RECOGNISED_BY.iter().any(|name| {
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

    /// An answer to one of the questions that can be answered here.
    pub(crate) async fn learn(&self, answer: Answer, headers: &HeaderMap, body: &Bytes) {
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
                Answer::Ping => (&mut known.ping, "OK".to_owned()),
                Answer::Version => (&mut known.version, String::from_utf8_lossy(body).into_owned()),
            };
            let said = Said { headers, body };
            self.offers(&said);
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
            tracing::warn!(%error, "what the engine said about itself could not be kept");
        }
    }

    /// A client hears this.
    fn offers(&self, said: &Said) {
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
        let Ok(body) = serde_json::from_str::<VersionBody>(&said.body) else { return false };
        let highest = body.api_version.as_deref().and_then(ApiVersion::parse);
        let lowest = body.min_api_version.as_deref().and_then(ApiVersion::parse);
        highest.is_some_and(|highest| version <= highest)
            && lowest.is_some_and(|lowest| version >= lowest)
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

/// What an engine calls itself, at the other end of a stream.
async fn ping(stream: Stream) -> Option<HeaderMap> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    // Its failure is that of the request.
    let _connection = AbortOnDropHandle::new(tokio::spawn(async move { drop(connection.await) }));
    let request =
        Request::get("/_ping").header(header::HOST, "docker").body(Empty::<Bytes>::new()).ok()?;
    let response = sender.send_request(request).await.ok()?;
    response.status().is_success().then(|| response.headers().clone())
}

/// A reader sees the old file or the new one, never half of one.
fn write(path: &Path, known: &Known) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(&serde_json::to_vec_pretty(known)?)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::rules::endpoints::classify;

    fn headers(server: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("server", server.parse().unwrap());
        headers.insert("api-version", "1.41".parse().unwrap());
        headers.insert("date", "Sat, 21 Nov 2026 08:00:00 GMT".parse().unwrap());
        headers.insert("content-length", "2".parse().unwrap());
        headers
    }

    fn ask(knowledge: &EngineIdentity, method: Method, path: &str) -> Option<Response<ReplyBody>> {
        let route = classify(&method, &path.parse().unwrap(), &HeaderMap::new());
        knowledge.answer(&method, &route)
    }

    #[tokio::test]
    async fn what_was_said_is_replayed_after_a_restart_without_what_belonged_to_the_moment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.json");
        let knowledge = EngineIdentity::load(&path);
        assert!(ask(&knowledge, Method::GET, "/_ping").is_none());
        knowledge.learn(Answer::Ping, &headers("Docker/1"), &Bytes::new()).await;

        let knowledge = EngineIdentity::load(&path);
        let reply = ask(&knowledge, Method::GET, "/_ping").unwrap();
        assert_eq!(reply.headers()["api-version"], "1.41");
        assert!(
            !reply.headers().contains_key("date")
                && !reply.headers().contains_key("content-length")
        );
        assert_eq!(reply.into_body().collect().await.unwrap().to_bytes(), "OK");
        let head = ask(&knowledge, Method::HEAD, "/_ping").unwrap();
        assert!(head.into_body().collect().await.unwrap().to_bytes().is_empty());
        assert_eq!(knowledge.api_version().as_deref(), Some("1.41"));
    }

    #[tokio::test]
    async fn a_version_that_the_engine_does_not_offer_is_left_to_the_engine() {
        let knowledge = EngineIdentity::empty();
        let body = Bytes::from_static(br#"{"ApiVersion":"1.41","MinAPIVersion":"1.12"}"#);
        knowledge.learn(Answer::Version, &headers("Docker/1"), &body).await;
        for (path, answered) in [
            ("/version", true),
            ("/v1.41/version", true),
            ("/v1.12/version", true),
            ("/v1.42/version", false),
            ("/v1.9/version", false),
        ] {
            assert_eq!(ask(&knowledge, Method::GET, path).is_some(), answered, "{path}");
        }
    }

    #[tokio::test]
    async fn another_engine_voids_what_was_known() {
        let knowledge = EngineIdentity::empty();
        knowledge.learn(Answer::Ping, &headers("Docker/1"), &Bytes::new()).await;
        knowledge.recognise(&headers("Docker/1")).await;
        knowledge.recognise(&HeaderMap::new()).await;
        assert!(ask(&knowledge, Method::GET, "/_ping").is_some());
        knowledge.recognise(&headers("Docker/2")).await;
        assert!(ask(&knowledge, Method::GET, "/_ping").is_none());
    }

    #[test]
    fn a_damaged_file_is_an_engine_not_known_yet() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.json");
        std::fs::write(&path, b"{\"ping\":{").unwrap();
        assert!(ask(&EngineIdentity::load(&path), Method::GET, "/_ping").is_none());
    }
}
