//! Big transfers over a path that is long enough for a bundle of lanes.

#![allow(clippy::unwrap_used, reason = "helpers of tests count as tests")]

mod rig;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dockbridge_tunnel::{Class, Destination, Options, Tunnel};
use rig::{Peer, Sshd, connect, docker, eventually, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, tcp};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// The delay in one direction. The round trip is well above the limit for a short path, and far
/// below what a test would notice.
const DELAY: Duration = Duration::from_millis(5);

/// The bytes that a connection has carried.
#[derive(Default)]
struct Carried {
    up: AtomicU64,
    down: AtomicU64,
}

/// A port that forwards to another one with a delay of [`DELAY`], and the bytes of its connections.
struct Far {
    port: u16,
    connections: Arc<Mutex<Vec<Arc<Carried>>>>,
}

async fn far(to: u16) -> Far {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let far = Far { port: listener.local_addr().unwrap().port(), connections: Arc::default() };
    let connections = far.connections.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
            for socket in [&client, &server] {
                socket.set_nodelay(true).unwrap();
            }
            let ((from_client, to_client), (from_server, to_server)) =
                (client.into_split(), server.into_split());
            let carried = Arc::new(Carried::default());
            connections.lock().unwrap().push(carried.clone());
            let (up, down) = (carried.clone(), carried);
            tokio::spawn(delay(from_client, to_server, move |count| {
                let _ = up.up.fetch_add(count, Ordering::Relaxed);
            }));
            tokio::spawn(delay(from_server, to_client, move |count| {
                let _ = down.down.fetch_add(count, Ordering::Relaxed);
            }));
        }
    });
    far
}

async fn delay(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    carries: impl Fn(u64) + Send + 'static,
) {
    let (sender, mut queue) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let reading = async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            carries(length as u64);
            let _ = sender.send((Instant::now() + DELAY, buffer[..length].to_vec()));
        }
    };
    let writing = async move {
        while let Some((due, bytes)) = queue.recv().await {
            sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(reading, writing);
}

async fn far_tunnel(sshd: &Sshd) -> Tunnel {
    tunnel_by(sshd, &far(sshd.port).await).await
}

async fn tunnel_by(sshd: &Sshd, far: &Far) -> Tunnel {
    let mut options: Options = sshd.options_with_agent();
    options.endpoint.port = far.port;
    connect(options).await
}

/// Waits for the logins of a bundle: more processes than the session alone has.
async fn bundle_logins(sshd: &Sshd, more_than: usize) -> Vec<i32> {
    eventually("the lanes' logins", async || match sshd.processes() {
        processes if processes.len() > more_than => Ok(processes),
        processes => Err(format!("{processes:?}")),
    })
    .await
}

/// Neither uniform nor all noise.
fn bytes(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| {
            if at / 100_000 % 2 == 0 {
                (at / 1000) as u8
            } else {
                (at.wrapping_mul(2_654_435_761) >> 13) as u8
            }
        })
        .collect()
}

async fn echoed(tunnel: &Tunnel, sent: Vec<u8>) {
    let mut stream = soon("open", tunnel.open(Destination::Docker, Class::Bulk)).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(&mut stream);
    let mut heard = vec![0; sent.len()];
    let (written, read) = soon("an echo", async {
        tokio::join!(writer.write_all(&sent), reader.read_exact(&mut heard))
    })
    .await;
    written.unwrap();
    read.unwrap();
    assert!(heard == sent, "the same bytes come back");
}

#[tokio::test]
async fn a_big_transfer_over_a_long_path_uses_lanes_and_arrives_unchanged() {
    let Some(sshd) = Sshd::start().await else { return };
    let _docker = docker(&sshd, Peer::Echo);
    let near = connect(sshd.options_with_agent()).await;
    let alone = sshd.processes().len();
    near.close().await;

    let tunnel = far_tunnel(&sshd).await;
    // The lanes are made ahead of need.
    bundle_logins(&sshd, alone).await;
    echoed(&tunnel, bytes(6_000_000)).await;
    let all = (0..4).map(|_| echoed(&tunnel, bytes(500_000)));
    futures::future::join_all(all).await;
    tunnel.close().await;
    eventually("all logins are gone", async || match sshd.processes().len() {
        1 => Ok(()),
        count => Err(format!("{count} processes")),
    })
    .await;
}

#[tokio::test]
async fn a_lost_lane_fails_only_the_streams_of_its_bundle() {
    let Some(sshd) = Sshd::start().await else { return };
    let _docker = docker(&sshd, Peer::Echo);
    let near = connect(sshd.options_with_agent()).await;
    let session = sshd.processes().len();
    near.close().await;

    let tunnel = far_tunnel(&sshd).await;
    bundle_logins(&sshd, session).await;
    let mut big = soon("open", tunnel.open(Destination::Docker, Class::Bulk)).await.unwrap();
    let mut small =
        soon("open", tunnel.open(Destination::Docker, Class::Interactive)).await.unwrap();
    for stream in [&mut big, &mut small] {
        soon("write", stream.write_all(b"word")).await.unwrap();
        soon("read", stream.read_exact(&mut [0; 4])).await.unwrap();
    }
    // The youngest login belongs to the bundle, which was made after the session.
    let is_login = |process: &i32| {
        std::fs::read_to_string(format!("/proc/{process}/comm"))
            .is_ok_and(|name| name.starts_with("sshd"))
    };
    // Process ids wrap around, so the highest need not be the youngest.
    let started = |process: &i32| -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        stat.rsplit_once(") ")
            .and_then(|(_, fields)| fields.split(' ').nth(19)?.parse().ok())
            .unwrap_or(0)
    };
    let youngest = sshd
        .processes()
        .into_iter()
        .filter(is_login)
        .max_by_key(started)
        .and_then(rustix::process::Pid::from_raw)
        .unwrap();
    rustix::process::kill_process(youngest, rustix::process::Signal::KILL).unwrap();

    assert!(
        soon("the end of the big transfer", big.read(&mut [0; 16])).await.is_err(),
        "an orderly end would look like a complete answer"
    );
    soon("write", small.write_all(b"word")).await.unwrap();
    soon("read", small.read_exact(&mut [0; 4])).await.unwrap();
    assert_eq!(tunnel.is_dead(), None);
    echoed(&tunnel, bytes(1_000_000)).await;
    tunnel.close().await;
}

#[tokio::test]
async fn uploads_and_downloads_have_separate_connections() {
    let Some(sshd) = Sshd::start().await else { return };
    let _docker = docker(&sshd, Peer::Echo);
    let far = far(sshd.port).await;
    let tunnel = tunnel_by(&sshd, &far).await;
    let mut noise = vec![0; 8_000_000];
    rand::RngCore::fill_bytes(&mut rand::rng(), &mut noise);
    echoed(&tunnel, noise).await;
    let carried: Vec<(u64, u64)> = {
        let connections = far.connections.lock().unwrap();
        connections
            .iter()
            .map(|carried| {
                (carried.up.load(Ordering::Relaxed), carried.down.load(Ordering::Relaxed))
            })
            .collect()
    };
    let much = |bytes: u64| bytes > 1_000_000;
    assert!(carried.iter().all(|(up, down)| !(much(*up) && much(*down))), "{carried:?}");
    assert!(
        carried.iter().any(|(up, _)| much(*up)) && carried.iter().any(|(_, down)| much(*down)),
        "{carried:?}"
    );
    tunnel.close().await;
}

#[tokio::test]
async fn a_crowd_of_questions_uses_the_bundle_unless_a_big_transfer_does() {
    let Some(sshd) = Sshd::start().await else { return };
    let _docker = docker(&sshd, Peer::Echo);
    let tunnel = far_tunnel(&sshd).await;
    let question = async || {
        let mut stream =
            soon("open", tunnel.open(Destination::Docker, Class::Question)).await.unwrap();
        soon("write", stream.write_all(b"word")).await.unwrap();
        soon("read", stream.read_exact(&mut [0; 4])).await.unwrap();
        stream
    };
    let mut few = Vec::new();
    for _ in 0..4 {
        few.push(question().await);
    }
    assert!(few.iter().all(|stream| !stream.is_temporary()));
    eventually("the crowd's route", async || match question().await.is_temporary() {
        true => Ok(()),
        false => Err("a fifth question uses the session".to_owned()),
    })
    .await;
    let big = soon("open", tunnel.open(Destination::Docker, Class::Bulk)).await.unwrap();
    assert!(!question().await.is_temporary(), "the big transfer would delay it");
    drop(big);
    assert!(question().await.is_temporary());
    few.pop();
    assert!(!question().await.is_temporary(), "a few are not a crowd");
    tunnel.close().await;
}
