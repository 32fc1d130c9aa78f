//! The Docker endpoint on a TCP port, for programs that cannot use a Unix socket: on both loopback
//! addresses only.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;

use tokio::net::TcpListener;

/// Listens on the port. A computer without IPv6 has one listener. A port that another program has
/// on either address is an error: half of the clients would connect to that program.
pub(crate) async fn listen(port: NonZeroU16) -> io::Result<Vec<TcpListener>> {
    let mut listeners = vec![TcpListener::bind((Ipv4Addr::LOCALHOST, port.get())).await?];
    match TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, port.get()))).await {
        Ok(listener) => listeners.push(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
        Err(error) => tracing::debug!(%error, "there is no IPv6 on this computer"),
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_loopback_listens_and_a_taken_port_is_refused() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = NonZeroU16::new(taken.local_addr().unwrap().port()).unwrap();
        assert_eq!(listen(port).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(taken);
        let listeners = listen(port).await.unwrap();
        assert!(listeners.iter().all(|listener| listener.local_addr().unwrap().ip().is_loopback()));
        assert_eq!(listen(port).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
