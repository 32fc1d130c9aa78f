//! Published ports whose machine was taken down. They are listed as asleep until a machine runs
//! again. If the machine ended by itself (idleness, a lock), they keep listening: an HTTP client
//! gets a 503 that says so, any other client is disconnected.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::address::Address;
use crate::closable::Closable;
use crate::listen::{self, Socket};
use crate::listening::Listening;
use api::Protocol;

/// How long a client may take to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// Clients per port that are answered concurrently; more are disconnected.
const MAX_CLIENTS: usize = 64;

/// A port that is asleep.
pub(crate) struct Sleeper {
    pub(crate) listening: Listening,
    /// Where it answered, and where it answers that it is asleep.
    pub(crate) at: Vec<SocketAddr>,
    listeners: Option<Listeners>,
}

/// The listeners, closed at once when dropped: the next moment another program may want the port.
struct Listeners {
    sockets: Vec<Arc<Closable<TcpListener>>>,
    _ending: DropGuard,
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.sockets.iter().for_each(|socket| socket.close());
    }
}

/// All ports that are asleep.
#[derive(Default)]
pub(crate) struct Sleepers(Vec<Sleeper>);

impl Sleepers {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Sleeper> {
        self.0.iter()
    }

    /// Adds a port whose own sockets are closed by now. With `tasks` it keeps listening if it can.
    pub(crate) fn add(
        &mut self,
        listening: Listening,
        at: Vec<SocketAddr>,
        tasks: Option<&TaskTracker>,
    ) {
        self.0.retain(|sleeper| sleeper.listening.slot != listening.slot);
        let of_tcp = listening.slot.wanted.protocol == Protocol::Tcp;
        let listeners = tasks.filter(|_| of_tcp).map(|tasks| listen(&at, &listening.name, tasks));
        self.0.push(Sleeper { listening, at, listeners });
    }

    /// Frees the port for another listener.
    pub(crate) fn give_up(&mut self, port: u16) {
        for sleeper in
            self.0.iter_mut().filter(|sleeper| sleeper.at.iter().any(|at| at.port() == port))
        {
            drop(sleeper.listeners.take());
        }
    }

    /// Removes all, because a machine runs or the daemon ends.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

fn listen(at: &[SocketAddr], name: &str, tasks: &TaskTracker) -> Listeners {
    let listeners = at.iter().filter_map(|at| {
        let listener =
            listen::listen(Address { protocol: Protocol::Tcp, at: *at }).and_then(|socket| {
                match socket {
                    Socket::Tcp(listener) => TcpListener::from_std(listener).map(Some),
                    Socket::Udp(_) => Ok(None),
                }
            });
        listener.unwrap_or_else(|error| {
            tracing::debug!(%at, %error, "a port that is asleep cannot answer");
            None
        })
    });
    let sockets: Vec<_> = listeners.map(|listener| Arc::new(Closable::new(listener))).collect();
    let (ending, answer): (_, Arc<str>) = (CancellationToken::new(), answer(name).into());
    for socket in &sockets {
        let (accepting, ending) = (accept(socket.clone(), answer.clone()), ending.clone());
        tasks.spawn(async move { ending.run_until_cancelled(accepting).await });
    }
    Listeners { sockets, _ending: ending.drop_guard() }
}

async fn accept(socket: Arc<Closable<TcpListener>>, answer: Arc<str>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = poll_fn(|cx| socket.poll(|one| one.poll_accept(cx))) => match accepted {
                Ok((client, _)) if connections.len() < MAX_CLIENTS => {
                    let answer = answer.clone();
                    // The connection is closed however it ends.
                    connections.spawn(async move {
                        timeout(REQUEST_TIMEOUT * 2, reply(client, &answer)).await.is_ok()
                    });
                }
                Ok(_) => {}
                // Out of file descriptors, which only time helps.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
        }
    }
}

async fn reply(mut client: TcpStream, answer: &str) -> std::io::Result<()> {
    let mut request = [0; 4096];
    let reading = timeout(REQUEST_TIMEOUT, client.read(&mut request));
    let Ok(read) = reading.await else { return Ok(()) };
    if !is_http(&request[..read?]) {
        return Ok(());
    }
    client.write_all(answer.as_bytes()).await?;
    client.shutdown().await?;
    // A client that still sends would get a reset before it read the answer.
    tokio::io::copy(&mut client, &mut tokio::io::sink()).await.map(drop)
}

/// A method and a blank (RFC 9112, section 3).
fn is_http(request: &[u8]) -> bool {
    let method = request.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    (3..=16).contains(&method) && request.get(method) == Some(&b' ')
}

fn answer(name: &str) -> String {
    let text = format!(
        "{name} is asleep: dockbridge has taken its machine down, and the volume stays. \
         `dockbridge wake`, or any docker command, brings both back.\n"
    );
    let length = text.len();
    format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {length}\r\nRetry-After: 60\r\nConnection: close\r\n\r\n{text}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_is_distinguished_from_other_protocols() {
        for asked in ["GET / HTTP/1.1\r\n", "OPTIONS * HTTP/1.0", "PRI * HTTP/2.0\r\n"] {
            assert!(is_http(asked.as_bytes()), "{asked}");
        }
        for asked in ["", "GET", "get / HTTP/1.1", "\x16\x03\x01\x02", "SSH-2.0-OpenSSH", "A B"] {
            assert!(!is_http(asked.as_bytes()), "{asked}");
        }
    }
}
