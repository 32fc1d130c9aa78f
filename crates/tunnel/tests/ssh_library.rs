//! What the SSH library leaves to us, each item by both ways through a real sshd: one channel that
//! holds up the others, windows that nobody can widen, bytes that vanish after a close, writers
//! that are never woken, flushes and empty writes that do nothing or too much, statuses that come
//! after the end, and the new keys in the middle of it all.

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

/// Everything that others want of a tunnel: a stream that is there, a new one of each class, a
/// command, and a call where there is an agent.
async fn others_are_served(tunnel: &Tunnel, there: &mut Stream, what: &str) {
    echoes(there, b"there").await;
    for class in CLASSES {
        echoes(&mut open(tunnel, Destination::Docker, class).await, b"new").await;
    }
    let said = soon(what, tunnel.exec("echo said", b"")).await.unwrap();
    assert_eq!(said.stdout, b"said\n", "{what}");
    if let AgentState::Running { .. } = tunnel.agent() {
        assert_eq!(soon(what, tunnel.call(Call::Ping)).await, Ok(Reply::Done), "{what}");
    }
    assert_eq!(tunnel.is_dead(), None, "{what}");
}

/// Bytes that the floods of this process got rid of, when no more leave.
async fn flood_that_stands() -> u64 {
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
    soon("the flood stands still", standing).await
}

/// Head-of-line blocking: the library waits for the reader of one channel inside the loop that
/// serves all of them.
#[tokio::test]
async fn readers_that_rest_hold_up_nobody_and_hold_a_bounded_part_of_the_flood() {
    let Some(sshd) = Sshd::start().await else { return };
    let (flood, _docker) = (tcp(&sshd, Peer::Flood).await, docker(&sshd, Peer::Echo));
    for (way, options) in sshd.both_ways() {
        for class in CLASSES {
            let tunnel = connect(options.clone()).await;
            let mut there = open(&tunnel, Destination::Docker, Class::Interactive).await;
            let before = FLOODED.load(Ordering::Relaxed);
            let mut resting = Vec::new();
            for _ in 0..3 {
                let mut stream = open(&tunnel, port(flood), class).await;
                soon("first bytes", stream.read_exact(&mut [0; 1024])).await.unwrap();
                resting.push(stream);
            }
            // Widening the window changes nothing in the library: what bounds an unread stream is
            // ours. It also takes what lies in the sockets between.
            let each = (flood_that_stands().await - before) / 3;
            println!(
                "{way}, {class:?}: an unread stream took {} KiB from the far \
                side",
                each >> 10
            );
            assert!(each < 40 << 20, "{way}, {class:?}: {each} bytes for one unread stream");
            others_are_served(&tunnel, &mut there, way).await;
            // The first reader goes on where it rested.
            soon("it flows again", resting[0].read_exact(&mut vec![0; 64 << 20])).await.unwrap();
            tunnel.close().await;
        }
    }
}

/// Pending data: while one channel has unsent bytes, the library takes no message of another.
#[tokio::test]
async fn writers_that_nobody_reads_hold_up_nobody() {
    let Some(sshd) = Sshd::start().await else { return };
    let (deaf, _docker) = (tcp(&sshd, Peer::Deaf).await, docker(&sshd, Peer::Echo));
    for (way, options) in sshd.both_ways() {
        for class in CLASSES {
            let tunnel = connect(options.clone()).await;
            let mut there = open(&tunnel, Destination::Docker, Class::Interactive).await;
            let mut stuck = Vec::new();
            for _ in 0..3 {
                let mut stream = open(&tunnel, port(deaf), class).await;
                let filling = async { while stream.write_all(&[0; 64 * 1024]).await.is_ok() {} };
                assert!(
                    timeout(Duration::from_secs(1), filling).await.is_err(),
                    "{way}: it takes \
                    no more for now"
                );
                stuck.push(stream);
            }
            others_are_served(&tunnel, &mut there, way).await;
            tunnel.close().await;
        }
    }
}

/// A writer that waits for window is woken by nothing but window; and after a close the library
/// takes bytes for ever, and drops them.
#[tokio::test]
async fn a_writer_that_waits_is_told_when_the_far_end_closes_and_so_is_every_later_one() {
    let Some(sshd) = Sshd::start().await else { return };
    let gone = tcp(&sshd, Peer::DeafThenHangsUp).await;
    for (way, options) in sshd.both_ways() {
        for class in CLASSES {
            let _ = std::fs::remove_file(sshd.path("hang-up"));
            let tunnel = connect(options.clone()).await;
            let mut stream = open(&tunnel, port(gone), class).await;
            let chunk = vec![0; 64 * 1024];
            let filling = async { while stream.write_all(&chunk).await.is_ok() {} };
            assert!(
                timeout(Duration::from_secs(1), filling).await.is_err(),
                "{way}: it takes no \
                more for now"
            );
            let mut waiting =
                std::pin::pin!(async { while stream.write_all(&chunk).await.is_ok() {} });
            assert!(futures::poll!(waiting.as_mut()).is_pending());
            std::fs::write(sshd.path("hang-up"), "").unwrap();
            soon(&format!("{way}, {class:?}: the writer is told"), waiting).await;
            for _ in 0..3 {
                let written = soon("a later write", stream.write(&chunk)).await;
                assert!(
                    written.is_err(),
                    "{way}, {class:?}: bytes for nobody were taken: \
                    {written:?}"
                );
            }
            assert_eq!(tunnel.is_dead(), None, "{way}");
            tunnel.close().await;
        }
    }
}

/// The library's flush does nothing, and its empty write is an error that ends a copy.
#[tokio::test]
async fn empty_writes_do_nothing_and_what_was_written_leaves_without_being_asked_twice() {
    let Some(sshd) = Sshd::start().await else { return };
    let _docker = docker(&sshd, Peer::Echo);
    for (way, options) in sshd.both_ways() {
        for class in CLASSES {
            let tunnel = connect(options.clone()).await;
            let mut stream = open(&tunnel, Destination::Docker, class).await;
            for at in 0..50_u8 {
                assert_eq!(soon("an empty write", stream.write(&[])).await.unwrap(), 0, "{way}");
                soon("flush", stream.flush()).await.unwrap();
                echoes(&mut stream, &[at]).await;
            }
            tunnel.close().await;
        }
    }
}

/// The library closes its stream's receiver at the end of the output, and an exit status that
/// follows is lost.
#[tokio::test]
async fn a_status_that_comes_long_after_the_output_has_ended_is_heard() {
    let Some(sshd) = Sshd::start().await else { return };
    for (way, options) in sshd.both_ways() {
        let tunnel = connect(options).await;
        let command = "echo last words; exec >/dev/null 2>&1 <&-; sleep 1; exit 7";
        let ended = soon("exec", tunnel.exec(command, b"")).await.unwrap();
        assert_eq!(
            (ended.status, ended.stdout.as_slice()),
            (Some(7), &b"last words\n"[..]),
            "{way}"
        );
        tunnel.close().await;
    }
}

/// While keys are exchanged no message of any channel leaves.
#[tokio::test]
async fn new_keys_under_way_neither_lose_a_byte_nor_stop_the_others() {
    // A megabyte is the least that sshd takes: 24 MB both ways make some fifty exchanges.
    let Some(sshd) = Sshd::start_with("RekeyLimit 1M none\n").await else { return };
    let _docker = docker(&sshd, Peer::Echo);
    let sent: Vec<u8> =
        (0..24_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (way, options) in sshd.both_ways() {
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
                "{way}, {class:?}: {} of {} bytes, or \
                others",
                received.len(),
                sent.len()
            );
            assert_eq!(tunnel.is_dead(), None, "{way}");
            tunnel.close().await;
        }
    }
}
