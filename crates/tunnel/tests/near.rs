//! What differs over a short path: big transfers and questions have connections to themselves, and
//! behave as if they had not.

#![allow(clippy::unwrap_used, reason = "helpers of tests count as tests")]

mod rig;

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use dockbridge_tunnel::{Class, Destination, OpenError, Stream, Tunnel};
use rig::{Peer, SAID, Sshd, connect, docker, eventually, soon, tcp};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

/// An answer that has to come although somebody stands still; shorter than the silence after which
/// a tunnel gives its path up.
const MEANWHILE: Duration = Duration::from_secs(1);
/// The tunnel's own measure.
const SHORT: Duration = Duration::from_millis(3);

fn port(port: u16) -> Destination {
    Destination::Tcp { host: "127.0.0.1".into(), port }
}

/// Once it is known how short the path is.
async fn near_tunnel(sshd: &Sshd) -> Tunnel {
    let tunnel = connect(sshd.options_with_agent()).await;
    eventually("the path is seen to be short", async || match tunnel.statistics().round_trip {
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

/// The agent's process, which stands still while this lives.
struct Stopped(Pid);

impl Stopped {
    fn agent_of(sshd: &Sshd) -> Self {
        let is_agent = |pid: &i32| {
            let program = std::fs::read_link(Path::new("/proc").join(pid.to_string()).join("exe"))
                .unwrap_or_default();
            program.to_string_lossy().contains("/remote/agent-")
        };
        let agents: Vec<i32> = sshd.processes().into_iter().filter(is_agent).collect();
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

async fn by_which_way(sshd: &Sshd, tunnel: &Tunnel, class: Class) -> Result<(), String> {
    let mut stream = open(tunnel, Destination::Docker, class).await;
    echoes(&mut stream).await.unwrap();
    let stopped = Stopped::agent_of(sshd);
    let answered = timeout(MEANWHILE, echoes(&mut stream)).await;
    drop(stopped);
    answered.map_err(|_| "it passes the agent".to_owned())?.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_question_does_not_pass_the_agent_once_there_is_a_connection_for_it() {
    let Some(sshd) = Sshd::start().await else { return };
    let _docker = docker(&sshd, Peer::Echo);
    let tunnel = near_tunnel(&sshd).await;
    // The first one is not kept waiting for a login.
    eventually(
        "a question has a connection to \
        itself",
        async || by_which_way(&sshd, &tunnel, Class::Question).await,
    )
    .await;
    assert!(
        by_which_way(&sshd, &tunnel, Class::Interactive).await.is_err(),
        "or this test cannot \
        tell"
    );
    tunnel.close().await;
}

#[tokio::test]
async fn the_first_question_finds_a_connection_that_was_made_while_another_stream_was_used() {
    let Some(sshd) = Sshd::start().await else { return };
    let _docker = docker(&sshd, Peer::Echo);
    let tunnel = near_tunnel(&sshd).await;
    let idle = Keepers::of(&sshd);
    assert_eq!(
        idle,
        Keepers(0),
        "a tunnel that runs commands only makes no connection that it \
        might cut off"
    );
    echoes(&mut open(&tunnel, Destination::Docker, Class::Interactive).await).await.unwrap();
    eventually("a connection is made ahead", async || match Keepers::of(&sshd) {
        Keepers(0) => Err("none yet".to_owned()),
        _ => Ok(()),
    })
    .await;
    by_which_way(&sshd, &tunnel, Class::Question).await.unwrap();
    tunnel.close().await;
}

/// Commands that do nothing but keep a connection awake.
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
async fn more_questions_than_connections_are_answered_all_the_same() {
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
async fn a_crowd_of_questions_goes_by_the_session_and_makes_no_connections() {
    let Some(sshd) = Sshd::start().await else { return };
    let _docker = docker(&sshd, Peer::Echo);
    let tunnel = near_tunnel(&sshd).await;
    eventually(
        "a question has a connection to \
        itself",
        async || by_which_way(&sshd, &tunnel, Class::Question).await,
    )
    .await;
    // Each is answered before the next: all four are there, and hold their places.
    let mut few = Vec::new();
    for _ in 0..4 {
        let mut stream = open(&tunnel, Destination::Docker, Class::Question).await;
        echoes(&mut stream).await.unwrap();
        few.push(stream);
    }
    let mut fifth = open(&tunnel, Destination::Docker, Class::Question).await;
    echoes(&mut fifth).await.unwrap();
    assert!(!fifth.is_makeshift(), "it is as good as any for the next one of a crowd");
    assert!(
        by_which_way(&sshd, &tunnel, Class::Question).await.is_err(),
        "a connection to itself, \
        though there is a crowd"
    );
    drop((few, fifth));
    eventually(
        "a question has a connection to itself \
        again",
        async || by_which_way(&sshd, &tunnel, Class::Question).await,
    )
    .await;
    tunnel.close().await;
}

/// sshd tells any reset as an end.
#[tokio::test]
async fn a_big_transfer_that_breaks_off_does_not_look_as_if_it_had_ended() {
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
        // A reset takes with it what has not left.
        assert!(
            read == Err(ErrorKind::ConnectionReset) && said.len() <= SAID,
            "half closed \
            {half_closed}: {read:?} after {}",
            said.len()
        );
    }
    tunnel.close().await;
}

#[tokio::test]
async fn a_big_transfer_that_is_dropped_resets_what_it_led_to() {
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
async fn a_big_transfer_that_is_refused_is_refused() {
    let Some(sshd) = Sshd::start().await else { return };
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let tunnel = near_tunnel(&sshd).await;
    let opened = async { tunnel.open(port(nobody), Class::Bulk).await?.opened().await };
    let refused = soon("open", opened).await.unwrap_err();
    assert!(matches!(refused, OpenError::Refused { .. }), "{refused:?}");
    tunnel.close().await;
}

#[tokio::test]
async fn a_big_transfer_does_not_hold_up_the_agents_session() {
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

/// What a sealed stream has taken and could not send at once must not wait for bytes that never
/// come.
#[tokio::test]
async fn all_of_a_big_answer_arrives_though_who_gave_it_stays() {
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
