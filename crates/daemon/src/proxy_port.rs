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

/// Listens on the port by the sockets that the service manager passed. Those of another address or
/// port are closed with a warning; without any of this port it is listened on as by [`listen`].
pub(crate) async fn adopt(
    port: NonZeroU16,
    passed: Vec<std::net::TcpListener>,
) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for listener in passed {
        let address = listener.local_addr()?;
        match address.ip().is_loopback() && address.port() == port.get() {
            true => listeners.push(TcpListener::from_std(listener)?),
            false => tracing::warn!(%address, "the service manager's socket is not used"),
        }
    }
    if listeners.is_empty() { listen(port).await } else { Ok(listeners) }
}

/// No port is listened on. A port that the service manager has opened all the same answers no one.
pub(crate) fn none(passed: &[std::net::TcpListener]) -> Vec<TcpListener> {
    for address in passed.iter().flat_map(std::net::TcpListener::local_addr) {
        tracing::warn!(%address, "the service manager's socket is not used");
    }
    Vec::new()
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

    #[tokio::test]
    async fn passed_sockets_of_this_port_on_loopback_are_used_and_no_others() {
        let passed = |address: &str| {
            let listener = std::net::TcpListener::bind(address).unwrap();
            listener.set_nonblocking(true).unwrap();
            listener
        };
        let (own, exposed) = (passed("127.0.0.1:0"), passed("0.0.0.0:0"));
        let (address, other) = (own.local_addr().unwrap(), passed("127.0.0.1:0"));
        let port = NonZeroU16::new(address.port()).unwrap();
        let used = adopt(port, vec![exposed, other, own]).await.unwrap();
        let addresses: Vec<_> = used.iter().map(|used| used.local_addr().unwrap()).collect();
        assert_eq!(addresses, [address]);
        drop(used);
        let opened = adopt(port, Vec::new()).await.unwrap();
        assert_eq!(opened[0].local_addr().unwrap(), address, "the port was free again");
    }
}
