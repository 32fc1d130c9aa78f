//! The sockets of this computer: how one is had, and in which words it is said that it is not.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Type};

use crate::address::{Address, Protocol};

/// Connections that have come and are not accepted yet; the kernel's own default for `listen` is
/// the same on current systems.
const BACKLOG: i32 = 4096;

/// A socket that is bound, and listens if it is one for connections.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

pub(crate) fn listen(address: Address) -> io::Result<Socket> {
    let Address { protocol, at } = address;
    let kind = match protocol {
        Protocol::Tcp => Type::STREAM,
        Protocol::Udp => Type::DGRAM,
    };
    let socket = socket2::Socket::new(Domain::for_address(at), kind, None)?;
    if at.is_ipv6() {
        // The other family has a socket of its own.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    match protocol {
        Protocol::Tcp => {
            // As every server does: connections that have ended here are no reason to refuse the
            // port.
            socket.set_reuse_address(true)?;
            socket.bind(&at.into())?;
            socket.listen(BACKLOG)?;
            Ok(Socket::Tcp(socket.into()))
        }
        Protocol::Udp => {
            socket.bind(&at.into())?;
            Ok(Socket::Udp(socket.into()))
        }
    }
}

/// Whether this computer has an address.
pub(crate) fn is_here(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// Another has the port, in dockerd's words.
pub(crate) const TAKEN: &str = "port is already allocated";

/// Why an address is not to be had; dockerd's words where it has some.
pub(crate) fn reason(error: &io::Error, at: SocketAddr) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => TAKEN.to_owned(),
        io::ErrorKind::PermissionDenied => format!(
            "permission denied: this computer lets only root listen on port {0}. Publish a higher \
                port, or allow it with \
             `sudo sysctl net.ipv4.ip_unprivileged_port_start={0}` or `sudo setcap \
                cap_net_bind_service=+ep` on the dockbridge program",
            at.port()
        ),
        io::ErrorKind::AddrNotAvailable => format!("this computer has no address {}", at.ip()),
        _ => error.to_string(),
    }
}
