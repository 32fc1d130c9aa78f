//! Accepts the connections of an open port, and connects each to a stream of its own to the
//! container's port.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tunnel::{Class, Destination, OpenError};

use crate::closable::Closable;
use crate::counters::Use;
use crate::docker::Engine;
use crate::relay::{Broken, relay};
use crate::target::{Ending, Target};

/// Concurrent connections through one address of a port. A silent one holds 16 KiB here and a
/// stream of the tunnel with its credit of 256 KiB, so that this many are bounded at about 160 MiB
/// if none is read; more wait in the kernel's backlog, as with a busy server.
const MAX_CONNECTIONS: usize = 600;

/// How long connections continue after the port is closed: a container may write its answer and
/// exit at once, while its bytes are still in flight.
const LAST_BYTES: Duration = Duration::from_secs(10);

/// How long the query for the engine's mode may take after a failed connection.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

const ROOTLESS: &str = "the engine runs rootless, and its host does not reach its containers' \
                        network: publish the port (docker run -p)";

pub(crate) async fn accept(
    socket: Arc<Closable<TcpListener>>,
    target: Arc<Target>,
    ending: Ending,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = ending.closed.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = poll_fn(|cx| socket.poll(|socket| socket.poll_accept(cx))),
                if connections.len() < MAX_CONNECTIONS => match accepted
            {
                Ok((local, peer)) => {
                    let (target, ending) = (target.clone(), ending.clone());
                    let carrying = connection(local, peer, target.clone(), ending);
                    connections.spawn(target.traced(carrying));
                }
                // Out of file descriptors, which takes time, or a connection that ended in the
                // backlog.
                Err(error) => {
                    tracing::warn!(port = %target.source, %error, "accepting a connection failed");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    let ended = tokio::time::timeout(LAST_BYTES, async {
        while connections.join_next().await.is_some() {}
    });
    if ended.await.is_err() {
        ending.cut.cancel();
        while connections.join_next().await.is_some() {}
    }
}

async fn connection(mut local: TcpStream, peer: SocketAddr, target: Arc<Target>, ending: Ending) {
    let mut used = target.counters.begin(peer, target.activity());
    let outcome = tokio::select! {
        () = ending.cut.cancelled() => {
            let error = io::Error::new(io::ErrorKind::ConnectionReset, "the machine is gone");
            Err(Broken::ByContainer(error))
        }
        outcome = join(&mut local, &target, &used) => outcome,
    };
    let (why, unreached) = match outcome {
        Ok(()) => return,
        Err(Broken::ByClient(error)) => (format!("the client broke off: {error}"), false),
        Err(Broken::ByContainer(error)) => match OpenError::of(&error) {
            Some(refusal) => (
                refusal.to_string(),
                matches!(refusal, OpenError::NotFound { .. } | OpenError::Refused { .. }),
            ),
            None => (error.to_string(), false),
        },
    };
    tracing::debug!(port = %target.source, %peer, %why, "a connection was reset");
    // The client gets a reset, as from a port that refuses, rather than an orderly end that looks
    // like an empty answer.
    let _ = local.set_zero_linger();
    if !(unreached && target.is_containers) {
        return used.failed(why);
    }
    // The client does not wait for the explanation.
    drop(local);
    let rootless = is_rootless(&target).await;
    used.failed(if rootless { format!("{why}; {ROOTLESS}") } else { why });
}

/// Whether the engine answers in time that it is rootless.
async fn is_rootless(target: &Target) -> bool {
    let asked = tokio::time::timeout(QUERY_TIMEOUT, Engine(&*target.connector).is_rootless());
    matches!(asked.await, Ok(Ok(true)))
}

async fn join(local: &mut TcpStream, target: &Target, used: &Use) -> Result<(), Broken> {
    // The semaphore is never closed. Commands have streams of their own, so that ports full of
    // connections do not block `docker ps`.
    let _place = target.places.acquire().await.ok();
    let to = Destination::Tcp { host: target.remote.host.clone(), port: target.remote.port };
    // The amount of data is not known beforehand: a web page, or an image of a gigabyte. The last
    // connection is the best predictor.
    let class = if target.counters.expects_bulk() { Class::Bulk } else { Class::Interactive };
    let remote = tokio::select! {
        opened = target.connector.open(to, class) => {
            opened.map_err(|error| Broken::ByContainer(io::Error::other(error)))?
        }
        error = reset(local) => return Err(Broken::ByClient(error)),
    };
    local.set_nodelay(true).map_err(Broken::ByClient)?;
    let (from_container, to_container) = tokio::io::split(remote);
    let (from_client, to_client) = local.split();
    relay((from_client, to_client), (from_container, to_container), used).await
}

/// Returns when the client has gone. It reads no byte, and an orderly end only means that the
/// client sends nothing more.
async fn reset(local: &TcpStream) -> io::Error {
    match local.peek(&mut [0]).await {
        Err(error) => error,
        Ok(_) => std::future::pending().await,
    }
}
