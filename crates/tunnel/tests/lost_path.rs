//! Lost paths and closed tunnels.

#![allow(clippy::unwrap_used, reason = "helpers of tests count as tests")]

mod rig;

use std::time::Duration;

use agent_proto::{Call, Reply};
use dockbridge_tunnel::{AgentState, CallError, Class, Destination, OpenError, Stream, Tunnel};
use rig::{Peer, Sshd, connect, docker, soon, tcp};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

/// In the reason of a loss that only the watchdog noticed. It takes seconds; every other cause is
/// noticed at once.
const SILENCE: &str = "no answer";

/// Two streams, one for a waiting read and one for a waiting write.
async fn waiting_streams(tunnel: &Tunnel, deaf: u16) -> (Stream, Stream) {
    let deaf = Destination::Tcp { host: "127.0.0.1".into(), port: deaf };
    let open = || tunnel.open(deaf.clone(), Class::Interactive);
    (soon("open", open()).await.unwrap(), soon("open", open()).await.unwrap())
}

/// Checks that both fail, and that no new stream is opened.
async fn all_fail(tunnel: &Tunnel, (mut reader, mut writer): (Stream, Stream), route: &str) {
    let reading = async { reader.read(&mut [0; 16]).await };
    let writing = async {
        let chunk = vec![0; 64 * 1024];
        loop {
            if let Err(error) = writer.write_all(&chunk).await {
                return error;
            }
        }
    };
    let (read, _error) = soon("both fail", futures::future::join(reading, writing)).await;
    assert!(read.is_err(), "{route}: a lost path is not an orderly end: {read:?}");
    let opened = soon("open", tunnel.open(Destination::Docker, Class::Interactive)).await;
    assert!(matches!(opened, Err(OpenError::Dead { .. })), "{route}: {opened:?}");
}

#[tokio::test]
async fn a_killed_sshd_is_noticed_at_once() {
    for with_agent in [true, false] {
        let Some(sshd) = Sshd::start().await else { return };
        let deaf = tcp(&sshd, Peer::Deaf).await;
        let tunnel =
            connect(if with_agent { sshd.options_with_agent() } else { sshd.options() }).await;
        let streams = waiting_streams(&tunnel, deaf).await;
        let failing = all_fail(&tunnel, streams, "killed");
        sshd.signal(Signal::KILL);
        let reason = soon("dead", tunnel.dead()).await;
        assert!(!reason.contains(SILENCE), "the watchdog noticed it, after seconds: {reason}");
        failing.await;
        tunnel.close().await;
    }
}

#[tokio::test]
async fn the_watchdog_detects_a_silent_path() {
    for with_agent in [true, false] {
        let Some(sshd) = Sshd::start().await else { return };
        let deaf = tcp(&sshd, Peer::Deaf).await;
        let tunnel =
            connect(if with_agent { sshd.options_with_agent() } else { sshd.options() }).await;
        let streams = waiting_streams(&tunnel, deaf).await;
        let stopped = Instant::now();
        sshd.signal(Signal::STOP);
        let reason = soon("dead", tunnel.dead()).await;
        let took = stopped.elapsed();
        assert!(took > Duration::from_secs(4), "a pause is no loss: took {took:?}: {reason}");
        assert!(reason.contains(SILENCE), "{reason}");
        all_fail(&tunnel, streams, "stopped").await;
        soon("close", tunnel.close()).await;
    }
}

#[tokio::test]
async fn the_watchdog_detects_a_hanging_agent_and_a_dead_one_is_noticed_at_once() {
    let Some(sshd) = Sshd::start().await else { return };
    for (signal, is_silent) in [(Signal::STOP, true), (Signal::KILL, false)] {
        let tunnel = connect(sshd.options_with_agent()).await;
        for agent in sshd.agents() {
            let pid = rustix::process::Pid::from_raw(agent).unwrap();
            rustix::process::kill_process(pid, signal).unwrap();
        }
        let reason = soon("dead", tunnel.dead()).await;
        assert_eq!(reason.contains(SILENCE), is_silent, "{signal:?}: {reason}");
        tunnel.close().await;
    }
}

#[tokio::test]
async fn closing_ends_streams_and_calls_and_leaves_no_login_behind() {
    let Some(sshd) = Sshd::start().await else { return };
    let flood = tcp(&sshd, Peer::Flood).await;
    for (route, options) in sshd.with_and_without_agent() {
        let tunnel = connect(options).await;
        let mut streams = Vec::new();
        for class in [Class::Interactive, Class::Question, Class::Bulk] {
            let to = Destination::Tcp { host: "127.0.0.1".into(), port: flood };
            // Unread, so that its connection's session waits for room in the stream's queue.
            streams.push(soon("open", tunnel.open(to, class)).await.unwrap());
        }
        let waiter = tokio::spawn({
            let tunnel = tunnel.clone();
            async move { tunnel.dead().await }
        });
        soon("close", tunnel.close()).await;
        assert_eq!(soon("dead", waiter).await.unwrap(), "the tunnel was closed");
        for stream in &mut streams {
            assert!(soon("read", stream.read(&mut [0; 16])).await.is_err(), "{route}");
            assert!(soon("write", stream.write(&[0; 16])).await.is_err(), "{route}");
        }
        rig::eventually("all logins are gone", async || match sshd.processes().len() {
            1 => Ok(()),
            count => Err(format!("{route}: {count} processes")),
        })
        .await;
    }
}

#[tokio::test]
async fn a_dropped_tunnel_leaves_no_login_behind() {
    let Some(sshd) = Sshd::start().await else { return };
    for (route, options) in sshd.with_and_without_agent() {
        drop(connect(options).await);
        rig::eventually("all logins are gone", async || match sshd.processes().len() {
            1 => Ok(()),
            count => Err(format!("{route}: {count} processes")),
        })
        .await;
    }
}

#[tokio::test]
async fn an_idle_tunnel_stays_alive_and_knows_its_round_trip() {
    let Some(sshd) = Sshd::start().await else { return };
    for (route, options) in sshd.with_and_without_agent() {
        let tunnel = connect(options).await;
        let outlived = tokio::time::timeout(Duration::from_secs(7), tunnel.dead()).await;
        assert!(outlived.is_err(), "{route}: {outlived:?}");
        let statistics = tunnel.statistics();
        assert!(statistics.round_trip.is_some(), "{route}: {statistics:?}");
        tunnel.close().await;
    }
}

#[tokio::test]
async fn without_an_agent_streams_are_plain_and_calls_return_the_reason() {
    let Some(sshd) = Sshd::start().await else { return };
    let _docker = docker(&sshd, Peer::Echo);
    let elsewhere = tempfile::tempdir().unwrap();
    // An agent for the right architecture that ends at once, and one for another architecture.
    let mut broken = b"\x7fELF\x02\x01\x01".to_vec();
    broken.resize(18, 0);
    let (right, other): ([u8; 2], [u8; 2]) =
        if rig::arch() == "x86_64" { ([62, 0], [183, 0]) } else { ([183, 0], [62, 0]) };
    for machine in [right, other] {
        std::fs::write(
            elsewhere.path().join("dockbridge-agent"),
            [broken.as_slice(), &machine, b"rest"].concat(),
        )
        .unwrap();
        let mut options = sshd.options_with_agent();
        options.agent.as_mut().unwrap().binaries = elsewhere.path().to_owned().into();
        let tunnel = soon("connect", Tunnel::connect(options)).await.unwrap();
        let AgentState::Absent { reason } = tunnel.agent() else {
            panic!("an agent that cannot run")
        };
        assert!(reason.contains("did not start") || reason.contains("no agent for"), "{reason}");
        let mut stream =
            soon("open", tunnel.open(Destination::Docker, Class::Interactive)).await.unwrap();
        stream.write_all(b"word").await.unwrap();
        let mut word = [0; 4];
        soon("read", stream.read_exact(&mut word)).await.unwrap();
        let called = soon("call", tunnel.call(Call::Report)).await;
        assert!(
            matches!(&called, Err(CallError::NoAgent { reason: why }) if *why == reason),
            "{called:?}"
        );
        tunnel.close().await;
    }
}

#[tokio::test]
async fn the_agent_answers_calls() {
    let Some(sshd) = Sshd::start().await else { return };
    let tunnel = connect(sshd.options_with_agent()).await;
    assert_eq!(soon("call", tunnel.call(Call::Ping)).await, Ok(Reply::Done));
    let reply = soon("call", tunnel.call(Call::Report)).await;
    assert!(
        matches!(&reply, Ok(Reply::Report(report)) if report.protocol == agent_proto::PROTOCOL),
        "{reply:?}"
    );
    tunnel.close().await;
}
