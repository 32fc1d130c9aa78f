//! Gaps of the SSH library that dockbridge covers, each tested with and without the agent through a
//! real sshd: head-of-line blocking, windows without a limit, bytes that vanish after a close,
//! writers that are never woken, flushes and empty writes that do nothing or too much, exit
//! statuses after the end, and key exchanges during transfers.

#![allow(clippy::unwrap_used, reason = "helpers of tests count as tests")]

mod rig;

use std::sync::atomic::Ordering;
use std::time::Duration;

use agent_proto::{Call, Reply};
use dockbridge_tunnel::{AgentState, Class, Destination, Stream, Tunnel};
use rig::{FLOODED, Peer, Sshd, connect, docker, soon, tcp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

const CLASSES: [Class; 3] = [Class::Interactive, Class::Question, Class::Bulk];

fn port(port: u16) -> Destination {
    Destination::Tcp { host: "127.0.0.1".into(), port }
}

async fn open(tunnel: &Tunnel, to: Destination, class: Class) -> Stream {
    soon("open", tunnel.open(to, class)).await.unwrap()
}

async fn echoes(stream: &mut Stream, word: &[u8]) {
    let mut heard = vec![0; word.len()];
    soon("write", stream.write_all(word)).await.unwrap();
    soon("an echo", stream.read_exact(&mut heard)).await.unwrap();
    assert_eq!(heard, word);
}

/// Checks everything else of a tunnel: an existing stream, a new one of each class, a command, and
/// a call if there is an agent.
async fn others_are_served(tunnel: &Tunnel, existing: &mut Stream, what: &str) {
    echoes(existing, b"there").await;
    for class in CLASSES {
        echoes(&mut open(tunnel, Destination::Docker, class).await, b"new").await;
    }
    let echo = soon(what, tunnel.exec("echo said", b"")).await.unwrap();
    assert_eq!(echo.stdout, b"said\n", "{what}");
    if let AgentState::Running { .. } = tunnel.agent() {
        assert_eq!(soon(what, tunnel.call(Call::Ping)).await, Ok(Reply::Done), "{what}");
    }
    assert_eq!(tunnel.is_dead(), None, "{what}");
}

/// How many bytes the floods of this process have sent, once they are blocked.
async fn blocked_flood() -> u64 {
    let (mut last, mut still) = (0, 0);
    let standing = async {
        while still < 20 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = FLOODED.load(Ordering::Relaxed);
            still = if now == last { still + 1 } else { 0 };
            last = now;
        }
        last
    };
    soon("the flood is blocked", standing).await
}

/// Head-of-line blocking: the library waits for the reader of one channel inside the loop that
/// serves all of them.
#[tokio::test]
async fn unread_streams_delay_no_other_and_buffer_a_bounded_amount() {
    let Some(sshd) = Sshd::start().await else { return };
    let (flood, _docker) = (tcp(&sshd, Peer::Flood).await, docker(&sshd, Peer::Echo));
    for (route, options) in sshd.with_and_without_agent() {
        for class in CLASSES {
            let tunnel = connect(options.clone()).await;
            let mut there = open(&tunnel, Destination::Docker, Class::Interactive).await;
            let before = FLOODED.load(Ordering::Relaxed);
            let mut unread = Vec::new();
            for _ in 0..3 {
                let mut stream = open(&tunnel, port(flood), class).await;
                soon("first bytes", stream.read_exact(&mut [0; 1024])).await.unwrap();
                unread.push(stream);
            }
            // The library has no limit of its own; dockbridge bounds an unread stream. The measured
            // amount includes the buffers of the sockets between.
            let each = (blocked_flood().await - before) / 3;
            println!(
                "{route}, {class:?}: an unread stream took {} KiB from the far side",
                each >> 10
            );
            assert!(each < 40 << 20, "{route}, {class:?}: {each} bytes for one unread stream");
            others_are_served(&tunnel, &mut there, route).await;
            // The first reader continues where it stopped.
            soon("it flows again", unread[0].read_exact(&mut vec![0; 64 << 20])).await.unwrap();
            tunnel.close().await;
        }
    }
}

/// Pending data: while one channel has unsent bytes, the library accepts no message of another.
#[tokio::test]
async fn blocked_writers_delay_no_other_stream() {
    let Some(sshd) = Sshd::start().await else { return };
    let (deaf, _docker) = (tcp(&sshd, Peer::Deaf).await, docker(&sshd, Peer::Echo));
    for (route, options) in sshd.with_and_without_agent() {
        for class in CLASSES {
            let tunnel = connect(options.clone()).await;
            let mut there = open(&tunnel, Destination::Docker, Class::Interactive).await;
            let mut stuck = Vec::new();
            for _ in 0..3 {
                let mut stream = open(&tunnel, port(deaf), class).await;
                let filling = async { while stream.write_all(&[0; 64 * 1024]).await.is_ok() {} };
                assert!(
                    timeout(Duration::from_secs(1), filling).await.is_err(),
                    "{route}: it accepts no more for now"
                );
                stuck.push(stream);
            }
            others_are_served(&tunnel, &mut there, route).await;
            tunnel.close().await;
        }
    }
}

/// The library wakes a writer that waits for window only by window; after a close it accepts bytes
/// forever and drops them.
#[tokio::test]
async fn waiting_and_later_writers_get_an_error_when_the_peer_closes() {
    let Some(sshd) = Sshd::start().await else { return };
    let gone = tcp(&sshd, Peer::DeafThenHangsUp).await;
    for (route, options) in sshd.with_and_without_agent() {
        for class in CLASSES {
            let _ = std::fs::remove_file(sshd.path("hang-up"));
            let tunnel = connect(options.clone()).await;
            let mut stream = open(&tunnel, port(gone), class).await;
            let chunk = vec![0; 64 * 1024];
            let filling = async { while stream.write_all(&chunk).await.is_ok() {} };
            assert!(
                timeout(Duration::from_secs(1), filling).await.is_err(),
                "{route}: it accepts no more for now"
            );
            let mut waiting =
                std::pin::pin!(async { while stream.write_all(&chunk).await.is_ok() {} });
            assert!(futures::poll!(waiting.as_mut()).is_pending());
            std::fs::write(sshd.path("hang-up"), "").unwrap();
            soon(&format!("{route}, {class:?}: the writer gets an error"), waiting).await;
            for _ in 0..3 {
                let written = soon("a later write", stream.write(&chunk)).await;
                assert!(
                    written.is_err(),
                    "{route}, {class:?}: bytes were accepted after the close: {written:?}"
                );
            }
            assert_eq!(tunnel.is_dead(), None, "{route}");
            tunnel.close().await;
        }
    }
}

/// The library's flush does nothing, and its empty write is an error that ends a copy.
#[tokio::test]
async fn empty_writes_do_nothing_and_one_flush_sends_everything() {
    let Some(sshd) = Sshd::start().await else { return };
    let _docker = docker(&sshd, Peer::Echo);
    for (route, options) in sshd.with_and_without_agent() {
        for class in CLASSES {
            let tunnel = connect(options.clone()).await;
            let mut stream = open(&tunnel, Destination::Docker, class).await;
            for at in 0..50_u8 {
                assert_eq!(soon("an empty write", stream.write(&[])).await.unwrap(), 0, "{route}");
                soon("flush", stream.flush()).await.unwrap();
                echoes(&mut stream, &[at]).await;
            }
            tunnel.close().await;
        }
    }
}

/// The library closes its stream's receiver at the end of the output, and loses an exit status that
/// follows.
#[tokio::test]
async fn an_exit_status_long_after_the_output_is_received() {
    let Some(sshd) = Sshd::start().await else { return };
    for (route, options) in sshd.with_and_without_agent() {
        let tunnel = connect(options).await;
        let command = "echo last words; exec >/dev/null 2>&1 <&-; sleep 1; exit 7";
        let ended = soon("exec", tunnel.exec(command, b"")).await.unwrap();
        assert_eq!(
            (ended.status, ended.stdout.as_slice()),
            (Some(7), &b"last words\n"[..]),
            "{route}"
        );
        tunnel.close().await;
    }
}

/// No channel sends a message during a key exchange.
#[tokio::test]
async fn key_exchanges_lose_no_byte_and_stop_no_other_stream() {
    // sshd accepts no less than a megabyte: 24 MB in both directions cause about fifty exchanges.
    let Some(sshd) = Sshd::start_with("RekeyLimit 1M none\n").await else { return };
    let _docker = docker(&sshd, Peer::Echo);
    let sent: Vec<u8> =
        (0..24_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (route, options) in sshd.with_and_without_agent() {
        for class in CLASSES {
            let tunnel = connect(options.clone()).await;
            let mut there = open(&tunnel, Destination::Docker, Class::Interactive).await;
            let (mut read, mut write) =
                tokio::io::split(open(&tunnel, Destination::Docker, class).await);
            let mut received = Vec::new();
            let writing = async {
                write.write_all(&sent).await?;
                write.shutdown().await
            };
            let meanwhile = async {
                for _ in 0..20 {
                    echoes(&mut there, b"meanwhile").await;
                }
            };
            let (written, reading, ()) = tokio::join!(
                writing,
                soon("read it all", read.read_to_end(&mut received)),
                meanwhile
            );
            written.unwrap();
            reading.unwrap();
            assert!(
                received == sent,
                "{route}, {class:?}: {} of {} bytes, or others",
                received.len(),
                sent.len()
            );
            assert_eq!(tunnel.is_dead(), None, "{route}");
            tunnel.close().await;
        }
    }
}
