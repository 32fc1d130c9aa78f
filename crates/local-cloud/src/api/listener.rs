//! Where the API listens, and its connections: HTTP/1.1 on a TCP listener until the cloud closes.

use std::io;
use std::net::{IpAddr, SocketAddr};
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

/// How many ports are tried for both addresses.
const ATTEMPTS: u32 = 20;

/// The API's listeners: on the wanted address and, with the same port, on the machines' bridge.
#[derive(Debug)]
pub(crate) struct Listeners {
    wanted: SocketAddr,
    /// Where `main` listens.
    pub(crate) address: SocketAddr,
    pub(crate) main: TcpListener,
    pub(crate) on_bridge: Option<TcpListener>,
}

/// Listening on an address failed.
#[derive(Debug)]
pub(crate) struct CannotListen {
    pub(crate) address: SocketAddr,
    pub(crate) source: io::Error,
}

impl Listeners {
    /// Listens on the wanted address. Port 0 is any free one.
    pub(crate) async fn bind(wanted: SocketAddr) -> Result<Self, CannotListen> {
        let main = listen(wanted).await?;
        let address =
            main.local_addr().map_err(|source| CannotListen { address: wanted, source })?;
        Ok(Self { wanted, address, main, on_bridge: None })
    }

    /// Listens on the bridge, too. A port that is free on one address may be taken on the other,
    /// by a connection to a machine of an earlier cloud: then both get another one, unless the
    /// port was wanted.
    pub(crate) async fn also_on(mut self, bridge: IpAddr) -> Result<Self, CannotListen> {
        // A listener on all addresses is reachable over the bridge anyway.
        if self.address.ip().is_unspecified() {
            return Ok(self);
        }
        let mut attempts = 1;
        loop {
            match listen(SocketAddr::new(bridge, self.address.port())).await {
                Ok(on_bridge) => {
                    self.on_bridge = Some(on_bridge);
                    return Ok(self);
                }
                Err(taken)
                    if taken.source.kind() == io::ErrorKind::AddrInUse
                        && self.wanted.port() == 0
                        && attempts < ATTEMPTS =>
                {
                    attempts += 1;
                    self = Self::bind(self.wanted).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, CannotListen> {
    TcpListener::bind(address).await.map_err(|source| CannotListen { address, source })
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn port_that_is_taken_on_the_bridge_is_replaced_on_both_addresses_unless_it_was_wanted() {
        let bridge = IpAddr::from([127, 0, 0, 2]);
        let first = Listeners::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let taken = SocketAddr::new(bridge, first.address.port());
        let _other = TcpListener::bind(taken).await.unwrap();
        let both = first.also_on(bridge).await.unwrap();
        let on_bridge = both.on_bridge.unwrap().local_addr().unwrap();
        assert_eq!(on_bridge.ip(), bridge);
        assert_eq!(on_bridge.port(), both.address.port());
        assert_eq!(both.main.local_addr().unwrap(), both.address);

        let wanted = Listeners::bind(([127, 0, 0, 1], taken.port()).into()).await.unwrap();
        let refused = wanted.also_on(bridge).await.unwrap_err();
        assert_eq!((refused.address, refused.source.kind()), (taken, io::ErrorKind::AddrInUse));
    }
}
