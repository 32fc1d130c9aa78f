//! The end of a start that is refused here because a local port is taken.
//!
//! The engine removes a container with `AutoRemove` whose start fails, and so does the gateway. A
//! client that waits for the removal (`docker run --rm`) would wait forever otherwise.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{HOST, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Limited};
use lifecycle::Guard;
use serde::Deserialize;
use tunnel::{Class, Connector};

use crate::context::Link;
use crate::error::Failure;
use crate::upstream::connection::Upstream;
use crate::wire::body::RequestBody;

/// A container with very many labels and mounts is described in less.
const MAX_ANSWER: usize = 4 << 20;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Inspected {
    host_config: HostConfig,
    state: State,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    auto_remove: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct State {
    running: bool,
}

/// Removes the container, with its anonymous volumes, if it has `AutoRemove` and does not run. A
/// failure is logged only: the client gets the reason why its start was refused.
pub(crate) async fn clean_up(
    link: &Link,
    connector: &dyn Connector,
    guard: &Arc<Guard>,
    container: &str,
) {
    if let Err(failure) = try_clean_up(link, connector, guard, container).await {
        tracing::warn!(%container, %failure, "a self-removing container whose start was refused may still be there");
    }
}

async fn try_clean_up(
    link: &Link,
    connector: &dyn Connector,
    guard: &Arc<Guard>,
    container: &str,
) -> Result<(), Failure> {
    let (status, body) =
        ask(link, connector, guard, Method::GET, &format!("/containers/{container}/json")).await?;
    let inspected = serde_json::from_slice::<Inspected>(&body).unwrap_or_default();
    if status != StatusCode::OK || inspected.state.running || !inspected.host_config.auto_remove {
        return Ok(());
    }
    let (status, body) = ask(
        link,
        connector,
        guard,
        Method::DELETE,
        &format!("/containers/{container}?force=1&v=1"),
    )
    .await?;
    if !status.is_success() && status != StatusCode::NOT_FOUND {
        tracing::warn!(%container, %status, answer = %String::from_utf8_lossy(&body), "a self-removing container could not be removed");
    }
    Ok(())
}

/// A question of our own, on a connection of the client's. All questions here may be asked twice.
async fn ask(
    link: &Link,
    connector: &dyn Connector,
    guard: &Arc<Guard>,
    method: Method,
    path: &str,
) -> Result<(StatusCode, Bytes), Failure> {
    if let Some(idle) = link.idle(Class::Question, false).await
        && let Ok(answered) = ask_on(link, idle, guard, &method, path).await
    {
        return Ok(answered);
    }
    // What was idle may have been stale.
    let upstream = link.dial(connector, Class::Question).await?;
    ask_on(link, upstream, guard, &method, path).await
}

async fn ask_on(
    link: &Link,
    mut upstream: Upstream,
    guard: &Arc<Guard>,
    method: &Method,
    path: &str,
) -> Result<(StatusCode, Bytes), Failure> {
    let mut request = Request::new(RequestBody::none(guard.clone()));
    *request.method_mut() = method.clone();
    *request.uri_mut() = path.parse::<Uri>().unwrap_or_default();
    request.headers_mut().insert(HOST, HeaderValue::from_static("docker"));
    let response =
        upstream.send(request, false).await.map_err(|failed| Failure::of(failed.into_error()))?;
    let (parts, body) = response.into_parts();
    let body =
        Limited::new(body, MAX_ANSWER).collect().await.map_err(Failure::Unreadable)?.to_bytes();
    link.park(upstream);
    Ok((parts.status, body))
}
