//! Connections: HTTP/1.1 on a TCP listener until the cloud closes.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::{Api, Request};

/// Maximum size of a body in bytes. User data has at most 32 KiB.
const MAX_BODY: usize = 1 << 20;

/// The request was carried out and its answer discarded.
#[derive(Debug, thiserror::Error)]
#[error("the answer was lost on purpose")]
struct LostReply;

/// Accepts until the cloud closes. `bridge` is this host's address on the machines' network.
pub(crate) async fn serve(listener: TcpListener, api: Arc<Api>, bridge: Option<IpAddr>) {
    let stop = api.engine().stop.clone();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                drop(api.engine().tasks.spawn(Box::pin(connection(stream, api.clone(), bridge))))
            }
            Err(error) => {
                // No file descriptor is left, or the peer has disconnected.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, api: Arc<Api>, bridge: Option<IpAddr>) {
    let is_local =
        stream.local_addr().is_ok_and(|a| a.ip().is_loopback() || Some(a.ip()) == bridge);
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let stop = api.engine().stop.clone();
    let service = service_fn(move |request| {
        let api = api.clone();
        async move { answer(&api, request, is_local).await }
    });
    let mut connection = std::pin::pin!(
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}

async fn answer(
    api: &Api,
    request: http::Request<Incoming>,
    is_local: bool,
) -> Result<http::Response<Full<Bytes>>, LostReply> {
    let (head, body) = request.into_parts();
    // A body that is too long or cut off is refused like invalid JSON.
    let body = Limited::new(body, MAX_BODY)
        .collect()
        .await
        .map(|b| b.to_bytes())
        .unwrap_or_else(|_| Bytes::from_static(b"\0"));
    let request = Request {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body,
        is_local,
    };
    api.answer(request).await.ok_or(LostReply)
}
