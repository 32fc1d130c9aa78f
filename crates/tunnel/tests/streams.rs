//! Streams through a real sshd, with and without the agent.

#![allow(clippy::unwrap_used, reason = "helpers of tests count as tests")]

mod rig;

use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use agent_proto::{Call, Reply};
use dockbridge_tunnel::{
    AgentState, Class, Connector as _, Destination, OpenError, Stream, Tunnel, datagram,
};
use rig::{Peer, SAID, Sshd, connect, docker, eventually, soon, tcp};
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};

fn port(port: u16) -> Destination {
    Destination::Tcp { host: "127.0.0.1".into(), port }
}

async fn open(tunnel: &Tunnel, to: Destination) -> Stream {
    soon("open", tunnel.open(to, Class::Interactive)).await.unwrap()
}

async fn read_to_end(stream: &mut Stream) -> Vec<u8> {
    let mut bytes = Vec::new();
    soon("read to the end", stream.read_to_end(&mut bytes)).await.unwrap();
    bytes
}

async fn read_word(stream: &mut Stream) -> [u8; 4] {
    let mut word = [0; 4];
    soon("read a word", stream.read_exact(&mut word)).await.unwrap();
    word
}

#[tokio::test]
async fn datagrams_use_the_agent_and_are_refused_without_one() {
    let Some(sshd) = Sshd::start().await else { return };
    let peer = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let to = Destination::Udp { host: "127.0.0.1".into(), port: peer.local_addr().unwrap().port() };
    let tunnel = connect(sshd.options_with_agent()).await;
    assert_eq!(tunnel.without_datagrams(), None);
    let mut stream = open(&tunnel, to.clone()).await;
    stream.write_all(&[&datagram::header(4)[..], b"ping"].concat()).await.unwrap();
    let mut buffer = [0; 16];
    let (length, from) = soon("the datagram", peer.recv_from(&mut buffer)).await.unwrap();
    assert_eq!(&buffer[..length], b"ping");
    peer.send_to(b"pong", from).await.unwrap();
    let mut back = [0; 6];
    soon("the answer", stream.read_exact(&mut back)).await.unwrap();
    assert_eq!(datagram::split(&back), Some((&b"pong"[..], 6)));
    tunnel.close().await;

    let tunnel = connect(sshd.options()).await;
    let why = tunnel.without_datagrams().unwrap();
    assert!(why.starts_with("UDP needs the agent, and none runs on the machine: "), "{why}");
    let refused = soon("the refusal", tunnel.open(to, Class::Interactive)).await.unwrap_err();
    assert_eq!(refused, OpenError::Refused { message: why });
    tunnel.close().await;
}

#[tokio::test]
async fn a_dropped_stream_resets_its_destination() {
    let Some(sshd) = Sshd::start().await else { return };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tunnel = connect(sshd.options_with_agent()).await;
    let mut stream = open(&tunnel, port(listener.local_addr().unwrap().port())).await;
    stream.write_all(b"half of it").await.unwrap();
    let (mut peer, _) = soon("the connection", listener.accept()).await.unwrap();
    let mut half = [0; 10];
    soon("what was written", peer.read_exact(&mut half)).await.unwrap();
    drop(stream);
    let ended = soon("the end", peer.read(&mut half)).await;
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    tunnel.close().await;
}

#[tokio::test]
async fn the_agent_is_uploaded_once_and_then_reused() {
    let Some(sshd) = Sshd::start().await else { return };
    let first = connect(sshd.options_with_agent()).await;
    assert_eq!(first.agent(), AgentState::Running { resident: false });
    let installed = || -> Vec<_> {
        let names = std::fs::read_dir(sshd.path("remote")).unwrap().map(|entry| entry.unwrap());
        names
            .map(|entry| (entry.file_name(), entry.metadata().unwrap().modified().unwrap()))
            .collect()
    };
    let before = installed();
    assert_eq!(before.len(), 1, "{before:?}");
    let second = connect(sshd.options_with_agent()).await;
    assert_eq!(second.agent(), AgentState::Running { resident: false });
    assert_eq!(installed(), before, "it is not uploaded again");
    first.close().await;
    second.close().await;
}

#[tokio::test]
async fn concurrent_uploads_of_the_agent_do_not_disturb_each_other() {
    let Some(sshd) = Sshd::start().await else { return };
    let tunnels =
        futures::future::join_all((0..6).map(|_| connect(sshd.options_with_agent()))).await;
    for tunnel in &tunnels {
        assert_eq!(tunnel.agent(), AgentState::Running { resident: false });
    }
    let left: Vec<_> = std::fs::read_dir(sshd.path("remote"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
    futures::future::join_all(tunnels.iter().map(Tunnel::close)).await;
}

#[tokio::test]
async fn output_of_the_login_shell_is_skipped() {
    let Some(sshd) = Sshd::start().await else { return };
    // bash reads it even for a command; with another shell this tests nothing.
    rig::write(&sshd.path(".bashrc"), "printf 'welcome\\r\\nno newline'\n", 0o600);
    let noisy = connect(sshd.options_with_agent()).await;
    let said = soon("exec", noisy.exec("echo x", b"")).await.unwrap();
    if !said.stdout.starts_with(b"welcome") {
        testkit::passed_over_in_part!("the login shell reads no start-up file");
    }
    assert_eq!(noisy.agent(), AgentState::Running { resident: false });
    let _docker = docker(&sshd, Peer::Echo);
    let mut stream = open(&noisy, Destination::Docker).await;
    stream.write_all(b"word").await.unwrap();
    assert_eq!(&read_word(&mut stream).await, b"word");
    noisy.close().await;
}

#[tokio::test]
async fn each_side_of_a_stream_is_half_closed_on_its_own() {
    let Some(sshd) = Sshd::start().await else { return };
    for (route, options) in sshd.with_and_without_agent() {
        let tunnel = connect(options).await;
        for class in [Class::Interactive, Class::Question, Class::Bulk] {
            // The client closes first: the answer still arrives.
            let _docker = docker(&sshd, Peer::Count);
            let counting = tcp(&sshd, Peer::Count).await;
            for to in [Destination::Docker, port(counting)] {
                let mut stream = soon("open", tunnel.open(to, class)).await.unwrap();
                let sent = vec![1; 3_000_000];
                soon("write", stream.write_all(&sent)).await.unwrap();
                stream.shutdown().await.unwrap();
                assert_eq!(read_to_end(&mut stream).await, b"3000000", "{route}");
            }
            // The peer closes first: what the client sends afterwards still arrives.
            let _docker = docker(&sshd, Peer::EndsFirst);
            let ending = tcp(&sshd, Peer::EndsFirst).await;
            for to in [Destination::Docker, port(ending)] {
                let _ = std::fs::remove_file(sshd.path("report"));
                let mut stream = soon("open", tunnel.open(to, class)).await.unwrap();
                assert_eq!(read_to_end(&mut stream).await, b"word", "{route}");
                stream.write_all(b"afterwards").await.unwrap();
                stream.shutdown().await.unwrap();
                eventually("the last bytes arrive", async || {
                    match std::fs::read(sshd.path("report")) {
                        Ok(said) if said == b"afterwards" => Ok(()),
                        other => Err(format!("{route}: {other:?}")),
                    }
                })
                .await;
            }
        }
        tunnel.close().await;
    }
}

#[tokio::test]
async fn an_unread_stream_does_not_delay_the_others() {
    let Some(sshd) = Sshd::start().await else { return };
    let flood = tcp(&sshd, Peer::Flood).await;
    let _docker = docker(&sshd, Peer::Echo);
    for (route, options) in sshd.with_and_without_agent() {
        let tunnel = connect(options).await;
        let mut unread = Vec::new();
        for _ in 0..4 {
            let mut stream = open(&tunnel, port(flood)).await;
            // It flows, and then is no longer read.
            soon("first bytes", stream.read_exact(&mut [0; 1024])).await.unwrap();
            unread.push(stream);
        }
        for _ in 0..20 {
            let asked = tokio::time::Instant::now();
            let mut stream = open(&tunnel, Destination::Docker).await;
            stream.write_all(b"word").await.unwrap();
            assert_eq!(&read_word(&mut stream).await, b"word");
            assert!(
                asked.elapsed() < Duration::from_secs(3),
                "{route}: took {:?}",
                asked.elapsed()
            );
        }
        assert_eq!(tunnel.is_dead(), None, "{route}");
        tunnel.close().await;
    }
}

#[tokio::test]
async fn a_writer_does_not_fill_memory_while_its_peer_does_not_read() {
    let Some(sshd) = Sshd::start().await else { return };
    let deaf = tcp(&sshd, Peer::Deaf).await;
    for (route, options) in sshd.with_and_without_agent() {
        let tunnel = connect(options).await;
        let mut stream = open(&tunnel, port(deaf)).await;
        let writing = async {
            let chunk = vec![0; 256 * 1024];
            for _ in 0..512 {
                stream.write_all(&chunk).await.unwrap();
            }
        };
        assert!(
            tokio::time::timeout(Duration::from_secs(3), writing).await.is_err(),
            "{route}: 128 MiB were accepted"
        );
        assert!(tunnel.statistics().up < 64 << 20, "{route}: {:?}", tunnel.statistics());
        tunnel.close().await;
    }
}

async fn opened(tunnel: &Tunnel, to: Destination) -> Result<(), OpenError> {
    tunnel.open(to, Class::Interactive).await?.opened().await
}

#[tokio::test]
async fn refused_and_missing_destinations_are_distinguished() {
    let Some(sshd) = Sshd::start().await else { return };
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    for (route, options) in sshd.with_and_without_agent() {
        let tunnel = connect(options).await;
        let refused = soon("open", opened(&tunnel, port(closed))).await.unwrap_err();
        assert!(matches!(refused, OpenError::Refused { .. }), "{route}: {refused:?}");
        let missing = soon("open", opened(&tunnel, Destination::Docker)).await.unwrap_err();
        assert!(matches!(missing, OpenError::NotFound { .. }), "{route}: {missing:?}");
        tunnel.close().await;
    }
}

#[tokio::test]
async fn writes_fail_after_the_peer_has_closed() {
    let Some(sshd) = Sshd::start().await else { return };
    let _docker = docker(&sshd, Peer::HangsUp);
    for (route, options) in sshd.with_and_without_agent() {
        let tunnel = connect(options).await;
        let mut stream = open(&tunnel, Destination::Docker).await;
        assert_eq!(read_to_end(&mut stream).await, b"word", "{route}");
        let chunk = vec![0; 64 * 1024];
        let written = soon(&format!("{route}: a failing write"), async {
            while stream.write_all(&chunk).await.is_ok() {}
        })
        .await;
        assert_eq!((written, tunnel.is_dead()), ((), None), "{route}");
        tunnel.close().await;
    }
}

#[tokio::test]
async fn a_dropped_stream_ends_its_peer_even_if_half_closed() {
    let Some(sshd) = Sshd::start().await else { return };
    let flood = tcp(&sshd, Peer::Flood).await;
    for (route, options) in sshd.with_and_without_agent() {
        let tunnel = connect(options).await;
        for half_closed in [false, true] {
            let _ = std::fs::remove_file(sshd.path("report"));
            let mut stream = open(&tunnel, port(flood)).await;
            if half_closed {
                stream.shutdown().await.unwrap();
            }
            soon("first bytes", stream.read_exact(&mut [0; 1024])).await.unwrap();
            drop(stream);
            eventually("the peer gets an error", async || {
                match std::fs::read(sshd.path("report")) {
                    Ok(said) if said == b"given up" => Ok(()),
                    other => Err(format!("{route}, half closed {half_closed}: {other:?}")),
                }
            })
            .await;
        }
        eventually("no stream is counted", async || match tunnel.statistics().open {
            0 => Ok(()),
            open => Err(format!("{route}: {open} open")),
        })
        .await;
        tunnel.close().await;
    }
}

/// yamux alone shows a reset after a FIN as an end, and sshd reports any reset as an end.
#[tokio::test]
async fn a_broken_destination_is_a_reset_not_an_end() {
    let Some(sshd) = Sshd::start().await else { return };
    let _docker = docker(&sshd, Peer::Breaks);
    let tunnel = connect(sshd.options_with_agent()).await;
    for half_closed in [false, true] {
        let mut stream = open(&tunnel, Destination::Docker).await;
        stream.write_all(b"several").await.unwrap();
        stream.flush().await.unwrap();
        if half_closed {
            stream.shutdown().await.unwrap();
        }
        let mut said = Vec::new();
        let read = soon("the break", stream.read_to_end(&mut said)).await;
        let kind = read.map_err(|error| error.kind());
        assert_eq!(
            (kind, said.len()),
            (Err(std::io::ErrorKind::ConnectionReset), SAID),
            "half closed {half_closed}"
        );
    }
    eventually("no stream is counted", async || match tunnel.statistics().open {
        0 => Ok(()),
        open => Err(format!("{open} open")),
    })
    .await;
    tunnel.close().await;
}

#[tokio::test]
async fn a_pending_read_touches_no_memory() {
    let Some(sshd) = Sshd::start().await else { return };
    let _docker = docker(&sshd, Peer::Echo);
    for (route, options) in sshd.with_and_without_agent() {
        let tunnel = connect(options).await;
        let mut stream = open(&tunnel, Destination::Docker).await;
        stream.write_all(b"word").await.unwrap();
        assert_eq!(&read_word(&mut stream).await, b"word", "{route}");
        let mut space = [MaybeUninit::uninit(); 8192];
        let mut buf = ReadBuf::uninit(&mut space);
        let read = poll_fn(|cx| Poll::Ready(Pin::new(&mut stream).poll_read(cx, &mut buf))).await;
        assert!(read.is_pending(), "{route}");
        assert!(
            buf.initialized().is_empty(),
            "{route}: what is zeroed is memory in use, for each stream that is silent"
        );
        tunnel.close().await;
    }
}

#[tokio::test]
async fn many_streams_at_once_all_flow() {
    let Some(sshd) = Sshd::start().await else { return };
    let _docker = docker(&sshd, Peer::Echo);
    for ((route, options), count) in sshd.with_and_without_agent().into_iter().zip([1024, 100]) {
        let tunnel = connect(options).await;
        let mut streams =
            futures::future::join_all((0..count).map(|_| open(&tunnel, Destination::Docker))).await;
        for (at, stream) in streams.iter_mut().enumerate() {
            stream.write_all(format!("{at:04}").as_bytes()).await.unwrap();
        }
        for (at, stream) in streams.iter_mut().enumerate() {
            assert_eq!(read_word(stream).await, format!("{at:04}").as_bytes(), "{route}");
        }
        assert_eq!(tunnel.statistics().open, count, "{route}");
        if route == "with agent" {
            // No further stream fits until one ends; the agent still answers.
            assert_eq!(soon("call", tunnel.call(Call::Ping)).await, Ok(Reply::Done));
            let mut one_more = std::pin::pin!(tunnel.open(Destination::Docker, Class::Interactive));
            assert!(tokio::time::timeout(Duration::from_millis(200), &mut one_more).await.is_err());
            streams.pop();
            soon("open", one_more).await.unwrap();
        }
        tunnel.close().await;
    }
}

#[tokio::test]
async fn large_transfers_arrive_whole_in_both_directions_at_once() {
    let Some(sshd) = Sshd::start().await else { return };
    let _docker = docker(&sshd, Peer::Echo);
    let sent: Vec<u8> =
        (0..24_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (route, options) in sshd.with_and_without_agent() {
        let tunnel = connect(options).await;
        let stream = soon("open", tunnel.open(Destination::Docker, Class::Bulk)).await.unwrap();
        let (mut read, mut write) = tokio::io::split(stream);
        let mut received = Vec::new();
        let (written, reading) = tokio::join!(
            async {
                write.write_all(&sent).await?;
                write.shutdown().await
            },
            soon("read it all", read.read_to_end(&mut received))
        );
        written.unwrap();
        reading.unwrap();
        assert!(received == sent, "{route}: {} of {} bytes, or others", received.len(), sent.len());
        tunnel.close().await;
    }
}
