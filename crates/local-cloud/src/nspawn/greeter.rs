//! A host whose TCP 22 is known to answer, in place of public hosts: the host's address on the
//! machines' network greets as an SSH server and closes the connection. A client that reaches
//! neither a machine nor this address is in a network that blocks TCP 22.

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::time::{Duration, sleep};

use super::claim::Slot;

const SSH_PORT: u16 = 22;
const GREETING: &[u8] = b"SSH-2.0-dockbridge-local-cloud\r\n";
/// Pause between attempts to accept while the process has no file descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// `None` if an SSH server of this host listens on all addresses: that one answers.
pub(super) async fn listen(slot: Slot) -> Option<TcpListener> {
    match TcpListener::bind((slot.gateway(), SSH_PORT)).await {
        Ok(listener) => Some(listener),
        Err(error) => {
            tracing::debug!(%error, "an SSH server of this host answers on TCP 22 of the machines' \
             network");
            None
        }
    }
}

/// Greets every client.
pub(super) async fn serve(listener: Option<TcpListener>) {
    let Some(listener) = listener else { return };
    loop {
        match listener.accept().await {
            // A client that has disconnected misses nothing.
            Ok((mut stream, _)) => drop(stream.write_all(GREETING).await),
            Err(error) => {
                tracing::debug!(%error, "a connection to TCP 22 was not accepted");
                sleep(PAUSE).await;
            }
        }
    }
}
