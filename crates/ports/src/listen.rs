//! Opens listening sockets on this computer, and explains failures.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Type};

use crate::address::Address;
use api::Protocol;

/// Connections that wait to be accepted; the kernel's default for `listen` is the same on current
/// systems.
const BACKLOG: i32 = 4096;

/// A bound socket, listening if it is TCP.
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
        // The other address family has a socket of its own.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    match protocol {
        Protocol::Tcp => {
            // As every server does: connections that have ended are no reason to refuse the port.
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

/// Whether this computer has the address.
pub(crate) fn is_here(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// The port is in use, in dockerd's words.
pub(crate) const TAKEN: &str = "port is already allocated";

/// Why an address is not available, in dockerd's words if it has some.
pub(crate) fn reason(error: &io::Error, at: SocketAddr) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => TAKEN.to_owned(),
        io::ErrorKind::PermissionDenied => format!(
            "permission denied: this computer lets only root listen on port {0}. Publish a higher \
             port, or allow it with `sudo sysctl net.ipv4.ip_unprivileged_port_start={0}` or \
             `sudo setcap cap_net_bind_service=+ep` on the dockbridge program",
            at.port()
        ),
        io::ErrorKind::AddrNotAvailable => format!("this computer has no address {}", at.ip()),
        _ => error.to_string(),
    }
}
