//! Published ports whose machine was taken down. They are listed as asleep until a machine is up
//! again. Where the machine went by itself (idleness, a lock), they keep listening: an HTTP client
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

use crate::address::{Address, Protocol};
use crate::closable::Closable;
use crate::listen::{self, Socket};
use crate::listening::Listening;

/// A client that speaks HTTP has asked by then.
const PATIENCE: Duration = Duration::from_secs(2);
/// Clients that are answered at once through one port; more are disconnected.
const MOST: usize = 64;

/// One port that is asleep.
pub(crate) struct Sleeper {
    pub(crate) listening: Listening,
    /// Where it answered, and where it says that it is asleep.
    pub(crate) at: Vec<SocketAddr>,
    listeners: Option<Listeners>,
}

/// They are closed at once when this is dropped: the next moment somebody else may want the port.
struct Listeners {
    doors: Vec<Arc<Closable<TcpListener>>>,
    _ending: DropGuard,
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.doors.iter().for_each(|door| door.close());
    }
}

/// All of them.
#[derive(Default)]
pub(crate) struct Sleepers(Vec<Sleeper>);

impl Sleepers {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Sleeper> {
        self.0.iter()
    }

    /// The port's own sockets are closed by now. With `tasks`, it goes on listening where it can.
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

    /// Somebody else is to have this port.
    pub(crate) fn give_up(&mut self, port: u16) {
        for sleeper in
            self.0.iter_mut().filter(|sleeper| sleeper.at.iter().any(|at| at.port() == port))
        {
            drop(sleeper.listeners.take());
        }
    }

    /// A machine is there, or the daemon ends.
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
            tracing::debug!(%at, %error, "a port that is asleep cannot say so");
            None
        })
    });
    let doors: Vec<_> = listeners.map(|listener| Arc::new(Closable::new(listener))).collect();
    let (ending, answer): (_, Arc<str>) = (CancellationToken::new(), answer(name).into());
    for door in &doors {
        let (accepting, ending) = (accept(door.clone(), answer.clone()), ending.clone());
        tasks.spawn(async move { ending.run_until_cancelled(accepting).await });
    }
    Listeners { doors, _ending: ending.drop_guard() }
}

async fn accept(door: Arc<Closable<TcpListener>>, answer: Arc<str>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = poll_fn(|cx| door.poll(|listener| listener.poll_accept(cx))) => match accepted {
                Ok((client, _)) if connections.len() < MOST => {
                    let answer = answer.clone();
                    // Whichever way it ends, the connection is closed.
                    connections.spawn(async move { timeout(PATIENCE * 2, tell(client, &answer)).await.is_ok() });
                }
                Ok(_) => {}
                // Out of descriptors: time is what helps.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
        }
    }
}

async fn tell(mut client: TcpStream, answer: &str) -> std::io::Result<()> {
    let mut asked = [0; 4096];
    let Ok(read) = timeout(PATIENCE, client.read(&mut asked)).await else { return Ok(()) };
    if !is_http(&asked[..read?]) {
        return Ok(());
    }
    client.write_all(answer.as_bytes()).await?;
    client.shutdown().await?;
    // A client that still sends would be met by a reset, and not read its answer.
    tokio::io::copy(&mut client, &mut tokio::io::sink()).await.map(drop)
}

/// A method and a blank (RFC 9112, section 3).
fn is_http(asked: &[u8]) -> bool {
    let method = asked.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    (3..=16).contains(&method) && asked.get(method) == Some(&b' ')
}

fn answer(name: &str) -> String {
    let text = format!(
        "{name} is asleep: dockbridge has taken its machine down, and the volume stays. \
            `dockbridge wake`, or any docker command, brings both back.\n"
    );
    let length = text.len();
    format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; \
            charset=utf-8\r\nContent-Length: {length}\r\nRetry-After: 60\r\n\
         Connection: close\r\n\r\n{text}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_is_told_from_other_protocols() {
        for asked in ["GET / HTTP/1.1\r\n", "OPTIONS * HTTP/1.0", "PRI * HTTP/2.0\r\n"] {
            assert!(is_http(asked.as_bytes()), "{asked}");
        }
        for asked in ["", "GET", "get / HTTP/1.1", "\x16\x03\x01\x02", "SSH-2.0-OpenSSH", "A B"] {
            assert!(!is_http(asked.as_bytes()), "{asked}");
        }
    }
}
