//! A host whose TCP 22 is known to answer, in place of those on the internet: the host's address on
//! the machines' network greets as an SSH server and hangs up. A client that reaches neither a
//! machine nor this address is in a network that blocks TCP 22.

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::time::{Duration, sleep};

use super::claim::Place;

const SSH_PORT: u16 = 22;
const GREETING: &[u8] = b"SSH-2.0-dockbridge-local-cloud\r\n";
/// Between two attempts to accept, where the process has no descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// `None` where an SSH server of this host listens on all addresses: it answers itself.
pub(super) async fn listen(place: Place) -> Option<TcpListener> {
    match TcpListener::bind((place.gateway(), SSH_PORT)).await {
        Ok(listener) => Some(listener),
        Err(error) => {
            tracing::debug!(%error, "TCP 22 of the machines' network is answered by this host");
            None
        }
    }
}

/// Greets everyone.
pub(super) async fn serve(listener: Option<TcpListener>) {
    let Some(listener) = listener else { return };
    loop {
        match listener.accept().await {
            // A client that has gone already misses nothing.
            Ok((mut stream, _)) => drop(stream.write_all(GREETING).await),
            Err(error) => {
                tracing::debug!(%error, "a connection to TCP 22 was not accepted");
                sleep(PAUSE).await;
            }
        }
    }
}
