//! What open streams cost on both sides, and that nothing of them remains when they have ended. A
//! process of its own: memory is measured for the whole process, so that one test runs at a time.

#![allow(clippy::unwrap_used, reason = "helpers of tests count as tests")]

mod rig;

use dockbridge_tunnel::{Class, Destination, Stream, Tunnel};
use rig::{Peer, Sshd, connect, docker, eventually, soon, tcp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Mutex;

/// Held by the test that measures: the threads of `cargo test` share this process.
static MEASURING: Mutex<()> = Mutex::const_new(());

const STREAMS: usize = 1_000;
/// The most that an open, silent stream costs on either side, in bytes: bookkeeping and no buffer.
/// Measured were 10.2 and 10.9 KB.
const MOST_IDLE: usize = 12 * 1024;
/// The most that an unread stream costs, in bytes: its credit of 256 KiB here, and the bytes in
/// flight there. Measured were 330 to 338 and 62 to 105 KB.
const MOST_STALLED: usize = 400 * 1024;

/// Tasks and descriptors that a tunnel creates meanwhile and keeps, such as a second connection: a
/// few, however many streams there were.
const KEPT: usize = 20;

/// Anonymous resident memory of a process, in bytes.
fn memory(process: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

fn descriptors(process: &str) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count()
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// Passes the test over where its figures would be the emulator's.
async fn sshd() -> Option<Sshd> {
    if rig::is_emulated() {
        testkit::passed_over!("the memory of an emulated agent is its emulator's");
        return None;
    }
    Sshd::start().await
}

/// The agent's process of the only session.
fn agent(sshd: &Sshd) -> String {
    let agents = sshd.agents();
    assert_eq!(agents.len(), 1, "{agents:?}");
    agents[0].to_string()
}

async fn open(tunnel: &Tunnel, to: &Destination) -> Stream {
    let mut stream = soon("open", tunnel.open(to.clone(), Class::Interactive)).await.unwrap();
    soon("write", stream.write_all(b"word")).await.unwrap();
    soon("read", stream.read_exact(&mut [0; 4])).await.unwrap();
    stream
}

/// Waits until all figures have returned to their initial values, except for what the tunnel keeps.
async fn nothing_remains(tunnel: &Tunnel, agent: &str, before: (usize, usize), what: &str) {
    eventually(what, async || {
        let now = (tasks(), descriptors(agent));
        let open = tunnel.statistics().open;
        if now.0 <= before.0 + KEPT && now.1 <= before.1 + KEPT && open == 0 {
            Ok(())
        } else {
            Err(format!("{open} open; {now:?} after {before:?}"))
        }
    })
    .await;
}

#[tokio::test]
async fn a_thousand_open_streams_cost_little_and_leave_nothing() {
    let _alone = MEASURING.lock().await;
    let Some(sshd) = sshd().await else { return };
    // The far ends are in this process, so that their cost is included here.
    let _docker = docker(&sshd, Peer::Echo);
    let tunnel = connect(sshd.options_with_agent()).await;
    let agent = agent(&sshd);
    drop(open(&tunnel, &Destination::Docker).await);
    // The echo's own tasks end with their streams.
    let before = eventually("all is quiet", async || match tunnel.statistics().open {
        0 => Ok((tasks(), descriptors(&agent))),
        open => Err(format!("{open} open")),
    })
    .await;
    let (here, there) = (memory("self"), memory(&agent));
    let mut streams = Vec::with_capacity(STREAMS);
    for _ in 0..STREAMS {
        streams.push(open(&tunnel, &Destination::Docker).await);
    }
    let each = [
        memory("self").saturating_sub(here) / STREAMS,
        memory(&agent).saturating_sub(there) / STREAMS,
    ];
    println!(
        "an idle stream costs {} bytes in this process (including its far end), {} in the agent",
        each[0], each[1]
    );
    assert!(each.iter().all(|cost| *cost < MOST_IDLE), "{each:?} bytes for each idle stream");
    assert_eq!(tunnel.statistics().open, STREAMS as u64);
    // Half are dropped, half end orderly; neither leaves anything.
    for mut stream in streams.drain(..STREAMS / 2) {
        stream.shutdown().await.unwrap();
        soon("the end", stream.read_to_end(&mut Vec::new())).await.unwrap();
    }
    drop(streams);
    nothing_remains(&tunnel, &agent, before, "no task and no descriptor outlives its stream").await;
    tunnel.close().await;
}

#[tokio::test]
async fn unread_streams_cost_their_credit_and_leave_nothing_when_dropped() {
    let _alone = MEASURING.lock().await;
    let Some(sshd) = sshd().await else { return };
    let flood = Destination::Tcp { host: "127.0.0.1".into(), port: tcp(&sshd, Peer::Flood).await };
    let tunnel = connect(sshd.options_with_agent()).await;
    let agent = agent(&sshd);
    let stalled = async |count: usize| {
        let mut streams = Vec::new();
        for _ in 0..count {
            let mut stream =
                soon("open", tunnel.open(flood.clone(), Class::Interactive)).await.unwrap();
            soon("first bytes", stream.read_exact(&mut [0; 1024])).await.unwrap();
            streams.push(stream);
        }
        streams
    };
    // What the first streams create is kept for the others.
    drop(stalled(1).await);
    let before = eventually("all is quiet", async || match tunnel.statistics().open {
        0 => Ok((tasks(), descriptors(&agent))),
        open => Err(format!("{open} open")),
    })
    .await;
    let (here, there) = (memory("self"), memory(&agent));
    let streams = stalled(100).await;
    // The buffers may fill for a while, but must never exceed the limit.
    for _ in 0..40 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let each =
            [memory("self").saturating_sub(here) / 100, memory(&agent).saturating_sub(there) / 100];
        assert!(
            each.iter().all(|cost| *cost < MOST_STALLED),
            "{each:?} bytes for each stalled stream"
        );
    }
    let each =
        [memory("self").saturating_sub(here) / 100, memory(&agent).saturating_sub(there) / 100];
    println!(
        "a stalled stream costs {} bytes in this process (including its far end), {} in the agent",
        each[0], each[1]
    );
    drop(streams);
    nothing_remains(&tunnel, &agent, before, "no task and no descriptor outlives its stream").await;
    tunnel.close().await;
}
