//! Cleans up after a start that is refused because a local port is taken.
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

use crate::error::Error;
use crate::upstream::connection::Upstream;
use crate::upstream::connections::Connections;
use crate::wire::request_body::RequestBody;

/// In bytes. The description of a container with very many labels and mounts is shorter.
const MAX_RESPONSE: usize = 4 << 20;

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
/// failure is only logged: the client gets the reason why its start was refused.
pub(crate) async fn clean_up(
    connections: &Connections,
    connector: &dyn Connector,
    guard: &Arc<Guard>,
    container: &str,
) {
    if let Err(error) = try_clean_up(connections, connector, guard, container).await {
        tracing::warn!(
            %container,
            %error,
            "a self-removing container whose start was refused may still be there"
        );
    }
}

async fn try_clean_up(
    connections: &Connections,
    connector: &dyn Connector,
    guard: &Arc<Guard>,
    container: &str,
) -> Result<(), Error> {
    let path = format!("/containers/{container}/json");
    let (status, body) = ask(connections, connector, guard, Method::GET, &path).await?;
    let inspected = serde_json::from_slice::<Inspected>(&body).unwrap_or_default();
    if status != StatusCode::OK || inspected.state.running || !inspected.host_config.auto_remove {
        return Ok(());
    }
    let path = format!("/containers/{container}?force=1&v=1");
    let (status, body) = ask(connections, connector, guard, Method::DELETE, &path).await?;
    if !status.is_success() && status != StatusCode::NOT_FOUND {
        let answer = String::from_utf8_lossy(&body);
        tracing::warn!(%container, %status, %answer, "a self-removing container was not removed");
    }
    Ok(())
}

/// Sends a request of the gateway's own on a connection of the client. All requests here may be
/// sent twice.
async fn ask(
    connections: &Connections,
    connector: &dyn Connector,
    guard: &Arc<Guard>,
    method: Method,
    path: &str,
) -> Result<(StatusCode, Bytes), Error> {
    if let Some(idle) = connections.idle(Class::Question, false).await
        && let Ok(answered) = ask_on(connections, idle, guard, &method, path).await
    {
        return Ok(answered);
    }
    // The idle connection may have been stale.
    let upstream = connections.dial(connector, Class::Question).await?;
    ask_on(connections, upstream, guard, &method, path).await
}

async fn ask_on(
    connections: &Connections,
    mut upstream: Upstream,
    guard: &Arc<Guard>,
    method: &Method,
    path: &str,
) -> Result<(StatusCode, Bytes), Error> {
    let mut request = Request::new(RequestBody::empty(guard.clone()));
    *request.method_mut() = method.clone();
    *request.uri_mut() = path.parse::<Uri>().unwrap_or_default();
    request.headers_mut().insert(HOST, HeaderValue::from_static("docker"));
    let response = upstream.send(request, false).await.map_err(|failed| failed.into_error())?;
    let (parts, body) = response.into_parts();
    let body =
        Limited::new(body, MAX_RESPONSE).collect().await.map_err(Error::Unreadable)?.to_bytes();
    connections.park(upstream);
    Ok((parts.status, body))
}
