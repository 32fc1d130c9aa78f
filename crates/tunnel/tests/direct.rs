//! The direct path, over a short path: big transfers and questions have connections of their own,
//! and behave as if they had not.

#![allow(clippy::unwrap_used, reason = "helpers of tests count as tests")]

mod rig;

use std::io::ErrorKind;
use std::time::Duration;

use dockbridge_tunnel::{Class, Destination, OpenError, Stream, Tunnel};
use rig::{Peer, SAID, Sshd, connect, docker, eventually, soon, tcp};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

/// The limit for an answer that must not wait for the stopped agent; shorter than the silence after
/// which a tunnel gives up its path.
const ANSWER: Duration = Duration::from_secs(1);
/// The tunnel's own limit for a short path.
const SHORT: Duration = Duration::from_millis(3);

fn port(port: u16) -> Destination {
    Destination::Tcp { host: "127.0.0.1".into(), port }
}

/// A tunnel that has measured its short path.
async fn near_tunnel(sshd: &Sshd) -> Tunnel {
    let tunnel = connect(sshd.options_with_agent()).await;
    eventually("the path is measured to be short", async || match tunnel.statistics().round_trip {
        Some(round_trip) if round_trip < SHORT => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    tunnel
}

async fn open(tunnel: &Tunnel, to: Destination, class: Class) -> Stream {
    soon("open", tunnel.open(to, class)).await.unwrap()
}

async fn echoes(stream: &mut Stream) -> std::io::Result<()> {
    let mut heard = [0; 4];
    stream.write_all(b"word").await?;
    stream.read_exact(&mut heard).await?;
    assert_eq!(&heard, b"word");
    Ok(())
}

/// The agent's process, stopped while this lives.
struct Stopped(Pid);

impl Stopped {
    fn agent_of(sshd: &Sshd) -> Self {
        let agents = sshd.agents();
        assert_eq!(agents.len(), 1, "{agents:?}");
        let agent = Pid::from_raw(agents[0]).unwrap();
        kill_process(agent, Signal::STOP).unwrap();
        Self(agent)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}

async fn bypasses_agent(sshd: &Sshd, tunnel: &Tunnel, class: Class) -> Result<(), String> {
    let mut stream = open(tunnel, Destination::Docker, class).await;
    echoes(&mut stream).await.unwrap();
    let stopped = Stopped::agent_of(sshd);
    let answered = timeout(ANSWER, echoes(&mut stream)).await;
    drop(stopped);
    answered.map_err(|_| "it goes through the agent".to_owned())?.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_question_bypasses_the_agent_once_a_connection_is_idle() {
    let Some(sshd) = Sshd::start().await else { return };
    let _docker = docker(&sshd, Peer::Echo);
    let tunnel = near_tunnel(&sshd).await;
    // The first question does not wait for a login.
    eventually("a question has a connection of its own", async || {
        bypasses_agent(&sshd, &tunnel, Class::Question).await
    })
    .await;
    assert!(
        bypasses_agent(&sshd, &tunnel, Class::Interactive).await.is_err(),
        "an interactive stream uses the agent"
    );
    tunnel.close().await;
}

#[tokio::test]
async fn a_connection_for_questions_is_made_when_the_first_stream_is_used() {
    let Some(sshd) = Sshd::start().await else { return };
    let _docker = docker(&sshd, Peer::Echo);
    let tunnel = near_tunnel(&sshd).await;
    let idle = Keepers::of(&sshd);
    assert_eq!(
        idle,
        Keepers(0),
        "a tunnel that runs commands only makes no connection that it might cut off"
    );
    echoes(&mut open(&tunnel, Destination::Docker, Class::Interactive).await).await.unwrap();
    eventually("a connection is made ahead", async || match Keepers::of(&sshd) {
        Keepers(0) => Err("none yet".to_owned()),
        _ => Ok(()),
    })
    .await;
    bypasses_agent(&sshd, &tunnel, Class::Question).await.unwrap();
    tunnel.close().await;
}

/// The commands that keep connections awake.
#[derive(Debug, PartialEq)]
struct Keepers(usize);

impl Keepers {
    fn of(sshd: &Sshd) -> Self {
        let program =
            |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        Self(sshd.processes().iter().filter(|pid| program(pid).trim() == "cat").count())
    }
}

#[tokio::test]
async fn more_questions_than_connections_are_all_answered() {
    let Some(sshd) = Sshd::start().await else { return };
    let _docker = docker(&sshd, Peer::Echo);
    let tunnel = near_tunnel(&sshd).await;
    for _ in 0..3 {
        let mut asked = futures::future::join_all(
            (0..40).map(|_| open(&tunnel, Destination::Docker, Class::Question)),
        )
        .await;
        for stream in &mut asked {
            soon("an answer", echoes(stream)).await.unwrap();
        }
    }
    tunnel.close().await;
}

#[tokio::test]
async fn a_crowd_of_questions_uses_the_session_and_makes_no_connections() {
    let Some(sshd) = Sshd::start().await else { return };
    let _docker = docker(&sshd, Peer::Echo);
    let tunnel = near_tunnel(&sshd).await;
    eventually("a question has a connection of its own", async || {
        bypasses_agent(&sshd, &tunnel, Class::Question).await
    })
    .await;
    // Each is answered before the next, so that all four connections exist and are in use.
    let mut few = Vec::new();
    for _ in 0..4 {
        let mut stream = open(&tunnel, Destination::Docker, Class::Question).await;
        echoes(&mut stream).await.unwrap();
        few.push(stream);
    }
    let mut fifth = open(&tunnel, Destination::Docker, Class::Question).await;
    echoes(&mut fifth).await.unwrap();
    assert!(!fifth.is_temporary(), "its route is as good as any for a crowd");
    assert!(
        bypasses_agent(&sshd, &tunnel, Class::Question).await.is_err(),
        "a connection to itself, though there is a crowd"
    );
    drop((few, fifth));
    eventually("a question has a connection to itself again", async || {
        bypasses_agent(&sshd, &tunnel, Class::Question).await
    })
    .await;
    tunnel.close().await;
}

/// sshd reports any reset as an orderly end.
#[tokio::test]
async fn a_big_transfer_that_breaks_off_is_a_reset_not_an_end() {
    let Some(sshd) = Sshd::start().await else { return };
    let breaks = port(tcp(&sshd, Peer::Breaks).await);
    let tunnel = near_tunnel(&sshd).await;
    for half_closed in [false, true] {
        let mut stream = open(&tunnel, breaks.clone(), Class::Bulk).await;
        stream.write_all(b"several").await.unwrap();
        stream.flush().await.unwrap();
        if half_closed {
            stream.shutdown().await.unwrap();
        }
        let mut said = Vec::new();
        let read =
            soon("the break", stream.read_to_end(&mut said)).await.map_err(|error| error.kind());
        // A reset discards what has not been sent.
        assert!(
            read == Err(ErrorKind::ConnectionReset) && said.len() <= SAID,
            "half closed {half_closed}: {read:?} after {}",
            said.len()
        );
    }
    tunnel.close().await;
}

#[tokio::test]
async fn a_dropped_big_transfer_resets_its_destination() {
    let Some(sshd) = Sshd::start().await else { return };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tunnel = near_tunnel(&sshd).await;
    let mut stream = open(&tunnel, port(listener.local_addr().unwrap().port()), Class::Bulk).await;
    stream.write_all(b"half of it").await.unwrap();
    let (mut peer, _) = soon("the connection", listener.accept()).await.unwrap();
    let mut half = [0; 10];
    soon("what was written", peer.read_exact(&mut half)).await.unwrap();
    drop(stream);
    assert_eq!(
        soon("the end", peer.read(&mut half)).await.unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    tunnel.close().await;
}

#[tokio::test]
async fn a_big_transfer_to_a_closed_port_is_refused() {
    let Some(sshd) = Sshd::start().await else { return };
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let tunnel = near_tunnel(&sshd).await;
    let opened = async { tunnel.open(port(nobody), Class::Bulk).await?.opened().await };
    let refused = soon("open", opened).await.unwrap_err();
    assert!(matches!(refused, OpenError::Refused { .. }), "{refused:?}");
    tunnel.close().await;
}

#[tokio::test]
async fn a_big_transfer_does_not_delay_the_agents_session() {
    let Some(sshd) = Sshd::start().await else { return };
    let (flood, _docker) = (tcp(&sshd, Peer::Flood).await, docker(&sshd, Peer::Echo));
    let tunnel = near_tunnel(&sshd).await;
    let mut unread = open(&tunnel, port(flood), Class::Bulk).await;
    soon("first bytes", unread.read_exact(&mut [0; 1024])).await.unwrap();
    for _ in 0..20 {
        soon(
            "an answer",
            echoes(&mut open(&tunnel, Destination::Docker, Class::Interactive).await),
        )
        .await
        .unwrap();
    }
    tunnel.close().await;
}

/// Bytes that a terminated stream has accepted and could not send at once must not wait for further
/// bytes.
#[tokio::test]
async fn a_big_answer_arrives_completely_while_its_sender_stays_connected() {
    let Some(sshd) = Sshd::start().await else { return };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = port(listener.local_addr().unwrap().port());
    let tunnel = near_tunnel(&sshd).await;
    for length in (0..12).map(|at| (4 << 20) + at * 50_001) {
        let mut stream = open(&tunnel, to.clone(), Class::Bulk).await;
        let (mut peer, _) = soon("the connection", listener.accept()).await.unwrap();
        let saying = tokio::spawn(async move {
            peer.write_all(&vec![7; length]).await.unwrap();
            peer
        });
        let mut heard = vec![0; length];
        soon("all of it", stream.read_exact(&mut heard)).await.unwrap();
        assert!(heard.iter().all(|byte| *byte == 7));
        drop(soon("who gave it", saying).await.unwrap());
    }
    tunnel.close().await;
}
