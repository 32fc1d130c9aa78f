//! The DHCP server of the machines' network. It gives each machine its fixed address, as a single
//! address behind a gateway, for a day. Machines renew it more often than at Hetzner, so that
//! tests meet whatever blocks a renewal.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use edge_dhcp::server::{Action, ServerOptions};
use edge_dhcp::{DhcpOption, Ipv4Addrs, MessageType, Options, Packet};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::claim::Slot;
use super::tool::During;
use crate::hypervisor::Failure;

/// Hetzner's lease time. A machine that is cut off keeps its address for as long.
const LEASE: Duration = Duration::from_secs(24 * 60 * 60);
/// When a machine renews its address; half of the lease at Hetzner.
const RENEWAL: Duration = Duration::from_secs(15);

const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
/// RFC 2132, section 9.11.
const RENEWAL_TIME: u8 = 58;
/// A client without an address shares a link of Ethernet's size.
const MAX_MESSAGE: usize = 1500;

/// Finds a machine's address by its hardware address.
pub(super) type Lookup = Arc<dyn Fn([u8; 6]) -> Option<Ipv4Addr> + Send + Sync>;

/// Opens the server's socket, on the bridge only.
pub(super) fn listen(slot: Slot) -> Result<UdpSocket, Failure> {
    let what = "open the DHCP server";
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).during(what)?;
    socket.set_reuse_address(true).during(what)?;
    socket.set_broadcast(true).during(what)?;
    socket.bind_device(Some(slot.bridge().as_bytes())).during(what)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, SERVER_PORT).into()).during(what)?;
    socket.set_nonblocking(true).during(what)?;
    UdpSocket::from_std(socket.into()).during(what)
}

/// Answers until it is dropped.
pub(super) async fn serve(socket: UdpSocket, gateway: Ipv4Addr, lookup: Lookup) {
    let mut message = [0; MAX_MESSAGE];
    loop {
        let length = match socket.recv_from(&mut message).await {
            Ok((length, _)) => length,
            Err(error) => {
                tracing::warn!(%error, "the DHCP server stopped");
                return;
            }
        };
        let Some((reply, to)) = answer(&message[..length], gateway, &lookup) else { continue };
        if let Err(error) = socket.send_to(&reply, SocketAddrV4::new(to, CLIENT_PORT)).await {
            tracing::debug!(%error, "cannot send a DHCP answer");
        }
    }
}

/// The answer to a message, and its destination. `None` for a message to ignore.
fn answer(message: &[u8], gateway: Ipv4Addr, lookup: &Lookup) -> Option<(Vec<u8>, Ipv4Addr)> {
    let request = Packet::decode(message).ok()?;
    let [a, b, c, d, e, f, ..] = request.chaddr;
    let address = lookup([a, b, c, d, e, f])?;
    let (kind, given) = match ServerOptions::new(gateway, None).process(&request)? {
        Action::Discover(..) => (MessageType::Offer, Some(address)),
        Action::Request(wanted, _) if wanted == address => (MessageType::Ack, Some(address)),
        Action::Request(..) => (MessageType::Nak, None),
        Action::Release(..) | Action::Decline(..) => return None,
    };
    let renewal = seconds(RENEWAL).to_be_bytes();
    let gateways = [gateway];
    let options = [
        DhcpOption::MessageType(kind),
        DhcpOption::ServerIdentifier(gateway),
        DhcpOption::IpAddressLeaseTime(seconds(LEASE)),
        DhcpOption::Unrecognized(RENEWAL_TIME, &renewal),
        DhcpOption::SubnetMask(Ipv4Addr::BROADCAST),
        DhcpOption::Router(Ipv4Addrs::new(&gateways)),
    ];
    let options = if given.is_some() { &options[..] } else { &options[..2] };
    let reply = request.new_reply(given, Options::new(options));
    let mut buffer = [0; MAX_MESSAGE];
    let bytes = reply.encode(&mut buffer).ok()?.to_vec();
    // A client without an address is reached by broadcast only.
    let to = if request.ciaddr.is_unspecified() || given.is_none() {
        Ipv4Addr::BROADCAST
    } else {
        request.ciaddr
    };
    Some((bytes, to))
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [0x52, 0x54, 0, 1, 2, 3];
    const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 213, 0, 1);
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 213, 0, 10);

    fn asked(
        mac: [u8; 6],
        has: Option<Ipv4Addr>,
        options: &[DhcpOption<'_>],
    ) -> Option<(Vec<u8>, Ipv4Addr)> {
        let lookup: Lookup = Arc::new(|mac| (mac == MAC).then_some(ADDRESS));
        let mut buffer = [0; MAX_MESSAGE];
        let message = Packet::new_request(mac, 7, 0, has, false, Options::new(options));
        answer(message.encode(&mut buffer).unwrap(), GATEWAY, &lookup)
    }

    fn kind(reply: &[u8]) -> (MessageType, Ipv4Addr) {
        let packet = Packet::decode(reply).unwrap();
        let kind = packet.options.iter().find_map(|option| {
            if let DhcpOption::MessageType(kind) = option { Some(kind) } else { None }
        });
        (kind.unwrap(), packet.yiaddr)
    }

    #[test]
    fn a_machine_gets_the_address_that_it_was_made_with() {
        let (offer, to) =
            asked(MAC, None, &[DhcpOption::MessageType(MessageType::Discover)]).unwrap();
        assert_eq!((kind(&offer), to), ((MessageType::Offer, ADDRESS), Ipv4Addr::BROADCAST));
        let wish = |address| {
            [DhcpOption::MessageType(MessageType::Request), DhcpOption::RequestedIpAddress(address)]
        };
        let (ack, to) = asked(MAC, None, &wish(ADDRESS)).unwrap();
        assert_eq!((kind(&ack), to), ((MessageType::Ack, ADDRESS), Ipv4Addr::BROADCAST));
        let (nak, to) = asked(MAC, None, &wish(Ipv4Addr::new(10, 213, 0, 11))).unwrap();
        assert_eq!(
            (kind(&nak), to),
            ((MessageType::Nak, Ipv4Addr::UNSPECIFIED), Ipv4Addr::BROADCAST)
        );
    }

    #[test]
    fn a_renewal_is_answered_to_the_address_that_it_renews() {
        let (ack, to) =
            asked(MAC, Some(ADDRESS), &[DhcpOption::MessageType(MessageType::Request)]).unwrap();
        assert_eq!((kind(&ack), to), ((MessageType::Ack, ADDRESS), ADDRESS));
        let packet = Packet::decode(&ack).unwrap();
        let renewal = DhcpOption::Unrecognized(RENEWAL_TIME, &[0, 0, 0, 15]);
        assert!(packet.options.iter().any(|option| option == renewal), "{:?}", packet.options);
    }

    #[test]
    fn a_stranger_and_what_is_no_message_get_no_answer() {
        assert_eq!(asked([1; 6], None, &[DhcpOption::MessageType(MessageType::Discover)]), None);
        let lookup: Lookup = Arc::new(|_| Some(ADDRESS));
        assert_eq!(answer(b"", GATEWAY, &lookup), None);
        assert_eq!(answer(&[1; 300], GATEWAY, &lookup), None);
    }
}
