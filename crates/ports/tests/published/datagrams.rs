//! Datagrams through an open UDP port.

use std::time::Duration;

use dockbridge_ports::{PortState, Ports, Protocol};
use lifecycle::{Activity, Kind};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::UnboundedReceiver;
use tunnel::datagram;

use crate::engine::{Engine, eventually, local, rig, within};

struct Open {
    engine: Engine,
    ports: Ports,
    activity: Activity,
    far_ends: UnboundedReceiver<DuplexStream>,
    port: u16,
}

async fn free_port() -> u16 {
    UdpSocket::bind(local(0)).await.unwrap().local_addr().unwrap().port()
}

/// A running container `dns` whose port accepts datagrams.
async fn open() -> Open {
    let (engine, ports, activity, far_ends) = rig();
    let port = free_port().await;
    engine.create_with("dns", &[("53/udp", "", port)]);
    let reservation = ports.reserve("dns").await.unwrap();
    engine.start_silently("dns", 0);
    reservation.open().await.unwrap();
    Open { engine, ports, activity, far_ends, port }
}

impl Open {
    async fn client(&self) -> UdpSocket {
        let socket = UdpSocket::bind(local(0)).await.unwrap();
        socket.connect(local(self.port)).await.unwrap();
        socket
    }

    async fn far_end(&mut self) -> DuplexStream {
        within("the far end", self.far_ends.recv()).await.unwrap()
    }
}

async fn read_datagram(far: &mut DuplexStream) -> Vec<u8> {
    let length = within("a datagram", far.read_u16()).await.unwrap();
    let mut one = vec![0; length.into()];
    within("a datagram", far.read_exact(&mut one)).await.unwrap();
    one
}

async fn write_datagram(far: &mut DuplexStream, one: &[u8]) {
    far.write_all(&[&datagram::header(one.len())[..], one].concat()).await.unwrap();
}

async fn receive(client: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; datagram::MAX];
    let length = within("an answer", client.recv(&mut buffer)).await.unwrap();
    buffer[..length].to_vec()
}

#[tokio::test]
async fn each_client_has_a_stream_of_its_own_and_gets_only_its_answers() {
    let mut open = open().await;
    let (one, two) = (open.client().await, open.client().await);
    one.send(b"from one").await.unwrap();
    let mut far_one = open.far_end().await;
    assert_eq!(read_datagram(&mut far_one).await, b"from one");
    two.send(b"from two").await.unwrap();
    let mut far_two = open.far_end().await;
    assert_eq!(read_datagram(&mut far_two).await, b"from two");
    // Boundaries are kept, those of an empty and of the largest datagram, too.
    for far in [&mut far_two, &mut far_one] {
        write_datagram(far, b"").await;
        write_datagram(far, &[7; 60_000]).await;
    }
    for client in [&one, &two] {
        assert!(receive(client).await.is_empty());
        assert_eq!(receive(client).await, [7; 60_000]);
    }
    one.send(b"again").await.unwrap();
    assert_eq!(read_datagram(&mut far_one).await, b"again");

    let status = &open.ports.list()[0];
    assert_eq!(
        (status.protocol, status.traffic.connections_now, status.traffic.connections_total),
        (Protocol::Udp, 2, 2)
    );
    assert_eq!((status.traffic.bytes_in, status.traffic.bytes_out), (21, 120_000));
    let live = open.activity.snapshot().live;
    assert!(
        live.iter()
            .all(|live| live.kind == Kind::Forward && live.source == format!("dns:{}", open.port))
            && live.len() == 2,
        "{live:?}"
    );
}

#[tokio::test]
async fn the_port_is_free_at_once_when_the_container_is_gone() {
    let mut open = open().await;
    let client = open.client().await;
    client.send(b"x").await.unwrap();
    let mut far = open.far_end().await;
    read_datagram(&mut far).await;
    assert!(UdpSocket::bind(local(open.port)).await.is_err());
    open.engine.die_silently("dns");
    open.ports.settle("dns").await;
    UdpSocket::bind(local(open.port)).await.unwrap();
    within("the end of the stream", far.read_u8()).await.unwrap_err();
    eventually("nothing goes on", &open.ports, || open.activity.snapshot().live.is_empty()).await;
}

#[tokio::test]
async fn after_a_lost_path_the_next_datagram_opens_another() {
    let mut open = open().await;
    let client = open.client().await;
    client.send(b"before").await.unwrap();
    let mut far = open.far_end().await;
    assert_eq!(read_datagram(&mut far).await, b"before");
    drop(far);
    eventually("the loss is listed", &open.ports, || {
        open.ports.list()[0].traffic.connections_failed == 1
    })
    .await;
    client.send(b"after").await.unwrap();
    let mut far = open.far_end().await;
    assert_eq!(read_datagram(&mut far).await, b"after");
    assert_eq!(
        open.ports.list()[0].traffic.recent[0].error.as_deref(),
        Some("the machine ended the stream")
    );
}

#[tokio::test]
async fn a_stalled_path_costs_bounded_memory_and_does_not_affect_others() {
    let mut open = open().await;
    let (flooding, other) = (open.client().await, open.client().await);
    flooding.send(b"first").await.unwrap();
    let far_stalled = open.far_end().await;
    for _ in 0..200 {
        flooding.send(&[0; 60_000]).await.unwrap();
        tokio::task::yield_now().await;
    }
    eventually("datagrams are dropped", &open.ports, || {
        open.ports.list()[0].traffic.datagrams_dropped > 0
    })
    .await;
    other.send(b"question").await.unwrap();
    let mut far = open.far_end().await;
    assert_eq!(read_datagram(&mut far).await, b"question");
    drop(far_stalled);
}

#[tokio::test]
async fn a_client_beyond_the_limit_replaces_the_one_silent_for_longest() {
    let mut open = open().await;
    let mut kept = Vec::new();
    for number in 0..256_u16 {
        let client = open.client().await;
        client.send(&number.to_be_bytes()).await.unwrap();
        let mut far = open.far_end().await;
        read_datagram(&mut far).await;
        kept.push((client, far));
        if number == 0 {
            // Silence is measured in milliseconds.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let one_more = open.client().await;
    one_more.send(b"more").await.unwrap();
    let mut far = open.far_end().await;
    assert_eq!(read_datagram(&mut far).await, b"more");
    within("the first client is dropped", kept[0].1.read_u8()).await.unwrap_err();
    eventually("no more than before", &open.ports, || {
        open.ports.list()[0].traffic.connections_now == 256
    })
    .await;
}

#[tokio::test]
async fn without_an_agent_the_container_starts_and_its_udp_port_lists_the_reason() {
    let (engine, ports, ..) = rig();
    let port = free_port().await;
    engine.carry_no_datagrams(Some("UDP needs the agent"));
    engine.create_with("dns", &[("53/udp", "", port)]);
    let reservation = ports.reserve("dns").await.unwrap();
    engine.start_silently("dns", 0);
    reservation.open().await.unwrap();
    assert_eq!(ports.list()[0].state, PortState::Unavailable { why: "UDP needs the agent".into() });
    UdpSocket::bind(local(port)).await.unwrap();
    // Another path has an agent.
    engine.carry_no_datagrams(None);
    let following = tokio::spawn({
        let ports = ports.clone();
        async move { ports.run(tokio_util::sync::CancellationToken::new()).await }
    });
    eventually("it is open", &ports, || ports.list()[0].state == PortState::Open).await;
    following.abort();
}
