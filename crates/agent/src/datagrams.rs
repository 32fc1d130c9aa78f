//! Datagrams between a client's stream and a UDP port. Each stream has a socket of its own, so that
//! answers reach the right client.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use agent_proto::datagram;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UdpSocket;

/// One read of the client's stream, in bytes; a longer datagram makes the buffer grow.
const BUFFER: usize = 32 * 1024;

/// Opens a socket that exchanges datagrams with this port only.
pub async fn connect(host: &str, port: u16) -> io::Result<UdpSocket> {
    let mut refused = io::Error::from(io::ErrorKind::NotFound);
    for address in tokio::net::lookup_host((host, port)).await? {
        let any: SocketAddr = if address.is_ipv4() {
            (Ipv4Addr::UNSPECIFIED, 0).into()
        } else {
            (Ipv6Addr::UNSPECIFIED, 0).into()
        };
        let socket = UdpSocket::bind(any).await?;
        match socket.connect(address).await {
            Ok(()) => return Ok(socket),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// Carries datagrams until the client ends its stream. Sends `greeting` to the client first.
pub async fn carry(client: impl AsyncRead + AsyncWrite, target: &UdpSocket, greeting: &[u8]) {
    let (from_client, to_client) = tokio::io::split(client);
    // The client ends the stream; it decides how long silence may last.
    tokio::select! {
        _ = up(from_client, target) => {}
        _ = down(target, to_client, greeting) => {}
    }
}

async fn up(mut client: impl AsyncRead + Unpin, target: &UdpSocket) -> io::Result<()> {
    let mut received = bytes::BytesMut::with_capacity(BUFFER);
    loop {
        while let Some((one, length)) = datagram::split(&received) {
            // An error, such as a closed port or a datagram that is too long, loses the datagram,
            // as usual with UDP.
            let _ = target.send(one).await;
            let _ = received.split_to(length);
        }
        if client.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
    }
}

async fn down(
    target: &UdpSocket,
    mut client: impl AsyncWrite + Unpin,
    greeting: &[u8],
) -> io::Result<()> {
    client.write_all(greeting).await?;
    client.flush().await?;
    let mut buffer = vec![0; 2 + datagram::MAX];
    loop {
        // An error is the answer to an earlier datagram (port closed); reading it clears it.
        let Ok(length) = target.recv(&mut buffer[2..]).await else { continue };
        buffer[..2].copy_from_slice(&datagram::header(length));
        client.write_all(&buffer[..2 + length]).await?;
        client.flush().await?;
    }
}
