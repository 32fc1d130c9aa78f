//! Bytes through an open port, and how either side ends.

use std::io::ErrorKind;

use dockbridge_ports::Ports;
use lifecycle::{Activity, Kind};
use testkit::CapturedLog;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tracing::Level;
use tunnel::Class;

use crate::engine::{Engine, eventually, free_port, local, rig, within};

struct Open {
    engine: Engine,
    ports: Ports,
    activity: Activity,
    far_ends: UnboundedReceiver<DuplexStream>,
    port: u16,
}

/// A running container `web` whose port answers.
async fn open() -> Open {
    let (engine, ports, activity, far_ends) = rig();
    let port = free_port();
    engine.create("web", &[port]);
    let reservation = ports.reserve("web").await.unwrap();
    engine.start_silently("web", 0);
    reservation.open().await.unwrap();
    Open { engine, ports, activity, far_ends, port }
}

impl Open {
    async fn connect(&mut self) -> (TcpStream, DuplexStream) {
        let near = TcpStream::connect(local(self.port)).await.unwrap();
        (near, within("the far end", self.far_ends.recv()).await.unwrap())
    }
}

async fn read(from: &mut (impl tokio::io::AsyncRead + Unpin), bytes: usize) -> String {
    let mut text = vec![0; bytes];
    within("bytes", from.read_exact(&mut text)).await.unwrap();
    String::from_utf8(text).unwrap()
}

async fn rest(from: &mut (impl tokio::io::AsyncRead + Unpin)) -> std::io::Result<String> {
    let mut text = String::new();
    within("the end", from.read_to_string(&mut text)).await.map(|_| text)
}

#[tokio::test]
async fn bytes_pass_in_both_directions_and_are_counted_and_are_activity() {
    let mut open = open().await;
    let (mut near, mut far) = open.connect().await;
    near.write_all(b"question").await.unwrap();
    assert_eq!(read(&mut far, 8).await, "question");
    far.write_all(b"answer").await.unwrap();
    assert_eq!(read(&mut near, 6).await, "answer");
    let (live, source) = (open.activity.snapshot().live, format!("web:{}", open.port));
    let is_forward = |live: &lifecycle::Live| live.kind == Kind::Forward && live.source == source;
    assert!(live.len() == 1 && live.iter().all(is_forward), "{live:?}");
    let status = &open.ports.list()[0];
    assert_eq!(
        (
            status.traffic.connections_now,
            status.traffic.connections_total,
            status.traffic.bytes_in,
            status.traffic.bytes_out
        ),
        (1, 1, 8, 6)
    );
    drop((near, far));
    eventually("no activity", &open.ports, || {
        open.activity.snapshot().live.is_empty()
            && open.ports.list()[0].traffic.connections_now == 0
    })
    .await;
}

#[tokio::test]
async fn each_direction_ends_on_its_own() {
    let mut open = open().await;
    let (mut near, mut far) = open.connect().await;
    near.write_all(b"all of it").await.unwrap();
    near.shutdown().await.unwrap();
    assert_eq!(rest(&mut far).await.unwrap(), "all of it");
    far.write_all(b"the answer").await.unwrap();
    far.shutdown().await.unwrap();
    assert_eq!(rest(&mut near).await.unwrap(), "the answer");

    let (mut near, mut far) = open.connect().await;
    far.write_all(b"greeting").await.unwrap();
    far.shutdown().await.unwrap();
    assert_eq!(rest(&mut near).await.unwrap(), "greeting");
    near.write_all(b"still here").await.unwrap();
    near.shutdown().await.unwrap();
    assert_eq!(rest(&mut far).await.unwrap(), "still here");
}

#[tokio::test]
async fn each_connection_is_opened_and_logged_under_an_id_of_its_own() {
    let log = CapturedLog::at(Level::DEBUG);
    let open = open().await;
    open.engine.refuse_connections();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut near = TcpStream::connect(local(open.port)).await.unwrap();
        assert_eq!(rest(&mut near).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        let id = open.engine.opened_for().expect("an id");
        let span = format!("forward{{port=web:{} connection={id}}}", open.port);
        assert!(log.has(&[&span, "a connection was reset"]), "{}", log.text());
        ids.push(id);
    }
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_connection_refused_there_is_reset_here() {
    let open = open().await;
    open.engine.refuse_connections();
    let mut near = TcpStream::connect(local(open.port)).await.unwrap();
    assert_eq!(rest(&mut near).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_machine_that_is_gone_resets_its_connections() {
    let mut open = open().await;
    let (mut near, _far) = open.connect().await;
    open.ports.detach();
    assert_eq!(rest(&mut near).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    within("everything ends", open.ports.close()).await;
    assert!(open.activity.snapshot().live.is_empty());
}

#[tokio::test]
async fn the_last_bytes_of_an_ended_container_are_delivered() {
    let mut open = open().await;
    let (mut near, mut far) = open.connect().await;
    near.write_all(b"q").await.unwrap();
    read(&mut far, 1).await;
    open.engine.die_silently("web");
    open.ports.settle("web").await;
    assert_eq!(
        TcpStream::connect(local(open.port)).await.unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
    far.write_all(b"last words").await.unwrap();
    drop(far);
    assert_eq!(rest(&mut near).await.unwrap(), "last words");
}

#[tokio::test]
async fn a_stalled_connection_does_not_delay_the_others() {
    let mut open = open().await;
    let (_stalled, mut far) = open.connect().await;
    let flood = tokio::spawn(async move { while far.write_all(&[0; 64 * 1024]).await.is_ok() {} });
    let (mut near, mut far) = open.connect().await;
    far.write_all(b"answer").await.unwrap();
    assert_eq!(read(&mut near, 6).await, "answer");
    flood.abort();
}

#[tokio::test]
async fn the_ends_of_the_last_connections_are_listed() {
    let mut open = open().await;
    let (mut near, far) = open.connect().await;
    drop(far);
    // An orderly end on both sides.
    rest(&mut near).await.unwrap();
    drop(near);
    let recent = |ports: &Ports| ports.list()[0].traffic.recent.clone();
    eventually("the first is over", &open.ports, || recent(&open.ports).len() == 1).await;
    assert_eq!(recent(&open.ports)[0].error, None);
    open.engine.refuse_connections();
    let mut near = TcpStream::connect(local(open.port)).await.unwrap();
    rest(&mut near).await.unwrap_err();
    eventually("the second is over", &open.ports, || recent(&open.ports).len() == 2).await;
    let newest = &recent(&open.ports)[0];
    assert_eq!(
        (newest.error.as_deref(), newest.client),
        (Some("connection refused"), near.local_addr().unwrap())
    );
    let traffic = &open.ports.list()[0].traffic;
    assert_eq!((traffic.connections_total, traffic.connections_failed), (2, 1));
    assert!(traffic.last_used_seconds.is_some());
}

#[tokio::test]
async fn a_client_that_half_closes_at_once_still_gets_the_answer() {
    let mut open = open().await;
    for _ in 0..20 {
        let mut near = TcpStream::connect(local(open.port)).await.unwrap();
        near.shutdown().await.unwrap();
        let mut far = within("the far end", open.far_ends.recv()).await.unwrap();
        far.write_all(b"greeting").await.unwrap();
        drop(far);
        assert_eq!(rest(&mut near).await.unwrap(), "greeting");
    }
}

#[tokio::test]
async fn a_reset_by_the_client_is_not_an_orderly_end() {
    let mut open = open().await;
    let (near, mut far) = open.connect().await;
    near.set_zero_linger().unwrap();
    drop(near);
    // The stream is dropped, not shut down, which the tunnel reports as a reset.
    within("the end", far.read(&mut [0])).await.ok();
    let error_of = |ports: &Ports| {
        ports.list()[0].traffic.recent.first().and_then(|ended| ended.error.clone())
    };
    eventually("it is listed", &open.ports, || error_of(&open.ports).is_some()).await;
    assert!(
        error_of(&open.ports).unwrap().starts_with("the client broke off: "),
        "{:?}",
        error_of(&open.ports)
    );
}

#[tokio::test]
async fn during_a_big_transfer_the_next_connection_uses_the_bulk_route() {
    let mut open = open().await;
    let (mut near, mut far) = open.connect().await;
    let length = 5 << 20;
    let sent = tokio::spawn(async move {
        far.write_all(&vec![7; length]).await?;
        Ok::<_, std::io::Error>(far)
    });
    within("much of it", near.read_exact(&mut vec![0; length])).await.unwrap();
    let _goes_on = sent.await.unwrap().unwrap();
    drop(open.connect().await);
    assert_eq!(open.engine.classes(), [Class::Interactive, Class::Bulk]);
}

#[tokio::test]
async fn after_a_big_transfer_the_next_connection_uses_the_bulk_route() {
    let mut open = open().await;
    for length in [5_usize << 20, 1000, 1000] {
        let (mut near, mut far) = open.connect().await;
        let sent = tokio::spawn(async move { far.write_all(&vec![7; length]).await });
        let mut all = Vec::new();
        within("all of it", near.read_to_end(&mut all)).await.unwrap();
        assert_eq!(all.len(), length);
        sent.await.unwrap().unwrap();
        drop(near);
        eventually("it is over", &open.ports, || open.ports.list()[0].traffic.connections_now == 0)
            .await;
    }
    assert_eq!(open.engine.classes(), [Class::Interactive, Class::Bulk, Class::Interactive]);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_until_others_end() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const MOST: usize = 600;
    let limit = getrlimit(Resource::Nofile);
    let enough = limit.maximum.unwrap_or(u64::MAX) >= 2_000;
    if !enough || setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).is_err() {
        return testkit::passed_over!("so many files cannot be open here");
    }
    let mut open = open().await;
    let mut kept = Vec::new();
    for _ in 0..MOST {
        kept.push(open.connect().await);
    }
    let _waiting = TcpStream::connect(local(open.port)).await.unwrap();
    let status = open.ports.list().remove(0).traffic;
    assert_eq!((status.connections_now, status.connections_total), (MOST, MOST as u64));
    assert!(open.far_ends.try_recv().is_err());
    drop(kept.pop());
    within("its turn", open.far_ends.recv()).await.unwrap();
}
